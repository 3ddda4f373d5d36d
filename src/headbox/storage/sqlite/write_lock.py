"""The lock that processes of ours hold while they write to an SQLite database. The kernel queues those who wait, which
is fair; but flock(2) cannot wait for a limited time, so a thread does the waiting."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from headbox.domain.errors import StorageUnavailable


@contextmanager
def write_lock(file: int, path: str, seconds: float) -> Iterator[None]:
    """Holds the lock on `path`, which is open as `file`; StorageUnavailable if it cannot be had for so long."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file = _wait(path, seconds)
        try:
            yield
        finally:
            _let_go(file)
    else:
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)


def _let_go(file: int) -> None:
    """Closing alone would leave the lock to a process that was forked meanwhile."""
    fcntl.flock(file, fcntl.LOCK_UN)
    os.close(file)


def _wait(path: str, seconds: float) -> int:
    """A descriptor of its own that holds the lock, and gives it up when it is closed."""
    waiting = _Waiting(path)
    threading.Thread(target=waiting.lock, name="headbox-write-lock", daemon=True).start()
    return waiting.result(seconds)


class _Waiting:
    """A wait in a thread, which may be given up: then the thread lets go of the lock when it gets it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._locked = threading.Event()
        self._guard = threading.Lock()
        self._given_up = False

    def lock(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_EX)
        with self._guard:
            self._locked.set()
            if self._given_up:
                _let_go(self._file)

    def result(self, seconds: float) -> int:
        try:
            if self._locked.wait(seconds):
                return self._file
        except BaseException:  # an interrupt of the task that waits here
            self._give_up()
            raise
        self._give_up()
        raise StorageUnavailable(
            f"{self._path}: somebody else has been writing for {seconds:g} s; end that transaction, or the process that"
            " hangs, and try again"
        )

    def _give_up(self) -> None:
        with self._guard:
            self._given_up = True
            if self._locked.is_set():
                _let_go(self._file)
