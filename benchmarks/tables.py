"""The project's tables past the project: filled and read by SQL of the benchmark's own."""

from __future__ import annotations

import sqlite3
from typing import Any

import psycopg

SERIES = "WITH RECURSIVE series (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < {count})"


class Tables:
    """The tables of one database."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_postgres = url.startswith("postgresql")

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Runs a statement, commits, and gives its rows."""
        return self._run(sql)[0]

    def _run(self, sql: str) -> tuple[list[tuple[Any, ...]], list[str]]:
        if self.is_postgres:
            with psycopg.connect(self.url, autocommit=True) as connection:
                cursor = connection.execute(sql.encode())
                described = cursor.description
                return cursor.fetchall() if described else [], [column.name for column in described or ()]
        with sqlite3.connect(self.url.removeprefix("sqlite:///")) as lite:
            found = lite.execute(sql)
            return found.fetchall(), [column[0] for column in found.description or ()]

    def multiply(self, table: str, template: str, count: int, **changed: str) -> None:
        """Copies one row `count` times, under new ids; `changed` are expressions of the row's number n."""
        names = self._run(f"SELECT * FROM {table} LIMIT 0")[1]
        values = ", ".join(changed.get(name, f"one.{name}") for name in names)
        self.rows(
            f"INSERT INTO {table} ({', '.join(names)}) {SERIES.format(count=count)}"
            f" SELECT {values} FROM series, {table} AS one WHERE one.id = '{template}'"
        )

    def copy(self, source: str, target: str, condition: str, **changed: str) -> None:
        """Puts rows of one table into another one with such columns; `changed` are expressions of a row."""
        names = self._run(f"SELECT * FROM {target} LIMIT 0")[1]
        values = ", ".join(changed.get(name, name) for name in names)
        self.rows(f"INSERT INTO {target} ({', '.join(names)}) SELECT {values} FROM {source} WHERE {condition}")

    def analyze(self) -> None:
        """What the database does by itself after a while."""
        self.rows("VACUUM (ANALYZE)" if self.is_postgres else "ANALYZE")


def numbered_id(kind: str) -> str:
    """An expression for ids in the order of a row's number."""
    return f"'{kind}-' || CAST(100000000000 + n AS text)"
