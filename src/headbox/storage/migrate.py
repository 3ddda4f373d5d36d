"""Brings a database's schema to what this code needs: numbered SQL files per dialect, forward only."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING

from headbox.domain.errors import StorageError

if TYPE_CHECKING:
    import sqlite3

OLDEST_COMPATIBLE = 1  # the oldest code (by its newest migration) that can work on the schema of this code


def folder(dialect: str) -> Traversable:
    """Where the migrations of a dialect are."""
    return files("headbox.storage").joinpath("migrations", dialect)


def migrations(dialect: str) -> dict[int, str]:
    """Every migration of a dialect: number to SQL."""
    found = (file for file in folder(dialect).iterdir() if file.name.endswith(".sql"))
    scripts = sorted(found, key=lambda file: file.name)
    return {int(script.name.split("_")[0]): script.read_text(encoding="utf-8") for script in scripts}


def newest(dialect: str) -> int:
    """The schema version that this code brings."""
    return max(migrations(dialect))


def sqlite_version(connection: sqlite3.Connection) -> tuple[int, int]:
    """The schema's (version, oldest compatible code); (0, 0) for an empty database."""
    found = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'headbox_settings'").fetchone()
    if found is None:
        return 0, 0
    rows = dict(connection.execute("SELECT name, value FROM headbox_settings WHERE name LIKE 'schema_%'"))
    return int(rows.get("schema_version", 0)), int(rows.get("schema_oldest_compatible", 0))


def refuse_newer(oldest_compatible: int, dialect: str) -> None:
    """Only code that is older than what the schema can bear is refused."""
    if oldest_compatible > newest(dialect):
        raise StorageError(
            f"the database needs a Headbox of schema {oldest_compatible} or later, this one is of {newest(dialect)};"
            " install a newer Headbox"
        )


def upgrade_sqlite(connection: sqlite3.Connection) -> bool:
    """Applies what is missing, all in one transaction; whether anything was. The caller holds the write lock."""
    version, oldest = sqlite_version(connection)
    refuse_newer(oldest, "sqlite")
    pending = {number: sql for number, sql in migrations("sqlite").items() if number > version}
    if not pending:
        return False
    connection.execute("BEGIN IMMEDIATE")
    try:
        for sql in pending.values():
            for statement in _statements(sql):
                connection.execute(statement)
        connection.executemany(
            "INSERT INTO headbox_settings VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            [("schema_version", str(max(pending))), ("schema_oldest_compatible", str(OLDEST_COMPATIBLE))],
        )
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return True


def _statements(sql: str) -> list[str]:
    """A script's statements. `executescript` would commit the open transaction."""
    from sqlite3 import complete_statement

    statements, pending = [], ""
    for line in sql.splitlines(keepends=True):
        pending += line
        if complete_statement(pending):
            statements.append(pending)
            pending = ""
    return statements
