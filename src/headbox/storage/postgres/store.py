"""The store on PostgreSQL: the verbs of sql_store.py and those about the database itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import psycopg
from msgspec.structs import replace

from headbox.clock import Clock
from headbox.domain.errors import StorageError
from headbox.domain.task import Instant, Span, Task
from headbox.storage import exchange, lifecycle, statistics
from headbox.storage.housekeeping import accept_housekeeping
from headbox.storage.lookups import Lookup
from headbox.storage.postgres import backup as postgres_backup
from headbox.storage.postgres import claiming
from headbox.storage.postgres import migrate as postgres_migrate
from headbox.storage.postgres.backup import TABLES
from headbox.storage.postgres.connections import Connection, connect
from headbox.storage.postgres.database import READ, PostgresDatabase
from headbox.storage.postgres.errors import sentences
from headbox.storage.postgres.grouping import Grouping
from headbox.storage.postgres.transaction import PostgresTransaction
from headbox.storage.postgres.watch import PostgresWatch
from headbox.storage.records import ClaimRequest, Claims, Exchange, Report, Survey
from headbox.storage.sql_store import SQLStore

T = TypeVar("T")

_SIZE: Final = b"SELECT sum(pg_total_relation_size(to_regclass(name)))::bigint FROM unnest(%s::text[]) AS name"
_INVALID_INDEXES: Final = b"""SELECT indexrelid::regclass::text FROM pg_index
    WHERE NOT indisvalid AND indrelid IN (SELECT to_regclass(name) FROM unnest(%s::text[]) AS name)"""
MANY: Final = 100  # ends that are worth a connection of their own
FEW: Final = 100  # tasks that a caller enqueues, up to which they share a transaction with others
_FAILED_CHECKSUMS: Final = (
    b"SELECT coalesce(checksum_failures, 0) FROM pg_stat_database WHERE datname = current_database()"
)


class PostgresStore(SQLStore):
    """One database that any number of hosts share."""

    def __init__(self, url: str, finished_lifetime: Span) -> None:
        self._server = PostgresDatabase(url)
        self._grouping = Grouping(self._enqueue_few)
        super().__init__(self._server, finished_lifetime)

    def enqueue(self, tasks: Sequence[Task], now: Instant, connection: Any = None) -> list[Task]:
        """Few tasks in one statement, which those of several threads share; many are copied."""
        if connection is not None or not 0 < len(tasks) < FEW:
            return super().enqueue(tasks, now, connection)
        if any(task.unique_key or task.schedule_name for task in tasks):
            self._enqueue_few(tasks, now)  # it may have to wait for somebody's transaction: no other is to wait with it
        else:
            self._grouping.enqueue(tasks, now)
        return list(tasks)

    def _enqueue_few(self, tasks: Sequence[Task], now: Instant) -> None:
        self._server.write_alone(
            lambda tx: tx.enqueue(tasks, now),
            statistics.counted(lambda tx: lifecycle.enqueue(self._server, tx, tasks), now),
        )

    def exchange(self, worker: str, report: Report, claim: ClaimRequest | None, now: Instant) -> Exchange:
        """Many ends are recorded while other tasks are claimed, each in a transaction on a connection of its own. Such
        a claim does not see what these ends have made ready, so it is worth asking again."""
        if claim is None or len(report.outcomes) < MANY or not self._server.connections.are_two():
            return super().exchange(worker, report, claim, now)
        with ThreadPoolExecutor(1, "headbox-report") as beside:
            telling = beside.submit(super().exchange, worker, report, None, now)
            claims = super().exchange(worker, Report(), claim, now).claims
        return replace(telling.result(), claims=claims and replace(claims, next_time=None, more=True))

    @property
    def patience(self) -> float:
        """Seconds that a call waits for a database that is away, before StorageUnavailable."""
        return self._server.patience

    @patience.setter
    def patience(self, seconds: float) -> None:
        self._server.patience = seconds

    @property
    def beside(self) -> None:
        """The database is a server's."""

    def time(self) -> Instant:
        """What the database's clock shows."""
        return self._server.time()

    def clock(self) -> Clock:
        """The database's clock, which all hosts share."""
        return self._server.clock

    async def look_up_on_loop(self, lookup: Lookup[T]) -> T:
        """The loop itself waits for the server's answer."""
        return await self._server.look_up_on_loop(lookup)

    @property
    def is_remote(self) -> bool:
        """The database is a server's."""
        return True

    @property
    def has_leases(self) -> bool:
        """A worker is alive for as long as it renews its lease."""
        return True

    def claim(self, worker: str, request: ClaimRequest, now: Instant) -> Claims | Instant | None:
        """In one statement, if nothing stands against it."""
        if not claiming.is_simple(request, self._server.frontier):
            return super().claim(worker, request, now)
        together = statistics.counted(lambda tx: exchange.claim(tx, worker, request, now), now)
        claims = self._server.write_alone(lambda tx: claiming.claim(tx, worker, request, now), together)
        if isinstance(claims, Claims) and claims.more and not claims.tasks:
            return self.exchange(worker, Report(), request, now).claims
        return claims

    def bring_forward(self, now: Instant) -> int:
        """As any store's; and what was brought forward is found at once."""
        count = super().bring_forward(now)
        if count:
            self._server.frontier.look_from_the_start()
        return count

    def survey(self, worker: str) -> Survey:
        """As any store's; and who listens learns how many others do."""
        survey = super().survey(worker)
        self._server.notices.workers = survey.workers
        return survey

    def initialise(self, now: Instant) -> None:
        """Creates the schema in an empty database; in any other, StorageError if this code cannot work with it."""
        version, oldest = self._server.ask(postgres_migrate.read_version)
        if version:
            postgres_migrate.refuse_others(version, oldest)
        else:
            self.upgrade(now)

    def upgrade(self, now: Instant, *, finish: bool = False) -> None:
        """Applies the pending migrations; to `finish`, also those that code of the version before cannot bear."""
        with self._connected() as connection, postgres_migrate.locked(connection):
            fresh = postgres_migrate.read_version(connection)[0] == 0
            postgres_migrate.upgrade(connection, finish=finish)
            if fresh:
                accept_housekeeping(self._server, PostgresTransaction(connection), now)

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        """A connection for what may take long."""
        with sentences(self._server.where):
            connection = connect(self._server.info, self._server.where)
            try:
                self._server.prepare(connection)
                connection.answer_seconds = None
                yield connection
            finally:
                connection.close()

    def status(self, patience: float | None = None) -> dict[str, Any]:
        """What `db status` and readiness show."""
        return self._server.ask(self._describe, patience)

    def _describe(self, connection: Connection) -> dict[str, Any]:
        version, _ = postgres_migrate.read_version(connection)
        pending, final = postgres_migrate.pending(version)
        (size,) = connection.execute(_SIZE, [list(TABLES)]).fetchone() or (0,)
        return {
            "url": self._server.where,
            "kind": f"PostgreSQL {connection.info.parameter_status('server_version')}",
            "schema_version": version,
            "pending_migrations": pending,
            "pending_final_migrations": final,
            "size": size or 0,
        }

    def check(self) -> list[str]:
        """Reads every row and its indexes' states; what the server has noticed of damage beside."""
        problems = []
        with self._connected() as connection:
            for (index,) in connection.execute(_INVALID_INDEXES, [list(TABLES)]).fetchall():
                problems.append(f"the index {index} is not valid: run REINDEX INDEX {index}")
            (failed,) = connection.execute(_FAILED_CHECKSUMS).fetchone() or (0,)
            if failed:
                problems.append(f"{failed} pages failed their checksums: see the server's log, and restore a backup")
            for table in TABLES:
                try:
                    connection.execute(f"SELECT sum(length(t::text)) FROM {table} AS t".encode())  # noqa: S608 - a constant
                except psycopg.DatabaseError as error:
                    if isinstance(error, psycopg.errors.UndefinedTable | psycopg.OperationalError):
                        raise
                    problems.append(f"{table}: {error}")
        return problems

    def backup(self, path: str) -> None:
        """A consistent copy of Headbox's tables, as a script for `psql`; refuses to overwrite."""
        with postgres_backup.create(path) as file, self._connected() as connection:
            connection.execute(READ)
            version, _ = postgres_migrate.read_version(connection)
            if not version:
                raise StorageError(f"{self._server.where}: it has no Headbox tables; there is nothing to copy")
            postgres_backup.write(connection, version, file)

    def watch(self, worker: str | None = None, queues: Sequence[str] = ()) -> PostgresWatch:
        """A watch with a connection of its own."""
        return PostgresWatch(self._server, worker, queues)

    def checkpoint(self) -> None:
        """Nothing: the server does that."""

    def close(self) -> None:
        """Closes every connection; the next use opens afresh."""
        self._server.close()
