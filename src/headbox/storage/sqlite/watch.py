"""Tells at once when another process has changed an SQLite database. Our own ring a bell after each commit; a commit of
anybody else is only announced, by inotify on the write-ahead log, and becomes visible once the log is on the disk.
Whether there was one says `PRAGMA data_version`."""

from __future__ import annotations

import logging
import os
import select
import time
from typing import Any, Protocol, cast

from inotify_simple import INotify, flags

from headbox.storage.sqlite.database import SQLiteDatabase
from headbox.storage.sqlite.errors import sentences

FIRST_PAUSE = 0.001  # seconds from the writing of the log to a look for the commit; then twice that, and so on
LAST_PAUSE = 0.128
SAFETY_NET = 1.0  # seconds between looks when nothing was heard
POLL = 0.05  # seconds between looks where nothing can be heard

logger = logging.getLogger(__name__)


class Ear(Protocol):
    """What of inotify a watch needs."""

    def fileno(self) -> int: ...
    def read(self, timeout: int) -> list[Any]: ...
    def close(self) -> None: ...


class _Deaf:
    """Where the system has no inotify instance left."""

    def __init__(self) -> None:
        self._descriptor = os.eventfd(0, os.EFD_CLOEXEC)

    def fileno(self) -> int:
        return self._descriptor

    def read(self, timeout: int) -> list[Any]:
        return []

    def close(self) -> None:
        os.close(self._descriptor)


def _listen(database: SQLiteDatabase) -> Ear:
    """Inotify on the log and the bell; without it a watch polls."""
    try:
        ear = INotify(nonblocking=True)
    except OSError as error:
        logger.warning("no inotify (%s), changes are polled for; raise fs.inotify.max_user_instances", error.strerror)
        return _Deaf()
    ear.add_watch(f"{database.path}-wal", flags.MODIFY)
    ear.add_watch(database.bell(), flags.MODIFY)
    return cast("Ear", ear)


class SQLiteWatch:
    """A watch with a connection of its own: it sees the commits of every other connection."""

    def __init__(self, database: SQLiteDatabase) -> None:
        self._path = database.path
        self._connection = database.connect(read_only=True)
        self._connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # makes sure that the log exists
        self._ear: Ear = _listen(database)
        self._version = self._data_version()
        self._pause: float | None = None

    def fileno(self) -> int:
        return int(self._ear.fileno())

    def changed(self) -> bool:
        """Whether somebody has committed since this last said so. Reads pending inotify events."""
        heard = bool(self._ear.read(timeout=0))
        version = self._data_version()
        if version != self._version:
            self._version = version
            self._pause = FIRST_PAUSE if heard else None  # the log may have been written again
            return True
        if heard:
            self._pause = FIRST_PAUSE
        elif self._pause is not None:
            self._pause = self._pause * 2 if self._pause < LAST_PAUSE else None
        return False

    def pause(self) -> float:
        """Seconds after which it is worth asking again, even if there is nothing to read."""
        rest = POLL if isinstance(self._ear, _Deaf) else SAFETY_NET
        return rest if self._pause is None else self._pause

    def wait(self, seconds: float) -> bool:
        """Waits for a change at most so long; True if there was one."""
        end = time.monotonic() + seconds
        while not self.changed():
            left = end - time.monotonic()
            if left <= 0:
                return False
            select.select([self._ear], [], [], min(left, self.pause()))
        return True

    def close(self) -> None:
        self._ear.close()
        self._connection.close()

    def _data_version(self) -> int:
        with sentences(self._path):
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])
