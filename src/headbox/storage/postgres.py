"""PostgreSQL: transactions, what becomes of them when a connection breaks, and leases. No SQL of the domain."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from itertools import count
from operator import attrgetter
from typing import Any, Final, TypeVar

import psycopg
from psycopg import conninfo, errors
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from headbox.domain.errors import StorageError, StorageUnavailable
from headbox.domain.task import Instant, Task
from headbox.storage.callers import driver_connection
from headbox.storage.database import Row, Rows, Transaction
from headbox.storage.postgres_arrays import adapt_columns, columns, copy_types
from headbox.storage.postgres_connections import SETTINGS, Connection, Connections, adapt, read_url
from headbox.storage.postgres_errors import Collision, ConnectionLost, is_broken, sentences
from headbox.storage.postgres_frontier import Frontier, Start, as_starts
from headbox.storage.postgres_notices import News, Notices, send
from headbox.storage.queries import formatted, load
from headbox.storage.records import Worker

T = TypeVar("T")

logger = logging.getLogger(__name__)

PATIENCE = 5.0  # seconds that a call waits for a database that is away
COLLISIONS = 10  # after which a transaction that others keep interfering with is given up
COPY_ROWS = 200  # tasks from which on they are copied into the table
STREAM_ROWS = 1000  # rows that a stream fetches at a time

_WRITE: Final = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
_AGAIN: Final = f"ROLLBACK; {_WRITE}".encode()
READ: Final = b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_STATUS: Final = b"SELECT pg_xact_status(%s::text::xid8)"
_END_BACKEND: Final = (
    b"SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE backend_xid = %s::text::xid8::xid"
)
_TIME: Final = b"SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
_ENDED_BETWEEN: Final = b"SELECT EXISTS (SELECT FROM headbox_task_history WHERE id BETWEEN %b AND %b)"
_BEGUN: Final = ("claim", "passed_over")
_ENDS: Final = ("add_run", "archive_end", "archive_ends")
# A callable that a worker is just publishing must not be found unknown: registrations are waited for.
_BEFORE: Final = {"worker_names": b"LOCK TABLE headbox_workers IN SHARE MODE"}


@cache
def _statements(*, reading: bool) -> dict[str, bytes]:
    return {name: formatted(sql) for name, sql in load("postgres", reading=reading).items()}


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
        self._cursor = psycopg.Cursor(connection, row_factory=tuple_row)
        if not isinstance(connection, Connection):  # a caller's own
            adapt(self._cursor.adapters)
            adapt_columns(self._cursor.adapters)
        self._statements = _statements(reading=reading)
        self._reading = reading
        self._undo = undo
        self.is_doomed = False
        self.news = News()
        self._frontier = frontier or Frontier()
        self._firsts: dict[tuple[str, bool, int], Start] = {}

    def one(self, name: str, /, **parameters: Any) -> Row | None:
        return self._run(name, self._begun(name, parameters)).fetchone()

    def all(self, name: str, /, **parameters: Any) -> list[Row]:
        if name == "levels":
            return self._levels(**parameters)
        if not self._reading and name in _BEFORE:
            self._cursor.execute(_BEFORE[name])
        rows = self._run(name, self._begun(name, parameters)).fetchall()
        if name == "claim" and rows:
            self._note_claimed(rows)
        return rows

    def change(self, name: str, /, **parameters: Any) -> int:
        cursor = self._run(name, parameters)
        self._note(name)
        return cursor.rowcount

    def many(self, name: str, /, names: tuple[str, ...], rows: Rows) -> int:
        if not rows:
            return 0
        given = columns(names, rows)
        if name == "add_task":
            self.news.queues.update(given["queue"])
            if len(rows) >= COPY_ROWS and self._undo is None and not self._may_have_ended(given["id"]):
                return self._copy(names, rows)
        return self.change(name, **given)

    # claims begin where the level does

    def _levels(self, queues: str | None) -> list[Row]:
        frontier = self._frontier
        known = frontier.known(queues)
        if known is None:
            rows = self._run("levels", {"queues": queues}).fetchall()
            found = as_starts(rows)
            frontier.note(queues, found, rows[0][5])
        elif known:
            found = as_starts(self._run("known_levels", columns(Start._fields, known)).fetchall())
            frontier.note(queues, found)
        else:
            found = []
        self._firsts = {start.level: start for start in found}
        return [start[:4] for start in found]

    def _begun(self, name: str, parameters: dict[str, Any]) -> dict[str, Any]:
        if name not in _BEGUN:
            return parameters
        first = self._firsts[parameters["queue"], parameters["is_async"], parameters["priority"]]
        return {**parameters, "first_time": first.due_time, "first_id": first.id}

    def _note_claimed(self, rows: list[Row]) -> None:
        self.news.has_claimed = True
        last = max((Task(*row) for row in rows), key=attrgetter("due_time", "id"))
        self._frontier.note_claimed((last.queue, last.is_async, last.priority), last.due_time, last.id)

    # many tasks at once

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

    def batch(self, name: str, /, names: tuple[str, ...], rows: Rows, **parameters: Any) -> int:
        return self.change(name, **columns(names, rows, texts=True), **parameters) if rows else 0

    def select(self, sql: str, parameters: Mapping[str, Any]) -> Iterator[Row]:
        with psycopg.Cursor(self._connection, row_factory=tuple_row) as cursor:
            return iter(cursor.execute(formatted(sql), parameters, binary=True).fetchall())

    def _run(self, name: str, parameters: Mapping[str, Any]) -> psycopg.Cursor[Row]:
        try:
            return self._cursor.execute(self._statements[name], parameters, binary=True)
        except errors.UniqueViolation as error:
            if self._undo is None:
                raise Collision(f"another transaction was first: {error.diag.message_primary}") from error
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


class _StreamingTransaction(PostgresTransaction):
    """Fetches what is consumed as it comes."""

    def select(self, sql: str, parameters: Mapping[str, Any]) -> Iterator[Row]:
        with psycopg.ServerCursor(self._connection, "headbox", row_factory=tuple_row) as cursor:
            cursor.itersize = STREAM_ROWS
            yield from cursor.execute(formatted(sql), parameters, binary=True)


class _SingleStatement(PostgresTransaction):
    """One statement is a consistent reading by itself; the second one ends it."""

    _asked = False

    def _run(self, name: str, parameters: Mapping[str, Any]) -> psycopg.Cursor[Row]:
        self._ask()
        return super()._run(name, parameters)

    def select(self, sql: str, parameters: Mapping[str, Any]) -> Iterator[Row]:
        self._ask()
        return super().select(sql, parameters)

    def _ask(self) -> None:
        if self._asked:
            raise _MoreThanOne
        self._asked = True


class _MoreThanOne(Exception):
    """A work needs a transaction after all."""


class PostgresDatabase:
    """One database of a server. Nothing is opened before first use; after a fork everything is opened afresh."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.info = read_url(url)
        given = conninfo.conninfo_to_dict(self.info)
        self.where = f"postgresql://{given.get('host') or ''}:{given.get('port') or 5432}/{given.get('dbname') or ''}"
        self.connections = Connections(self.info, self.where, self.prepare)
        self.notices = Notices()
        self._frontier = Frontier()
        self.patience = PATIENCE

    @staticmethod
    def prepare(connection: Connection) -> None:
        """Makes a new connection fit for transactions."""
        adapt_columns(connection.adapters)

    # writing

    def write(self, work: Callable[[Transaction], T]) -> T:
        """Runs `work` in a transaction. When the connection breaks before it has committed it is run again, on another
        one, for as long as `patience` allows; whether a commit whose answer was lost took place is found out."""
        return self._patiently(lambda attempt, end: self._write(work, attempt, end))

    def _write(self, work: Callable[[Transaction], T], attempt: int, end: float) -> T:
        with sentences(self.where), self.connections.lend() as connection:
            xid = _begin(connection)
            # The first collision may be with somebody who has just committed: then all is looked at again.
            transaction = PostgresTransaction(connection, _AGAIN if attempt else None, frontier=self._frontier)
            try:
                value = work(transaction)
                if transaction.is_doomed:
                    raise StorageError("nothing was written: another task is in the way")
                self._commit(connection, xid, end)
            except BaseException:
                _roll_back(connection)
                raise
            if not transaction.news.queues:
                self.notices.note_own(xid)
            with suppress(psycopg.Error):  # who was not told looks by itself in a while
                if not connection.closed:
                    self.notices.tell(connection, transaction.news)
            return value

    def _commit(self, connection: Connection, xid: str, end: float) -> None:
        try:
            done = connection.command(b"COMMIT")
        except psycopg.OperationalError as error:
            if not is_broken(error):
                raise
            connection.close()
            if not self._has_committed(xid, max(end, time.monotonic() + 1.0)):
                raise ConnectionLost(
                    f"{self.where}: the connection broke, and nothing was written; try again"
                ) from error
        else:
            if done.statusmessage != "COMMIT":
                raise StorageError(
                    f"{self.where}: a statement had failed, so nothing was written; see the server's log"
                )

    def _has_committed(self, xid: str, end: float) -> bool:
        """Whether a transaction whose commit was not answered took place. One that still waits for its commit, on a
        connection that is gone, is ended."""
        for pause in pauses():
            try:
                with self.connections.lend() as connection:
                    (status,) = connection.execute(_STATUS, [xid]).fetchone() or (None,)
                    if status != "in progress":
                        return bool(status == "committed")
                    connection.execute(_END_BACKEND, [xid])
            except errors.InvalidParameterValue:
                return False  # a server that took over, and has not come as far
            except (psycopg.Error, StorageUnavailable) as error:
                logger.debug("cannot ask yet whether transaction %s has committed: %s", xid, error)
            if time.monotonic() > end:
                raise StorageUnavailable(
                    f"{self.where}: the connection broke while it committed; what was asked may have been done or not:"
                    " look before you ask again"
                )
            time.sleep(pause)
        raise AssertionError("pauses never end")

    def _patiently(self, attempt: Callable[[int, float], T]) -> T:
        end = time.monotonic() + self.patience
        waits = pauses()
        for number in count():
            try:
                return attempt(number, end)
            except Collision:
                if number >= COLLISIONS:
                    raise
            except ConnectionLost:
                pause = next(waits)
                if time.monotonic() + pause > end:
                    raise
                time.sleep(pause)
        raise AssertionError("counting never ends")

    # reading

    def read(self, work: Callable[[Transaction], T]) -> T:
        """Runs `work` on one consistent reading: on a single statement if that is all it takes."""

        def attempt(_number: int, _end: float) -> T:
            try:
                with sentences(self.where), self.connections.lend() as connection:
                    return work(_SingleStatement(connection, reading=True, frontier=self._frontier))
            except _MoreThanOne:
                with self._snapshot(PostgresTransaction) as transaction:
                    return work(transaction)

        return self._patiently(attempt)

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        with self._snapshot(_StreamingTransaction) as transaction:
            yield transaction

    @contextmanager
    def _snapshot(self, kind: type[PostgresTransaction]) -> Iterator[PostgresTransaction]:
        with sentences(self.where), self.connections.lend() as connection:
            connection.command(READ)
            try:
                yield kind(connection, reading=True, frontier=self._frontier)
            finally:
                _roll_back(connection)

    def ask(self, question: Callable[[Connection], T]) -> T:
        """What a question to the server itself gives, asked outside of any transaction."""

        def attempt(_number: int, _end: float) -> T:
            with sentences(self.where), self.connections.lend() as connection:
                return question(connection)

        return self._patiently(attempt)

    # a caller's transaction

    @contextmanager
    def join(self, connection: Any) -> Iterator[Transaction]:
        own = driver_connection(connection)
        if not isinstance(own, psycopg.Connection):
            raise StorageError(
                "the queue's database is PostgreSQL: connection= takes a psycopg.Connection, or a connection or session"
                f" of SQLAlchemy over one (postgresql+psycopg), not {type(own).__module__}.{type(own).__name__}"
            )
        with sentences(f"the database {own.info.dbname} of the connection"):
            if own.autocommit and own.pgconn.transaction_status == TransactionStatus.IDLE:
                with own.transaction(), _savepoint(own) as transaction:  # none to join: it is accepted at once
                    yield transaction
            else:
                with _savepoint(own) as transaction:
                    yield transaction

    def is_unique_violation(self, error: Exception) -> bool:
        return isinstance(error, errors.UniqueViolation) and not str(error.diag.constraint_name).endswith("_pkey")

    # workers: alive until their lease runs out, by the database's clock

    def enlist(self, worker: str) -> None:
        """A lease begins with the worker's row."""

    def discharge(self, worker: str) -> None:
        """A lease ends with the worker's row."""

    def is_alive(self, worker: Worker, now: Instant) -> bool:
        """Whether the lease that the last heartbeat renewed still runs at `now`."""
        return worker.heartbeat_time + worker.lease >= now

    def time(self) -> Instant:
        """What the database's clock shows."""
        (now,) = self.ask(lambda connection: connection.execute(_TIME).fetchone()) or (0,)
        return int(now)

    def close(self) -> None:
        """Closes the idle connections; the next use opens afresh."""
        self.connections.close()


