"""Where the tasks of a chaos run are kept: what the engine needs to know of either database beside the contract."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

from headbox import HeadboxError, StorageUnavailable

DISK = "800m"


class Site(Protocol):
    """A database that faults befall."""

    kind: str
    errors: tuple[type[Exception], ...]  # of the driver
    begin: str
    add_order: str
    secret_keys: tuple[str, ...]

    def client_url(self) -> str:
        """Where clients and the API find it."""
        ...

    def worker_url(self, number: int) -> str:
        """Where a worker finds it."""
        ...

    def connect_client(self) -> Any:
        """A client's own connection, which begins no transaction by itself."""
        ...

    def connect(self) -> AbstractContextManager[Any]:
        """The engine's own connection, past all that is in between."""
        ...

    def says_nothing_was_written(self, error: HeadboxError) -> bool:
        """Whether an error promises that."""
        ...

    def close(self) -> None: ...


CREATE_ORDERS = "CREATE TABLE orders (token TEXT NOT NULL PRIMARY KEY)"


class SQLiteSite:
    """A file, where possible on a disk of its own that can be filled."""

    kind = "sqlite"
    errors: tuple[type[Exception], ...] = (sqlite3.Error,)
    begin = "BEGIN IMMEDIATE"
    add_order = "INSERT INTO orders VALUES (?)"
    secret_keys: tuple[str, ...] = ()

    def __init__(self, folder: Path) -> None:
        self.disk = folder / "disk"
        self.disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(self.disk)]
        self.can_be_filled = subprocess.run(mount, capture_output=True).returncode == 0  # only root may
        self.path = self.disk / "headbox.db"

    def client_url(self) -> str:
        return f"sqlite:///{self.path}"

    def worker_url(self, number: int) -> str:
        return self.client_url()

    def connect_client(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        connection.execute(
            "PRAGMA wal_autocheckpoint=0"
        )  # checkpoints are Headbox's own affair (SQLite's WAL-reset race)
        return connection

    @contextmanager
    def connect(self) -> Iterator[sqlite3.Connection]:
        with closing(self.connect_client()) as connection:
            yield connection

    def says_nothing_was_written(self, error: HeadboxError) -> bool:
        return isinstance(error, StorageUnavailable) or "the disk is full" in str(error)

    def close(self) -> None:
        if self.can_be_filled:
            subprocess.run(["umount", str(self.disk)], check=True)


def rows(site: Site, statement: str) -> Sequence[Sequence[Any]]:
    """What a statement of the engine's own gives."""
    with site.connect() as connection:
        found: Sequence[Sequence[Any]] = connection.execute(statement).fetchall()
    return found
