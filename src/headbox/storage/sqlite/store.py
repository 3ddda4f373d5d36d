"""The store on SQLite: the verbs of sql_store.py and those about the database file itself."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from headbox.clock import Clock, SystemClock
from headbox.domain.errors import StorageError
from headbox.domain.task import Instant, Span
from headbox.storage import migrate
from headbox.storage.housekeeping import accept_housekeeping
from headbox.storage.lookups import Lookup
from headbox.storage.sql_store import SQLStore
from headbox.storage.sqlite.database import SQLiteDatabase
from headbox.storage.sqlite.transaction import SQLiteTransaction
from headbox.storage.sqlite.watch import SQLiteWatch

T = TypeVar("T")


class SQLiteStore(SQLStore):
    """The embedded default: one file, any number of processes of one machine."""

    def __init__(self, path: Path, finished_lifetime: Span) -> None:
        self._file = SQLiteDatabase(path)
        super().__init__(self._file, finished_lifetime)

    @property
    def beside(self) -> Path:
        """The database's file."""
        return self._file.path

    def initialise(self, now: Instant) -> None:
        """Creates or upgrades the schema, and gives a new one its housekeeping tasks; under the write lock."""
        with self._file.exclusive() as connection:
            fresh = migrate.sqlite_version(connection)[0] == 0
            migrate.upgrade_sqlite(connection)
            if fresh:
                accept_housekeeping(self._file, SQLiteTransaction(connection), now)

    def upgrade(self, now: Instant, *, finish: bool = False) -> None:
        """The same: an SQLite schema is upgraded at every start, and whole."""
        self.initialise(now)

    def status(self, patience: float | None = None) -> dict[str, Any]:
        """What `db status` and readiness show."""
        with self._file.reading() as tx:
            version = int((tx.one("setting", name="schema_version") or ("0",))[0])
        pending = [number for number in migrate.migrations("sqlite") if number > version]
        return {
            "url": self.url,
            "kind": f"SQLite {sqlite3.sqlite_version}",
            "schema_version": version,
            "pending_migrations": pending,
            "pending_final_migrations": [],
            "size": self._file.path.stat().st_size,
        }

    def check(self) -> list[str]:
        """SQLite's own integrity check."""
        with self._file.reading() as tx:
            rows = [row[0] for row in tx.select("PRAGMA integrity_check", {})]
        return [] if rows == ["ok"] else rows

    def backup(self, path: str) -> None:
        """A consistent copy by SQLite's online backup; refuses to overwrite."""
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            raise StorageError(f"{path} exists already; name a new file for the backup") from None
        except OSError as error:
            raise StorageError(f"{path} cannot be written: {error.strerror}; name another file") from None
        source, target = self._file.connect(read_only=True), sqlite3.connect(path)
        try:
            source.backup(target)
        except BaseException as error:  # an interrupt included: half a copy is none
            Path(path).unlink()
            if isinstance(error, sqlite3.Error):
                raise StorageError(f"the copy to {path} failed ({error}): is there room for it?") from None
            raise
        finally:
            source.close()
            target.close()

    def watch(self, worker: str | None = None, queues: Sequence[str] = ()) -> SQLiteWatch:
        """A watch on the database file; it tells of every change."""
        return SQLiteWatch(self._file)

    def clock(self) -> Clock:
        """The machine's clock: all processes on the file share it."""
        return SystemClock()

    async def look_up_on_loop(self, lookup: Lookup[T]) -> T:
        """At once: it takes no longer than to hand it to a thread."""
        return self.look_up(lookup)

    @property
    def is_remote(self) -> bool:
        """The database is a file of this machine."""
        return False

    @property
    def has_leases(self) -> bool:
        """A worker is alive while its process holds a lock."""
        return False

    def checkpoint(self) -> None:
        """Moves the write-ahead log into the file, as far as readers allow."""
        self._file.checkpoint()

    def close(self) -> None:
        """Closes every connection; the next use opens afresh."""
        self._file.close()
