"""Named statements on a PostgreSQL connection: one transaction, a stream, or a single statement, and the news that each
makes for others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from operator import attrgetter, itemgetter
from typing import Any, Final

import psycopg
from psycopg import errors
from psycopg.rows import tuple_row

from headbox.domain.task import WORK, Instant, Task, Work
from headbox.storage.database import Ask, Level, Row, Rows
from headbox.storage.postgres.arrays import Column, Integers, adapt_columns, as_set, columns, copy_types, encoded
from headbox.storage.postgres.connections import Connection, adapt
from headbox.storage.postgres.errors import Collision
from headbox.storage.postgres.frontier import Frontier, Start, as_starts
from headbox.storage.postgres.notices import News
from headbox.storage.queries import ENQUEUED, formatted, load, of_arrays, payload_bytes, with_dollars
from headbox.storage.tally import Tally

COPY_ROWS = 200  # tasks from which on they are copied into the table
STREAM_ROWS = 1000  # rows that a stream fetches at a time

_ENDED_BETWEEN: Final = b"SELECT EXISTS (SELECT FROM headbox_task_history WHERE id BETWEEN %b AND %b)"
_ENDS: Final = ("add_run", "archive_ends")
# A callable that a worker is just publishing must not be found unknown: registrations are waited for. And they wait for
# one another from their beginning: many that come at one moment would each hold what the others wait for.
_BEFORE: Final = {
    "worker_names": b"LOCK TABLE headbox_workers IN SHARE MODE",
    "add_worker": b"LOCK TABLE headbox_workers IN SHARE ROW EXCLUSIVE MODE",
}
_level = itemgetter(WORK.index("queue"), len(WORK), WORK.index("priority"))
_urgency = itemgetter(WORK.index("due_time"), WORK.index("id"))
_enqueued = attrgetter(*ENQUEUED)


@cache
def _statements(*, reading: bool, again: bool) -> dict[str, bytes]:
    statements = {name: formatted(sql) for name, sql in load("postgres", reading=reading).items()}
    if again:  # they may have been refused for one that was archived before
        statements["archive_ends"] += b"\nON CONFLICT DO NOTHING"
    return statements


class PostgresTransaction:
    """Named statements on one connection, and the news that they make. `undo` gets out of what a refused statement
    leaves behind, so that a verb can still find out who was in the way; it can commit nothing after that."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        undo: bytes | None = None,
        *,
        reading: bool = False,
        frontier: Frontier | None = None,
    ) -> None:
        self._connection = connection
        if isinstance(connection, Connection):
            self._cursor = connection.statements
        else:  # a caller's own
            self._cursor = psycopg.Cursor(connection, row_factory=tuple_row)
            adapt(self._cursor.adapters)
            adapt_columns(self._cursor.adapters)
        self._statements = _statements(reading=reading, again=undo is not None)
        self._reading = reading
        self._undo = undo
        self.is_doomed = False
        self.news = News()
        self.tally = Tally()
        self._frontier = frontier or Frontier()
        self._firsts: dict[tuple[str, bool, int], Start] = {}

    def one(self, name: str, /, **parameters: Any) -> Row | None:
        return self._run(name, parameters).fetchone()

    def all(self, name: str, /, **parameters: Any) -> list[Row]:
        if name == "levels":
            return self._levels(**parameters)
        self._lock_before(name)
        return self._run(name, parameters).fetchall()

    def _lock_before(self, name: str) -> None:
        if not self._reading and name in _BEFORE:
            self._cursor.execute(_BEFORE[name])

    def change(self, name: str, /, **parameters: Any) -> int:
        self._lock_before(name)
        cursor = self._run(name, parameters)
        self._note(name)
        return cursor.rowcount

    def many(self, name: str, /, names: tuple[str, ...], rows: Rows) -> int:
        return self.batch(name, names, rows)

    def batch(self, name: str, /, names: tuple[str, ...], rows: Rows, **parameters: Any) -> int:
        if not rows:
            return 0
        if name == "add_task":
            return self._add_tasks(names, rows)
        return self.change(name, **columns(names, rows), **parameters)

    def batch_rows(self, name: str, /, names: tuple[str, ...], rows: Rows, **parameters: Any) -> list[Row]:
        return self._run(name, {**columns(names, rows), **parameters}).fetchall() if rows else []

    # claims begin where the level does

    def _levels(self, queues: str | None) -> list[Row]:
        frontier = self._frontier
        known = frontier.known(queues)
        if known is None:
            return self._note_levels(queues, self._run("levels", {"queues": queues}).fetchall())
        if known:
            found = as_starts(self._run("known_levels", columns(Start._fields, known)).fetchall())
            frontier.note(queues, found)
        else:
            found = []
        return self._note_starts(found)

    def _note_levels(self, queues: str | None, rows: list[Row]) -> list[Row]:
        """What a look from the start has found."""
        found = as_starts(rows)
        self._frontier.note(queues, found, rows[0][5], rows[0][6])
        return self._note_starts(found)

    def _note_starts(self, found: list[Start]) -> list[Row]:
        self._firsts = {start.level: start for start in found}
        return [start[:4] for start in found]

    def claim(self, asks: Sequence[Ask], *, limit: int, most_bytes: int, worker: str, **terms: Any) -> list[Work]:
        """All in one statement."""
        places = self._places([level for level, _, _ in asks])
        shares = {"share": Integers(ask.share for ask in asks), "passed": Integers(ask.passed for ask in asks)}
        limits = {"limit": limit, "most_bytes": most_bytes, "worker": worker}
        rows = self._run("claim", {**places, **shares, **limits, **terms}).fetchall()
        return self._taken(rows, limit, most_bytes, {level.queue for level, _, _ in asks})

    def claim_alone(
        self, *, queues: str | None, limit: int, most_bytes: int, **terms: Any
    ) -> tuple[list[Row], bool, Instant | None, list[Work]]:
        """Looks at the levels, and claims where one alone is due, as a transaction in one statement: the levels,
        whether the worker is there, when the next task of the claimed one is due, and the tasks."""
        given = {"queues": queues, "limit": limit, "most_bytes": most_bytes, **terms}
        rows = self._run("claim_alone", given).fetchall()
        levels = self._note_levels(queues, list(dict.fromkeys(row[:7] for row in rows)))
        is_present, next_time, xid = rows[0][7:10]
        self.news.xid = xid or ""
        taken = [row[10:] for row in rows if row[10] is not None]
        return levels, is_present, next_time, self._taken(taken, limit, most_bytes, {level[0] for level in levels})

    def _taken(self, rows: list[Row], limit: int, most_bytes: int, queues: set[str]) -> list[Work]:
        if rows:
            self._note_claimed(rows)
        works = [Work(*row[:-1]) for row in rows]
        if len(works) < limit and payload_bytes(works) >= most_bytes:
            self.news.queues.update(queues)  # what was locked and left: others passed it by
        return works

    def of_levels(self, name: str, levels: Sequence[Level], **parameters: Any) -> Iterator[Row]:
        return iter(self._run(name, {**self._places(levels), **parameters}).fetchall())

    def _places(self, levels: Sequence[Level]) -> dict[str, Column]:
        return columns(Start._fields, [self._firsts[level[:3]] for level in levels])

    def _note_claimed(self, rows: list[Row]) -> None:
        """Of rows of works, each with whether it is async."""
        self.news.has_claimed = True
        lasts = {_level(row): _urgency(row) for row in sorted(rows, key=_urgency)}
        for level, last in lasts.items():
            self._frontier.note_claimed(level, *last)

    # many tasks at once

    def _add_tasks(self, names: tuple[str, ...], rows: Rows) -> int:
        if len(rows) >= COPY_ROWS and self._undo is None:
            ids, queues = itemgetter(names.index("id")), itemgetter(names.index("queue"))
            if not self._may_have_ended([*map(ids, rows)]):
                self.news.queues.update(map(queues, rows))
                return self._copy(names, rows)
        statement, parameters = self._of_tasks("add_task", names, rows)
        return self._execute(formatted(statement), parameters).rowcount

    def _of_tasks(self, name: str, names: tuple[str, ...], rows: Rows) -> tuple[str, dict[str, Any]]:
        """A statement that accepts a set of tasks, and its parameters."""
        varying, common = as_set(names, rows)
        self.news.queues.update(varying.get("queue") or [common["queue"]])
        return of_arrays(load("postgres")[name], tuple(varying), tuple(common)), common | varying

    def _may_have_ended(self, ids: list[str]) -> bool:
        """Whether there are ended tasks among these ids; asked by one probe, so others in between count as well."""
        found = self._cursor.execute(_ENDED_BETWEEN, [min(ids), max(ids)]).fetchone()
        return found is not None and bool(found[0])

    def _copy(self, names: tuple[str, ...], rows: Rows) -> int:
        """Three times faster for many tasks, but refuses an id that is there already: then all is run again without."""
        try:
            with self._cursor.copy(
                f"COPY headbox_tasks ({', '.join(names)}) FROM STDIN (FORMAT binary)".encode()
            ) as copy:
                copy.set_types(copy_types(names))
                for row in rows:
                    copy.write_row(row)
        except errors.UniqueViolation as error:
            raise Collision("some tasks are there already") from error
        return len(rows)

    def select(self, sql: str, parameters: Mapping[str, Any]) -> Iterator[Row]:
        with psycopg.Cursor(self._connection, row_factory=tuple_row) as cursor:
            return iter(cursor.execute(formatted(sql), parameters, binary=True).fetchall())

    def _run(self, name: str, parameters: Mapping[str, Any]) -> psycopg.Cursor[Row]:
        return self._execute(self._statements[name], parameters)

    def _execute(self, statement: bytes, parameters: Mapping[str, Any]) -> psycopg.Cursor[Row]:
        try:
            return self._cursor.execute(statement, parameters, binary=True)
        except errors.UniqueViolation as error:
            if self._undo is None:
                raise _collision(error) from error
            self.is_doomed = True
            self._connection.execute(self._undo)
            raise

    def _note(self, name: str) -> None:
        """Keeps whom a change concerns: `RETURNING queue` or `RETURNING worker`."""
        if name in _ENDS:
            self.news.has_ended = True
        if described := self._cursor.description:
            concerned = self.news.queues if described[0].name == "queue" else self.news.workers
            concerned.update(found for (found,) in self._cursor.fetchall() if found is not None)


