"""PostgreSQL: what becomes of transactions when a connection breaks, a caller's own ones, and leases. No SQL of the
domain."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any, Final, TypeVar, cast

import psycopg
from psycopg import conninfo, errors
from psycopg.pq import TransactionStatus

from headbox.clock import SharedClock, boot_time
from headbox.domain.errors import OutcomeUnknown, StorageError, StorageUnavailable
from headbox.domain.task import Instant
from headbox.storage.callers import driver_connection
from headbox.storage.database import Transaction
from headbox.storage.lookups import Lookup
from headbox.storage.postgres.arrays import adapt_columns, encoded
from headbox.storage.postgres.connections import INCARNATION, SETTINGS, Connection, Connections, read_url
from headbox.storage.postgres.errors import Collision, ConnectionLost, is_broken, sentences
from headbox.storage.postgres.frontier import Frontier
from headbox.storage.postgres.notices import Notices, send
from headbox.storage.postgres.transaction import (
    MoreThanOne,
    PostgresTransaction,
    SingleStatement,
    StreamingTransaction,
)
from headbox.storage.queries import load, with_dollars
from headbox.storage.records import Worker

T = TypeVar("T")

logger = logging.getLogger(__name__)

PATIENCE = 5.0  # seconds that a call waits for a database that is away
COLLISIONS = 10  # after which a transaction that others keep interfering with is given up

_WRITE: Final = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
_AGAIN: Final = f"ROLLBACK; {_WRITE}".encode()
READ: Final = b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_STATUS: Final = f"SELECT pg_xact_status(%s::text::xid8), {INCARNATION}".encode()
_END_BACKEND: Final = (
    b"SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE backend_xid = %s::text::xid8::xid"
)
_UNKNOWN: Final = (
    "the connection broke while it committed; what was asked may have been done or not: look before you ask again"
)
_TIME: Final = b"SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"


# Under the collation "C" small letters cost half of what they cost under the database's own, which ILIKE asks twice
# for each text. With the word ESCAPE, a plan that is kept would put the pattern together anew for each text.
LIKE: Final = 'lower({} COLLATE "C") LIKE {}'.format
NAMES: Final = ("method_name", "callable", "class_name", "job_id", "schedule_name", "exception")
_TOLD: Final = "encode({}, 'escape')"
# Where public JSON is missing the payload itself is plain JSON, and of bytes what is beyond ASCII is told in octal.
SEARCHED: Final = (
    *(LIKE(name, ":pattern") for name in NAMES),
    *(
        f"coalesce({LIKE('public_' + payload, ':pattern')}, {LIKE(_TOLD.format(payload), ':octal')})"
        for payload in ("args", "kwargs")
    ),
)


class PostgresDatabase:
    """One database of a server. Nothing is opened before first use; after a fork everything is opened afresh."""

    searched = " OR ".join(SEARCHED)

    def __init__(self, url: str) -> None:
        self.url = url
        self.info = read_url(url)
        given = conninfo.conninfo_to_dict(self.info)
        self.where = f"postgresql://{given.get('host') or ''}:{given.get('port') or 5432}/{given.get('dbname') or ''}"
        self.connections = Connections(self.info, self.where, self.prepare)
        self.notices = Notices()
        self.frontier = Frontier()
        self.patience = PATIENCE
        self.clock = SharedClock(self.time, prepare=self.time)  # that one may open a connection

    @staticmethod
    def prepare(connection: Connection) -> None:
        """Makes a new connection fit for transactions."""
        adapt_columns(connection.adapters)

    # writing

    def write(
        self, work: Callable[[Transaction], T], *, is_repeatable: bool = False, dies_with_machine: bool = False
    ) -> T:
        """Runs `work` in a transaction. When the connection breaks before it has committed it is run again, on another
        one, for as long as `patience` allows. Where the answer to the commit was lost, it is found out whether it took
        place; where that cannot be known, a repeatable work is run again. `dies_with_machine` changes nothing: the
        server can stop alone, and its workers would run twice what it had forgotten to be claimed."""
        return self._patiently(lambda attempt, end: self._write(work, attempt, end, is_repeatable))

    def _write(self, work: Callable[[Transaction], T], attempt: int, end: float, is_repeatable: bool) -> T:
        with sentences(self.where), self.connections.lend() as connection:
            return self._transact(connection, work, attempt, end, is_repeatable)

    def _transact(
        self, connection: Connection, work: Callable[[Transaction], T], attempt: int, end: float, is_repeatable: bool
    ) -> T:
        xid = _begin(connection)
        # The first collision may be with somebody who has just committed: then all is looked at again.
        transaction = PostgresTransaction(connection, _AGAIN if attempt else None, frontier=self.frontier)
        try:
            value = work(transaction)
            if transaction.is_doomed:
                raise StorageError("nothing was written: another task is in the way")
            self._commit(connection, xid, is_repeatable, end)
        except BaseException:
            _end(connection, b"ROLLBACK")
            raise
        if not transaction.news.queues:
            self.notices.note_own(xid)
        self._tell(connection, transaction)
        return value

    def _tell(self, connection: Connection, transaction: PostgresTransaction) -> None:
        with suppress(psycopg.Error):  # who was not told looks by itself in a while
            if not connection.closed:
                self.notices.tell(connection, transaction.news)

    def write_alone(
        self, work: Callable[[SingleStatement], T], otherwise: Callable[[Transaction], T] | None = None
    ) -> T:
        """One statement, without a transaction around it. A pooler's connection needs one for its settings, and so does
        who is to find out what was in the way; then `otherwise` is run, if it is given."""
        in_transaction = otherwise or cast("Callable[[Transaction], T]", work)

        def attempt(number: int, end: float) -> T:
            with sentences(self.where), self.connections.lend() as connection:
                if connection.is_pooled or number:
                    return self._transact(connection, in_transaction, number, end, is_repeatable=True)
                return self._run_alone(connection, work)

        return self._patiently(attempt)

    def _commit(self, connection: Connection, xid: str, is_repeatable: bool, end: float) -> None:
        try:
            done = connection.command(b"COMMIT")
        except psycopg.OperationalError as error:
            if not is_broken(error):
                raise
            connection.close()
            match self._find_out(xid, connection.incarnation, max(end, time.monotonic() + 1.0)):
                case True:
                    return
                case False:
                    what = "the connection broke, and nothing was written; try again"
                    raise ConnectionLost(f"{self.where}: {what}") from error
            unknown = ConnectionLost if is_repeatable else OutcomeUnknown
            raise unknown(f"{self.where}: {_UNKNOWN}") from error
        if done.statusmessage != "COMMIT":
            raise StorageError(f"{self.where}: a statement had failed, so nothing was written; see the server's log")

    def _run_alone(self, connection: Connection, work: Callable[[SingleStatement], T]) -> T:
        transaction = SingleStatement(connection, frontier=self.frontier)
        try:
            value = work(transaction)
        except psycopg.OperationalError as error:
            if is_broken(error):
                raise ConnectionLost(f"{self.where}: {_UNKNOWN}") from error
            raise
        if transaction.news.xid and not transaction.news.queues:
            self.notices.note_own(transaction.news.xid)
        self._tell(connection, transaction)
        return value

    def _find_out(self, xid: str, incarnation: str, end: float) -> bool | None:
        """Whether a transaction whose commit was not answered took place; None if that cannot be known. One that still
        waits for its commit, on a connection that is gone, is ended. A server that has crashed since gives the ids of
        what it has forgotten to other transactions: what it says of ours means nothing then."""
        for pause in pauses():
            try:
                with self.connections.lend() as connection:
                    status, now = connection.execute(_STATUS, [xid]).fetchone() or (None, "")
                    if now != incarnation:
                        return None
                    if status != "in progress":
                        return bool(status == "committed")
                    connection.execute(_END_BACKEND, [xid])
            except errors.InvalidParameterValue:
                return None  # a server that took over, and has not come as far
            except (psycopg.Error, StorageUnavailable) as error:
                logger.debug("cannot ask yet whether transaction %s has committed: %s", xid, error)
            if time.monotonic() > end:
                return None
            time.sleep(pause)
        raise AssertionError("pauses never end")

    def _patiently(self, attempt: Callable[[int, float], T], patience: float | None = None) -> T:
        end = time.monotonic() + (self.patience if patience is None else patience)
        waits = pauses()
        for number in count():
            try:
                return attempt(number, end)
            except Collision:
                if number >= COLLISIONS:
                    raise
                if number:
                    time.sleep(next(waits))
            except ConnectionLost:
                pause = next(waits)
                if time.monotonic() + pause > end:
                    raise
                time.sleep(pause)
        raise AssertionError("counting never ends")

    def is_wanted(self) -> bool:
        """Any number write at a time."""
        return False

    is_in_demand = is_wanted

    # reading

    def read(self, work: Callable[[Transaction], T], *, is_long: bool = False) -> T:
        """Runs `work` on one consistent reading: on a single statement if that is all it takes. Where it takes more the
        first is asked twice, unless it is told to be long."""

        def attempt(_number: int, _end: float) -> T:
            with suppress(MoreThanOne):
                if not is_long:
                    with sentences(self.where), self.connections.lend() as connection:
                        return work(SingleStatement(connection, reading=True, frontier=self.frontier))
            with self._snapshot(PostgresTransaction) as transaction:
                return work(transaction)

        return self._patiently(attempt)

    async def look_up_on_loop(self, lookup: Lookup[T]) -> T:
        """What a lookup gives, tried once; StorageUnavailable if all connections are in use."""
        statements, row = load("postgres", reading=True), None
        names, values = tuple(lookup.parameters), [*map(encoded, lookup.parameters.values())]
        with sentences(self.where):
            async with self.connections.lend_on_loop() as connection:
                for name in lookup.names:
                    row = row or await connection.first_row(with_dollars(statements[name], names), values)
        return lookup.make(row)

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        with self._snapshot(StreamingTransaction) as transaction:
            yield transaction

    @contextmanager
    def _snapshot(self, kind: type[PostgresTransaction]) -> Iterator[PostgresTransaction]:
        with sentences(self.where), self.connections.lend() as connection:
            connection.command(READ)
            try:
                yield kind(connection, reading=True, frontier=self.frontier)
            finally:
                _end(connection, b"COMMIT")  # after a ROLLBACK psycopg would have all prepared statements forgotten

    def ask(self, question: Callable[[Connection], T], patience: float | None = None) -> T:
        """What a question to the server itself gives, asked outside of any transaction. `patience`: seconds, if it is
        not that of all calls."""

        def attempt(_number: int, _end: float) -> T:
            with sentences(self.where), self.connections.lend() as connection:
                return question(connection)

        return self._patiently(attempt, patience)

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
        """Whether the lease that the last heartbeat renewed still runs at `now`. Where the server's clock was set, that
        is not known of heartbeats from before: by the end of another lease there are new ones of all who live."""
        was_set = self.clock.set_at
        if was_set is not None and boot_time() - was_set < worker.lease * 1000:
            return True
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


def _end(connection: Connection, command: bytes) -> None:
    if not connection.closed:
        with suppress(psycopg.Error):  # a connection that cannot even do this is closed when it is given back
            connection.command(command)


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
