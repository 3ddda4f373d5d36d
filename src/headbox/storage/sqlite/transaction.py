"""Named statements on an SQLite connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from json import dumps
from secrets import token_hex
from typing import Any, cast

from headbox.domain.task import WORK, Work
from headbox.storage.database import Ask, Level, Row, Rows
from headbox.storage.queries import load, numbered, of_row, of_rows, payload_bytes, unusual
from headbox.storage.sqlite.bulk import MOST_ROWS, as_set
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
        return self._connection.executemany(numbered(self._statements[name], names), rows).rowcount

    def batch(self, name: str, /, names: tuple[str, ...], rows: Rows, **parameters: Any) -> int:
        return sum(cursor.rowcount for cursor in self._sets(name, names, rows, parameters))

    def batch_rows(self, name: str, /, names: tuple[str, ...], rows: Rows, **parameters: Any) -> list[Row]:
        return [row for cursor in self._sets(name, names, rows, parameters) for row in cursor.fetchall()]

    def _sets(
        self, name: str, names: tuple[str, ...], rows: Rows, parameters: Mapping[str, Any]
    ) -> Iterator[sqlite3.Cursor]:
        """Runs a statement over so many rows at a time; over one by one, where JSON cannot carry them."""
        statement, execute = self._statements[name], self._connection.execute
        for start in range(0, len(rows), MOST_ROWS):
            some = rows[start : start + MOST_ROWS]
            given = as_set(names, some) if len(some) > 1 else None
            if given is not None:
                values = {**given.common, **parameters, "rows": given.json}
                yield execute(of_rows(statement, given.varying), values)
            else:
                for row in some:
                    values = unusual(names, row)
                    yield execute(of_row(statement, names, tuple(values)), {**values, **parameters})

    def claim(self, asks: Sequence[Ask], *, limit: int, most_bytes: int, worker: str, **terms: Any) -> list[Work]:
        """Two statements for each level: they cost nothing but themselves here."""
        works: list[Work] = []
        for level, share, _ in asks:
            left = min(share, limit - len(works))
            if left > 0 and (rows := self._claimable(level, left, most_bytes - payload_bytes(works), terms)):
                places = dumps([row[-1] for row in rows])
                self.change("claim", worker=worker, snapshot=f"{token_hex(12)}-", places=places)
                works += [Work(*row[:-1]) for row in rows]
        return works

    def _claimable(self, level: Level, share: int, most_bytes: int, terms: Mapping[str, Any]) -> list[Row]:
        """Rows of works, each with its place; none is read behind `most_bytes`."""
        rows: list[Row] = []
        given = {**_place(level), "share": share, **terms}
        for row in self._connection.execute(self._statements["claimable"], given):
            if most_bytes <= 0:
                break
            most_bytes -= len(row[_ARGS] or b"") + len(row[_KWARGS] or b"")
            rows.append(row)
        return rows

    def of_levels(self, name: str, levels: Sequence[Level], **parameters: Any) -> Iterator[Row]:
        for level in levels:
            yield from self.all(name, **_place(level), **parameters)

    def select(self, sql: str, parameters: Mapping[str, Any]) -> Iterator[Row]:
        return self._connection.execute(sql, parameters)


_ARGS, _KWARGS = WORK.index("args"), WORK.index("kwargs")


def _place(level: Level) -> dict[str, Any]:
    return {"queue": level.queue, "is_async": level.is_async, "priority": level.priority}
