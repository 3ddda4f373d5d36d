"""What PostgreSQL alone promises: connections that break, commits that are not answered, notices, a caller's own
transaction. Everything that both databases promise is held by tests/conformance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from headbox.domain.task import HOUR, SECOND, Task
from headbox.identifiers import new_id
from headbox.storage.postgres.store import PostgresStore
from headbox.storage.records import Worker
from tests import postgres_server
from tests.postgres_server import NOON
from tests.tcp_proxy import Proxy, proxied


@pytest.fixture
def empty() -> Iterator[str]:
    """The URL of a database of the test's own, without a table."""
    with postgres_server.database() as url:
        yield url


@pytest.fixture
def url() -> Iterator[str]:
    """The URL of a database as a first start leaves it, its tables used before."""
    with postgres_server.initialised() as url:
        yield url


@pytest.fixture
def store(url: str) -> Iterator[PostgresStore]:
    store = PostgresStore(url, HOUR)
    store.initialise(NOON)
    yield store
    store.close()


@pytest.fixture
def proxy(url: str) -> Iterator[tuple[Proxy, str]]:
    with proxied(url) as proxy:
        yield proxy


@pytest.fixture
def admin(url: str) -> Iterator[psycopg.Connection[Any]]:
    """Somebody else, who may do everything."""
    with psycopg.connect(url, autocommit=True, application_name="somebody else") as connection:
        yield connection


def a_task(**changes: Any) -> Task:
    given = {"id": new_id(), "run": 1, "state": "waiting", "queue": "default", "priority": 0, "due_time": NOON}
    return Task(**{**given, "callable": "shop:pack", "method_name": "pack", "enqueue_time": NOON, **changes})


def a_worker(id: str) -> Worker:
    return Worker(
        id=id, host="mill", boot_id="boot", pid=1, process_start=1, app=None, queues=(), concurrency=4,
        start_time=NOON, heartbeat_time=NOON, lease=20 * SECOND,
    )  # fmt: skip


def end_backends(admin: psycopg.Connection[Any]) -> int:
    """Ends every other connection to this database; how many there were."""
    rows = admin.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    ).fetchall()
    return len(rows)


def with_wrong_password(url: str) -> str:
    """The same, with a password that the server refuses."""
    return url.replace(f":{urlsplit(url).password}@", ":wrong@")
