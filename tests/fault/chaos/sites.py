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
    machines: int  # each with a clock of its own
    preparations: tuple[str, ...]  # statements for what the run itself keeps beside the tasks

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

    def lose_power(self) -> None:
        """What the database itself suffers when everything is killed."""
        ...

    def figures(self) -> dict[str, int]:
        """What it has measured."""
        ...

    def close(self) -> None: ...


# The order beside each task of a caller's transaction, and every worker that ever registered.
TABLES = (
    "CREATE TABLE orders (token TEXT NOT NULL PRIMARY KEY)",
    "CREATE TABLE registered (worker TEXT NOT NULL PRIMARY KEY, pid INTEGER NOT NULL)",
)
NOTE_WORKER = "INSERT INTO registered (worker, pid) VALUES (NEW.id, NEW.pid);"


class SQLiteSite:
    """A file, where possible on a disk of its own that can be filled."""

    kind = "sqlite"
    errors: tuple[type[Exception], ...] = (sqlite3.Error,)
    begin = "BEGIN IMMEDIATE"
    add_order = "INSERT INTO orders VALUES (?)"
    secret_keys: tuple[str, ...] = ()
    machines = 1
    preparations = (*TABLES, f"CREATE TRIGGER registered AFTER INSERT ON headbox_workers BEGIN {NOTE_WORKER} END")

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

    def lose_power(self) -> None:
        """Nothing: it lives in the processes."""

    def figures(self) -> dict[str, int]:
        return {}

    def close(self) -> None:
        if self.can_be_filled:
            subprocess.run(["umount", "--lazy", str(self.disk)], check=True)


def rows(site: Site, statement: str) -> Sequence[Sequence[Any]]:
    """What a statement of the engine's own gives."""
    with site.connect() as connection:
        found: Sequence[Sequence[Any]] = connection.execute(statement).fetchall()
    return found
