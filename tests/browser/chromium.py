"""The browser of the tests: the system's Chromium. Where there is none and we may, Debian's package is installed, once;
otherwise the tests fail with the command to run."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, sync_playwright

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
INSTALL: Final = ("apt-get", "install", "--yes", "--no-install-recommends", "chromium")
UPDATE: Final = ("apt-get", "update")
WAIT: Final = ("-o", "DPkg::Lock::Timeout=300")
PATIENCE: Final = 600.0  # seconds for one command of apt-get
# No sandbox, since tests may run as root; the rest keeps it from calling home and from needing a graphics card.
ARGUMENTS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class NoBrowser(Exception):
    """There is no browser. Its message says which command brings one."""


def executable() -> str:
    """The path of Chromium: what CHROMIUM names, or the first of `NAMES`, or what was just installed. Or NoBrowser."""
    return os.environ.get("CHROMIUM") or _found() or _installed()


@contextmanager
def launched(path: str) -> Iterator[Browser]:
    """The browser, until the end of the block. Meanwhile this thread has an event loop."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


def _found() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


def _installed() -> str:
    """Installs it, while the other processes of the test run wait."""
    command = " ".join(INSTALL)
    if os.getuid() or not shutil.which("apt-get"):
        advice = f"'sudo {command}'" if shutil.which("apt-get") else "your system's package manager"
        raise NoBrowser(f"The browser tests need Chromium: install it with {advice}, or name one in CHROMIUM.")
    with Path(tempfile.gettempdir(), "headbox-chromium.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (path := _found()):
            _install()
            path = _found()
    if path is None:
        raise NoBrowser(f"'{command}' ended well, but there is no Chromium: name one in CHROMIUM.")
    return path


def _install() -> None:
    """Installs from the package lists as they are; where they are absent or too old, from new ones."""
    done = _run(*INSTALL)
    if done.returncode:
        updated = _run(*UPDATE)
        done = _run(*INSTALL)
        if done.returncode:
            said = "\n".join(each.stdout for each in (updated, done))
            raise NoBrowser(f"The browser tests need Chromium, and '{' '.join(INSTALL)}' failed:\n{said}")


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, *WAIT],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
