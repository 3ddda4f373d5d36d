"""A copy of Headbox's tables as an SQL script that `psql` restores into an empty database: one consistent reading, and
nothing of what else the database may hold."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, BinaryIO

import psycopg
from psycopg import sql

from headbox.domain.errors import StorageError
from headbox.storage.migrate import migrations

TABLES = (
    "headbox_tasks", "headbox_task_history", "headbox_holds", "headbox_suspended_queues", "headbox_changes",
    "headbox_counts", "headbox_periods",
    "headbox_workers", "headbox_callables", "headbox_users", "headbox_tokens", "headbox_sessions",
    "headbox_audited_events", "headbox_settings",
)  # fmt: skip


def create(path: str) -> BinaryIO:
    """A new file for its owner alone; StorageError if there is one already, or none can be made."""
    try:
        return os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600), "wb")
    except FileExistsError:
        raise StorageError(f"{path} exists already; name a new file for the backup") from None
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}; name another file") from None


def write(connection: psycopg.Connection[Any], version: int, file: BinaryIO) -> None:
    """Writes the script. The connection is in a transaction that reads one snapshot."""
    file.write(b"-- Restore into an empty database: psql --single-transaction -v ON_ERROR_STOP=1 -f FILE\n")
    file.write(b"SET client_encoding = 'UTF8';\n")
    for number, script in migrations("postgres").items():
        if number <= version:
            file.write(script.encode())
    for table in TABLES:
        for part in _rows(connection, table):
            file.write(part)
    file.write(
        b"SELECT setval(pg_get_serial_sequence('headbox_audited_events', 'id'),"
        b" (SELECT coalesce(max(id), 0) + 1 FROM headbox_audited_events), false);\n"
    )


def _rows(connection: psycopg.Connection[Any], table: str) -> Iterator[bytes]:
    yield f"COPY {table} FROM stdin;\n".encode()
    with connection.cursor() as cursor, cursor.copy(sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(table))) as copy:
        yield from (bytes(part) for part in copy)
    yield b"\\.\n"
