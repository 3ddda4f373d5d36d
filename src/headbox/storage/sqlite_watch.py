"""Tells at once when another process has changed an SQLite database: inotify on its write-ahead log says "maybe",
`PRAGMA data_version` says whether (a commit becomes visible a moment after the log is written)."""

from __future__ import annotations

import select
import time

from inotify_simple import INotify, flags

from headbox.storage.sqlite import SQLiteDatabase

POLL_SECONDS = 0.000_2
AWAKE_SECONDS = 0.010  # how long after the log was written a commit may still become visible


class SQLiteWatch:
    """A watch with a connection of its own: it sees the commits of every other connection."""

    def __init__(self, database: SQLiteDatabase) -> None:
        self._connection = database.connect(read_only=True)
        self._connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # makes sure that the log exists
        self._notify = INotify(nonblocking=True)
        self._notify.add_watch(f"{database.path}-wal", flags.MODIFY)
        self._version = self._data_version()
        self._awake_until = 0.0

    def fileno(self) -> int:
        return int(self._notify.fileno())

    def changed(self) -> bool:
        """Whether somebody has committed since this last said so. Reads pending inotify events."""
        if self._notify.read(timeout=0):
            self._awake_until = time.monotonic() + AWAKE_SECONDS
        version = self._data_version()
        if version == self._version:
            return False
        self._version = version
        return True

    def is_awake(self) -> bool:
        """Whether the log was written a moment ago: ask `changed` again soon."""
        return time.monotonic() < self._awake_until

    def wait(self, seconds: float) -> bool:
        """Waits for a change at most so long; True if there was one."""
        end = time.monotonic() + seconds
        while not self.changed():
            left = end - time.monotonic()
            if left <= 0:
                return False
            if self.is_awake():
                time.sleep(POLL_SECONDS)
            else:
                select.select([self._notify], [], [], left)
        return True

    def close(self) -> None:
        self._notify.close()
        self._connection.close()

    def _data_version(self) -> int:
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])
