"""Brings a PostgreSQL schema to what this code needs. An empty database is initialised by whoever comes first; one in
use is upgraded by `headbox db upgrade` alone, since code of the version before still works on it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

import psycopg

from headbox.domain.errors import StorageError
from headbox.storage.migrate import OLDEST_COMPATIBLE, migrations, refuse_newer

_LOCK: Final = int.from_bytes(b"headbox", "big")  # of PostgreSQL's advisory locks
# A migration that the code of the version before cannot bear says so in such a line, and waits until that is gone.
_AFTERWARDS: Final = re.compile(r"^-- oldest compatible: (\d+)$", re.MULTILINE)
# Not by to_regclass: that may answer from what this session knew before it waited for the lock.
_FOUND: Final = b"SELECT FROM pg_class WHERE relname = 'headbox_settings' AND pg_table_is_visible(oid)"

Connection = psycopg.Connection[Any]


@cache
def afterwards() -> dict[int, int]:
    """Migrations that come after all older code is gone, and the oldest code that bears them."""
    found = {number: _AFTERWARDS.search(sql) for number, sql in migrations("postgres").items()}
    return {number: int(match[1]) for number, match in found.items() if match is not None}


def needed() -> int:
    """The schema version without which this code cannot work."""
    return max(migrations("postgres").keys() - afterwards().keys())


def read_version(connection: Connection) -> tuple[int, int]:
    """The schema's (version, oldest compatible code); (0, 0) for an empty database."""
    if connection.execute(_FOUND).fetchone() is None:
        return 0, 0
    rows = connection.execute("SELECT name, value FROM headbox_settings WHERE starts_with(name, 'schema_')").fetchall()
    found = dict(rows)
    return int(found.get("schema_version", 0)), int(found.get("schema_oldest_compatible", 0))


def refuse_others(version: int, oldest_compatible: int) -> None:
    """Code that is too old for the schema, and code that the schema is too old for."""
    refuse_newer(oldest_compatible, "postgres")
    if version < needed():
        raise StorageError(
            f"the database is of schema {version}, this Headbox needs {needed()}; run `headbox db upgrade` first"
        )


@contextmanager
def locked(connection: Connection) -> Iterator[None]:
    """A transaction in which nobody else migrates this database."""
    connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
    try:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        yield
        connection.execute("COMMIT")
    except BaseException:
        if not connection.closed:
            connection.execute("ROLLBACK")
        raise


def pending(version: int) -> tuple[list[int], list[int]]:
    """The migrations that a schema of this version lacks: those that this code needs, and those that can wait."""
    missing = [number for number in migrations("postgres") if number > version]
    return [number for number in missing if number <= needed()], [number for number in missing if number > needed()]


def upgrade(connection: Connection, *, finish: bool) -> None:
    """Applies what is missing, in the caller's `locked` transaction. Migrations at the end that older code cannot bear
    are left out unless this is to `finish`."""
    version, oldest = read_version(connection)
    refuse_newer(oldest, "postgres")
    last = max(migrations("postgres")) if finish or not version else needed()
    missing = {number: sql for number, sql in migrations("postgres").items() if version < number <= last}
    if not missing:
        return
    for sql in missing.values():
        connection.execute(sql.encode())
    oldest = max(oldest, OLDEST_COMPATIBLE, *(afterwards().get(number, 0) for number in missing))
    for name, value in (("schema_version", max(missing)), ("schema_oldest_compatible", oldest)):
        connection.execute(
            "INSERT INTO headbox_settings VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            [name, str(value)],
        )
