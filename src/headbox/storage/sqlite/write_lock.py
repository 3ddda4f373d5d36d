"""The lock that processes of ours hold while they write to an SQLite database, and the gate before it: who has to wait
holds the gate meanwhile. The kernel only wakes who waits for a lock that was let go, and by then whoever had it may
have it again; so who has held it for long looks first whether somebody stands at the gate, and queues up behind. A
process that dies lets go of both."""

from __future__ import annotations

import fcntl
import os
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from headbox.domain.errors import StorageUnavailable

DEMAND: Final = 1.0  # seconds for which it is remembered that somebody had to wait
LONG: Final = 0.001  # seconds; who held the lock for less has hardly made anybody wait, and loses no time at the gate


def _gate(kind: int) -> bytes:
    """The gate is a lock of fcntl(2) on the file's first byte, of which flock(2) knows nothing: a `struct flock`."""
    return struct.pack("hhqqi", kind, os.SEEK_SET, 0, 1, 0)


_CLOSE, _OPEN = _gate(fcntl.F_WRLCK), _gate(fcntl.F_UNLCK)
_IS_OPEN = _OPEN[:2]


class WriteLock:
    """The lock on one file, which is made and opened at first use. For one thread of a process at a time."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._file: int | None = None
        self._was_long = False
        self._wanted_time = -DEMAND

    def file(self) -> int:
        """A descriptor of the file, open for reading and writing."""
        if self._file is None:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._file

    @contextmanager
    def held(self, seconds: float) -> Iterator[None]:
        """Holds the lock; StorageUnavailable if it cannot be had for so long."""
        file, waited = self.file(), None
        if not self._take(file):
            file = waited = _wait(self.path, seconds)
        since = time.monotonic()
        try:
            yield
        finally:
            self._was_long = time.monotonic() - since > LONG
            if self._was_long:
                self.is_wanted()  # which is remembered
            fcntl.flock(file, fcntl.LOCK_UN)  # closing alone would leave it to a process that was forked meanwhile
            if waited is not None:
                os.close(waited)

    def _take(self, file: int) -> bool:
        if self._was_long and self.is_wanted():
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def is_wanted(self) -> bool:
        """Whether another process, or another lock of this one, waits for it."""
        is_wanted: bool = fcntl.fcntl(self.file(), fcntl.F_OFD_GETLK, _CLOSE)[:2] != _IS_OPEN
        if is_wanted:
            self._wanted_time = time.monotonic()
        return is_wanted

    def is_in_demand(self) -> bool:
        """Whether it was wanted a moment ago."""
        return time.monotonic() - self._wanted_time < DEMAND

    def close(self) -> None:
        """Closes the file; the next use opens it again."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _wait(path: str, seconds: float) -> int:
    """A descriptor of its own that holds the lock. A thread does the waiting: flock(2) cannot for a limited time."""
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
        fcntl.fcntl(self._file, fcntl.F_OFD_SETLKW, _CLOSE)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        fcntl.fcntl(self._file, fcntl.F_OFD_SETLKW, _OPEN)
        with self._guard:
            self._locked.set()
            if self._given_up:
                self._let_go()

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
                self._let_go()

    def _let_go(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)
        os.close(self._file)
