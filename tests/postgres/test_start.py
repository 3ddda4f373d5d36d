"""What it costs to start a task on a worker that has nothing to do: statements and notices, which are round trips."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from headbox.domain.task import HOUR
from headbox.storage.postgres.connections import Connection
from headbox.storage.postgres.store import PostgresStore
from headbox.storage.postgres.watch import PostgresWatch
from headbox.storage.records import ClaimRequest, Claims
from tests.postgres.conftest import NOON, a_task, a_worker, end_backends
from tests.postgres.fleet import counted

REQUEST = ClaimRequest(queues=(), limit=4, async_limit=100)


def settle(watch: PostgresWatch) -> None:
    """Until it has looked again, and found nothing."""
    while watch.wait(0.02) or watch._gap:
        pass


@pytest.fixture
def worker(url: str) -> Iterator[tuple[PostgresStore, PostgresWatch]]:
    """The store of a worker that is idle, and what it hears."""
    store = PostgresStore(url, HOUR)
    store.register(a_worker("w"), [], [], NOON)
    watch = store.watch("w")
    store.claim("w", REQUEST, NOON)
    settle(watch)
    yield store, watch
    watch.close()
    store.close()


def test_a_start_is_an_enqueue_a_notice_and_a_claim_of_one_statement_each(
    store: PostgresStore, worker: tuple[PostgresStore, PostgresWatch], admin: psycopg.Connection[Any]
) -> None:
    working, watch = worker
    admin.execute("LISTEN headbox")
    for _ in range(3):
        with counted() as said:
            store.enqueue([a_task()], NOON)
        assert said.total() == 1
        assert watch.wait(10) and not watch._asked_time  # it is told: it asks nothing
        with counted() as said:
            claims = working.claim("w", REQUEST, NOON)
        assert isinstance(claims, Claims) and len(claims.tasks) == 1
        assert said.total() == 1
        settle(watch)
    assert len(list(admin.notifies(timeout=0.1))) == 3


def test_what_was_seen_when_it_claimed_is_no_reason_to_look_again(worker: tuple[PostgresStore, PostgresWatch]) -> None:
    working, watch = worker
    watch._snapshot = "10:10:"
    working._server.frontier.snapshots[None] = "12:12:"
    assert not watch._has_moved("12:12:", 1000.0)
    assert watch._has_moved("12:13:", 1000.0)
    watch._cancel_time = 999.5  # others may have been canceled since, of which a claim sees nothing
    assert watch._has_moved("12:12:", 1000.0)


def test_a_wake_for_nothing_is_one_statement_that_writes_nothing(worker: tuple[PostgresStore, PostgresWatch]) -> None:
    working, _ = worker
    working.enqueue([a_task(due_time=NOON + HOUR)], NOON)
    own = list(working._server.notices.own)
    with counted() as said:
        assert working.claim("w", REQUEST, NOON) == NOON + HOUR
    assert said.total() == 1
    assert list(working._server.notices.own) == own  # it was no transaction with an id


def test_a_cancel_that_is_not_told_is_heard_of_though_the_worker_has_claimed_meanwhile(
    store: PostgresStore, worker: tuple[PostgresStore, PostgresWatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    working, watch = worker
    tasks = store.enqueue([a_task(), a_task()], NOON)
    working.claim("w", REQUEST, NOON)
    settle(watch)
    store.cancel(tasks[0].id, NOON)
    assert watch.wait(10)
    monkeypatch.setattr(store._server.notices, "_due", lambda notices: [])  # as if another was just told
    store.cancel(tasks[1].id, NOON)
    working.claim("w", REQUEST, NOON)
    assert watch.wait(10)


def test_who_tells_waits_for_no_answer_and_learns_from_it_how_many_hear(
    store: PostgresStore, worker: tuple[PostgresStore, PostgresWatch]
) -> None:
    working, _ = worker
    for number in range(4):
        working.register(a_worker(f"w{number}"), [], [], NOON)
    store.enqueue([a_task()], NOON)
    (connection,) = store._server.connections._idle
    assert connection.is_left
    store.get(store.enqueue([a_task()], NOON)[0].id)
    assert store._server.notices.workers == 5


def test_an_answer_that_never_comes_costs_only_the_connection(
    store: PostgresStore, admin: psycopg.Connection[Any]
) -> None:
    store.enqueue([a_task()], NOON)
    (connection,) = store._server.connections._idle
    assert isinstance(connection, Connection) and connection.is_left
    assert end_backends(admin) >= 1
    assert store.get(store.enqueue([a_task()], NOON)[0].id).state == "waiting"


def test_who_waits_again_and_again_says_so_now_and_then(store: PostgresStore, admin: psycopg.Connection[Any]) -> None:
    admin.execute("LISTEN headbox_waiting")
    for _ in range(5):
        store.watch().close()
    assert len(list(admin.notifies(timeout=0.1))) == 1
    store._server.notices.renewal_time = 0.0  # some seconds later
    store.watch().close()
    assert len(list(admin.notifies(timeout=0.1))) == 1
