"""`python -m benchmarks.scale`: what a claim, a list and an idle worker cost when there is much in the database. The
tables are filled by SQL; the claims and lists are the store's own. PostgreSQL is the server of the tests."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import psycopg

from benchmarks.tables import Tables, numbered_id
from headbox import TaskQueue
from headbox.clock import boot_time
from headbox.domain.outcomes import Outcome
from headbox.domain.task import DAY, HOUR, MINUTE, SECOND
from headbox.storage import exchange
from headbox.storage.postgres.arrays import adapt_columns
from headbox.storage.postgres.connections import connect, read_url
from headbox.storage.postgres.store import PostgresStore
from headbox.storage.postgres.transaction import PostgresTransaction
from headbox.storage.records import ClaimRequest, Filter, Report, Worker
from servers.postgres import Server, in_database
from tests.postgres.fleet import Fleet, counted

CLAIM = 64  # tasks that one claim takes
CLAIMS = 20  # that are timed
WORKER = "scale"
PARTS = ("idle", "fleet", "claims", "lists")
LEASE = 20 * SECOND  # HEADBOX_LEASE as it comes
SETTLE = 20.0  # seconds after which an idle worker is idle


class LoggedServer(Server):
    """Tells what it was asked."""

    @property
    def log(self) -> list[str]:
        return self._log


class Crowd:
    """A database to be filled by SQL, and a worker's row in it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.queue = TaskQueue(url)
        self.store = self.queue.store
        self.now = self.queue.clock.now()
        self.store.initialise(self.now)
        self.tables = Tables(url)
        self.task = self.queue.task(name="nothing")(_nothing)
        row = Worker(
            id=WORKER, host="", boot_id="", pid=os.getpid(), process_start=0, app=None, queues=(), concurrency=4,
            start_time=self.now, heartbeat_time=self.now, lease=DAY, names=("nothing",), declares=(),
        )  # fmt: skip
        self.store.register(row, [], [], self.now)

    def add_waiting(self, count: int, due: int, priority: int) -> None:
        """Tasks that wait, due one microsecond after the other from `due` on."""
        kind = f"{priority}-{count}-{due - self.now}"
        one = self.task.options(priority=priority).enqueue()
        self.tables.multiply("headbox_tasks", one.id, count, id=numbered_id(kind), due_time=f"{due} + n")

    def add_archived(self, count: int, span: int) -> None:
        """Runs that have ended, evenly over the last `span`, and their ids in that order."""
        one = self.task.enqueue()
        self.store.exchange(WORKER, Report(), ClaimRequest(queues=(), limit=1), self.queue.clock.now())
        now = self.queue.clock.now()
        self.store.exchange(WORKER, Report(outcomes=[Outcome(one.id, 1, "succeed", now, now)]), None, now)
        gap = span // count
        ended = f"{now} - ({count} - n) * CAST({gap} AS bigint)"
        self.tables.multiply(
            "headbox_task_history", one.id, count, id=numbered_id("0"), start_time=ended, finish_time=ended
        )

    def claim_time(self) -> float:
        """Milliseconds that a claim takes with its transaction: the median."""
        return median(_timed(self._claim) for _ in range(CLAIMS))

    def _claim(self) -> None:
        request = ClaimRequest(queues=(), limit=CLAIM)
        claims = self.store.exchange(WORKER, Report(), request, self.queue.clock.now()).claims
        assert claims is not None and len(claims.tasks) == CLAIM

    def claim_buffers(self) -> dict[str, int]:
        """Pages that each statement of a claim touches (PostgreSQL)."""
        connection = connect(read_url(self.url), "here")
        adapt_columns(connection.adapters)
        with connection:
            connection.execute(b"BEGIN")
            transaction = Explained(connection)
            request = ClaimRequest(queues=(), limit=CLAIM)
            claims = exchange.claim(transaction, WORKER, request, self.queue.clock.now())
            assert len(claims.tasks) == CLAIM
            connection.execute(b"COMMIT")
        return transaction.buffers


