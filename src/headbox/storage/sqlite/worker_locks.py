"""Which workers of an SQLite database are alive: each holds the lock on a file of its own beside it, for as long as its
process lives."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path


class WorkerLocks:
    """The locks beside one database, and those of them that this process holds."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._held: dict[str, int] = {}

    def enlist(self, worker: str) -> None:
        """Takes the worker's lock; BlockingIOError if another process has it."""
        file = os.open(self._path(worker), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._held[worker] = file

    def discharge(self, worker: str) -> None:
        """Lets go of the lock, if it is held here, and deletes its file."""
        file = self._held.pop(worker, None)
        with suppress(FileNotFoundError):
            self._path(worker).unlink()
        if file is not None:
            os.close(file)

    def is_alive(self, worker: str) -> bool:
        """Whether the worker's process still holds its lock."""
        if worker in self._held:
            return True
        try:
            file = os.open(self._path(worker), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(file)
        return False

    def _path(self, worker: str) -> Path:
        return self._database.with_name(f"{self._database.name}.worker-{worker}")
