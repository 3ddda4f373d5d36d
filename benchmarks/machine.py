"""What a run ran on: a figure without it means nothing."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.floor.disk import fdatasyncs
from servers.postgres import binaries


def about() -> dict[str, str]:
    """The machine, the versions and the day."""
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "Headbox": f"{version('headbox')}, commit {_said('git', 'rev-parse', '--short', 'HEAD') or 'unknown'}",
        "processor": f"{os.cpu_count()} × {_processor()}",
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "databases": f"SQLite {sqlite3.sqlite_version}, {_said(str(binaries() / 'postgres'), '--version')}",
        "durability": "stock: synchronous=FULL; fsync and synchronous_commit on",
        "load average before": f"{os.getloadavg()[0]:.1f}",
        "fdatasync": f"{fdatasyncs():,.0f} /s",
    }


def _processor() -> str:
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip()