class Explained(PostgresTransaction):
    """Runs each statement twice: first explained, and undone."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        super().__init__(connection)
        self.buffers: dict[str, int] = {}

    def _run(self, name: str, parameters: Mapping[str, Any]) -> psycopg.Cursor[Any]:
        explained = b"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + self._statements[name]
        self._cursor.execute(b"SAVEPOINT explained")
        (plans,) = self._cursor.execute(explained, parameters).fetchone() or ([],)
        self._cursor.execute(b"ROLLBACK TO SAVEPOINT explained")
        plan = plans[0]["Plan"]
        self.buffers[name] = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
        return super()._run(name, parameters)


def _nothing() -> None:
    """The least that a task can do."""


def _timed(work: Callable[[], object]) -> float:
    begun = boot_time()
    work()
    return (boot_time() - begun) / 1e6


def claims(crowd: Crowd, waiting: int, future: int) -> None:
    """Claims from ever more waiting tasks, then with others in front that are not due."""
    sizes = [size for size in (10_000, 1_000_000, 5_000_000) if size < waiting] + [waiting]
    had = 0
    for size in sizes:
        crowd.add_waiting(size - had, crowd.now - DAY + had, 0)
        had = size
        _show_claims(crowd, f"{size:,} waiting, just loaded")
        crowd.tables.analyze()
        _show_claims(crowd, f"{size:,} waiting")
    crowd.add_waiting(future, crowd.now + DAY, 9)
    crowd.tables.analyze()
    _show_claims(crowd, f"{waiting:,} waiting, {future:,} urgent ones tomorrow")


def _show_claims(crowd: Crowd, what: str) -> None:
    if crowd.url.startswith("postgresql"):
        buffers = crowd.claim_buffers()
        show(what, "pages", f"{sum(buffers.values()):,}", str(buffers))
    show(what, "ms", f"{crowd.claim_time():.1f}")


def lists(crowd: Crowd, archived: int, span: int) -> None:
    """The first page of lists, and their counts."""
    crowd.add_archived(archived, span)
    crowd.tables.analyze()
    store, now = crowd.store, crowd.queue.clock.now()
    filters = {
        "current": Filter(),
        "state=error": Filter(states=("error",)),
        "state=archived": Filter(states=("archived",)),
        "outcome=error": Filter(outcomes=("error",)),
    }
    for name, filter in filters.items():
        show(f"{archived:,} archived, {name}", "page ms", _three(partial(store.find, filter, now, 100)))
        show(f"{archived:,} archived, {name}", "count ms", _three(partial(store.count, filter, now)))
        show(f"{archived:,} archived, {name}", "counted", f"{store.count(filter, now):,}")
    show(f"{archived:,} archived", "statistics ms", _three(lambda: store.statistics(crowd.queue.clock.now())))


def _three(work: Callable[[], object]) -> str:
    return f"{median(_timed(work) for _ in range(3)):.1f}"


def idle(server: LoggedServer, url: str, seconds: float) -> None:
    """What a worker with nothing to do asks the server."""
    with psycopg.connect(url, autocommit=True) as connection, tempfile.NamedTemporaryFile() as journal:
        connection.execute("ALTER SYSTEM SET log_statement = 'all'")
        connection.execute("SELECT pg_reload_conf()")
        command = [sys.executable, "-m", "headbox", "work", "--app", "benchmarks.application:queue"]
        environment = {**os.environ, "HEADBOX_DATABASE": url, "BENCHMARK_JOURNAL": journal.name}
        worker = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        try:
            time.sleep(SETTLE)
            begin = len(server.log)
            time.sleep(seconds)
            lines = server.log[begin:]
            held = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'headbox' AND pid <> pg_backend_pid()"
            ).fetchone()
        finally:
            worker.terminate()
            worker.wait()
    asked = [match[1] for line in lines if (match := re.search(r"LOG:  (?:statement|execute [^:]+): (.*)", line))]
    show("idle worker", "statements/s", f"{len(asked) / seconds:.2f}")
    show("idle worker", "connections", str(held[0] if held else 0))
    for text, count in Counter(text[:70] for text in asked).most_common():
        show("idle worker", f"x{count}", text)


def fleet(url: str, workers: int) -> None:
    """What many such workers ask in a minute. They are simulated, one after the other; their statements are real."""
    store = PostgresStore(url, HOUR)
    now = store.time()
    store.initialise(now)
    many = Fleet(store, workers, now, LEASE)
    many.run(5 * MINUTE)  # all have come to know each other
    with counted() as said:
        took = _timed(lambda: many.run(MINUTE))
    show(f"{workers:,} idle workers", "statements/s", f"{said.total() / 60:.1f}")
    show(f"{workers:,} idle workers", "a minute of them took s", f"{took / 1000:.1f}")
    for text, count in said.most_common():
        show(f"{workers:,} idle workers", f"x{count}", text)


def show(what: str, figure: str, *values: str) -> None:
    print(f"{what:50} {figure:14} {'  '.join(values)}", flush=True)


@contextmanager
def databases(server: LoggedServer | None) -> Iterator[Callable[[], str]]:
    """Makes the URL of a new database, each time."""
    numbers = iter(range(100))
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCHMARK_FOLDER")) as folder:

        def make() -> str:
            name = f"scale_{next(numbers)}"
            if server is None:
                return f"sqlite:///{Path(folder) / name}.db"
            with psycopg.connect(server.url, autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name}".encode())
            return in_database(server.url, name)

        yield make


def main() -> None:
    """Parses the sizes, runs, prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--database", choices=("postgres", "sqlite"), default="postgres")
    parser.add_argument("--waiting", type=int, default=1_000_000, help="tasks in the backlog")
    parser.add_argument("--future", type=int, default=1_000_000, help="tasks of a higher priority that are not due")
    parser.add_argument("--archived", type=int, default=1_000_000, help="runs that have ended")
    parser.add_argument("--days", type=int, default=1, help="over which they ended")
    parser.add_argument("--seconds", type=float, default=60.0, help="that an idle worker is watched")
    parser.add_argument("--workers", type=int, default=1000, help="with nothing to do, simulated")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=PARTS)
    options = parser.parse_args()
    server = LoggedServer() if options.database == "postgres" else None
    try:
        with databases(server) as make:
            if server is not None and "idle" in options.only:
                idle(server, make(), options.seconds)
            if server is not None and "fleet" in options.only:
                fleet(make(), options.workers)
            if "claims" in options.only:
                claims(Crowd(make()), options.waiting, options.future)
            if "lists" in options.only:
                lists(Crowd(make()), options.archived, options.days * DAY)
    finally:
        if server is not None:
            server.remove()


if __name__ == "__main__":
    main()
