"""Named statements on an SQLite connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import msgspec

from headbox.storage.database import Ask, Level, Row, Rows
from headbox.storage.queries import load, numbered, of_rows, payload_bytes
from headbox.storage.sqlite.bulk import MOST_ROWS, ONE_ROW, as_set
from headbox.storage.tally import Tally


class SQLiteTransaction:
    """Named statements on one connection. Also wraps a caller's own connection (transactional enqueue)."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._statements = load("sqlite")
        self.tally = Tally()

    def one(self, name: str, /, **parameters: Any) -> Row | None:
        return cast("Row | None", self._connection.execute(self._statements[name], parameters).fetchone())

    def all(self, name: str, /, **parameters: Any) -> list[Row]:
        return self._connection.execute(self._statements[name], parameters).fetchall()

    def change(self, name: str, /, **parameters: Any) -> int:
        return self._connection.execute(self._statements[name], parameters).rowcount

    def many(self, name: str, /, names: tuple[str, ...], rows: Rows) -> int:
        if name == "add_task":
            return sum(self._add(names, rows[at : at + MOST_ROWS]) for at in range(0, len(rows), MOST_ROWS))
        return self._connection.executemany(numbered(self._statements[name], names), rows).rowcount

    def _add(self, names: tuple[str, ...], rows: Rows) -> int:
        statement, given = self._statements["add_task"], as_set(names, rows) if len(rows) > 1 else None
        if given is not None:
            values = {**given.common, "rows": given.json}
            return self._connection.execute(of_rows(statement, given.varying), values).rowcount
        singly = numbered(statement, (*names, "rows"))
        return self._connection.executemany(singly, [(*row, ONE_ROW) for row in rows]).rowcount

    def batch(self, name: str, /, names: tuple[str, ...], rows: Rows, **parameters: Any) -> int:
        return self.change(name, rows=msgspec.json.encode(rows).decode(), **parameters)

    def batch_rows(self, name: str, /, names: tuple[str, ...], rows: Rows, **parameters: Any) -> list[Row]:
        return self.all(name, rows=msgspec.json.encode(rows).decode(), **parameters)

    def claim(self, asks: Sequence[Ask], *, limit: int, most_bytes: int, **terms: Any) -> list[Row]:
        """A statement for each level: they cost nothing but themselves here."""
        rows: list[Row] = []
        for level, share, _ in asks:
            left = {"share": min(share, limit - len(rows)), "most_bytes": most_bytes - payload_bytes(rows)}
            if min(left.values()) > 0:
                rows += self.all("claim", **_place(level), **left, **terms)
        return rows

    def of_levels(self, name: str, levels: Sequence[Level], **parameters: Any) -> Iterator[Row]:
        for level in levels:
            yield from self.all(name, **_place(level), **parameters)

    def select(self, sql: str, parameters: Mapping[str, Any]) -> Iterator[Row]:
        return self._connection.execute(sql, parameters)


def _place(level: Level) -> dict[str, Any]:
    return {"queue": level.queue, "is_async": level.is_async, "priority": level.priority}