def _collision(error: errors.UniqueViolation) -> Collision:
    return Collision(f"another transaction was first: {error.diag.message_primary}")


class StreamingTransaction(PostgresTransaction):
    """Fetches what is consumed as it comes."""

    def select(self, sql: str, parameters: Mapping[str, Any]) -> Iterator[Row]:
        with psycopg.ServerCursor(self._connection, "headbox", row_factory=tuple_row) as cursor:
            cursor.itersize = STREAM_ROWS
            yield from cursor.execute(formatted(sql), parameters, binary=True)


class SingleStatement(PostgresTransaction):
    """One statement is a consistent reading by itself, or a transaction; the second one ends it."""

    _asked = False

    _connection: Connection

    def enqueue(self, tasks: Sequence[Task], now: Instant) -> None:
        """Accepts tasks and counts them; the same ids again change nothing."""
        self._ask()
        statement, given = self._of_tasks("enqueue", ENQUEUED, [_enqueued(task) for task in tasks])
        given["now"] = now
        try:
            self._connection.change(with_dollars(statement, tuple(given)), [*map(encoded, given.values())])
        except errors.UniqueViolation as error:
            raise _collision(error) from error

    def _execute(self, statement: bytes, parameters: Mapping[str, Any]) -> psycopg.Cursor[Row]:
        self._ask()
        return super()._execute(statement, parameters)

    def select(self, sql: str, parameters: Mapping[str, Any]) -> Iterator[Row]:
        self._ask()
        return super().select(sql, parameters)

    def _ask(self) -> None:
        if self._asked:
            raise MoreThanOne
        self._asked = True


class MoreThanOne(Exception):
    """A work needs a transaction after all."""
