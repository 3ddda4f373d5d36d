"""How often a second the disk takes a small write for good."""

from __future__ import annotations

import os
import tempfile
import time

SECONDS = 0.5


def fdatasyncs() -> float:
    """`fdatasync` per second, each after a write of one page."""
    with tempfile.NamedTemporaryFile(dir=os.environ.get("BENCHMARK_FOLDER")) as file:
        page, count, began = os.urandom(4096), 0, time.perf_counter()
        while time.perf_counter() - began < SECONDS:
            os.pwrite(file.fileno(), page, 4096 * (count % 256))
            os.fdatasync(file.fileno())
            count += 1
        return count / (time.perf_counter() - began)