def _begin(connection: Connection) -> str:
    """Begins a transaction that writes, and gives its id: by it one can find out later whether it has committed."""
    settings = f"{SETTINGS.format(local=True)}; " if connection.is_pooled else ""
    cursor = connection.command(f"{_WRITE}; {settings}SELECT pg_current_xact_id()::text".encode())
    while cursor.nextset():
        pass
    (xid,) = cursor.fetchone() or ("",)
    return str(xid)


def _roll_back(connection: Connection) -> None:
    if not connection.closed:
        with suppress(psycopg.Error):  # a connection that cannot even do this is closed when it is given back
            connection.command(b"ROLLBACK")


@contextmanager
def _savepoint(connection: psycopg.Connection[Any]) -> Iterator[PostgresTransaction]:
    connection.execute(b"SAVEPOINT headbox")
    transaction = PostgresTransaction(connection, b"ROLLBACK TO SAVEPOINT headbox")
    try:
        yield transaction
        if notices := transaction.news.notices():
            send(connection, notices)
    except BaseException:
        with suppress(psycopg.Error):  # the first error tells more
            connection.execute(b"ROLLBACK TO SAVEPOINT headbox; RELEASE SAVEPOINT headbox")
        raise
    connection.execute(b"RELEASE SAVEPOINT headbox")


def pauses() -> Iterator[float]:
    """Seconds to wait before each next attempt: ever longer up to one, and no two processes alike."""
    pause = 0.025
    while True:
        yield pause * random.uniform(0.5, 1.5)
        pause = min(2 * pause, 1.0)
