"""A claim over many queues asks PostgreSQL as little as one over a single queue, and reads no more than it takes."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from headbox.domain.outcomes import Outcome
from headbox.domain.task import SECOND
from headbox.storage import exchange
from headbox.storage.postgres.store import PostgresStore
from headbox.storage.records import ClaimRequest, Report
from tests.postgres.conftest import NOON, a_task, a_worker
from tests.postgres.explained import explained
from tests.postgres.fleet import counted

QUEUES = 21


def fill(store: PostgresStore, each: int) -> None:
    for queue in range(QUEUES):
        store.enqueue([a_task(queue=f"q{queue:02}") for _ in range(each)], NOON)


def claim(store: PostgresStore, limit: int = 64) -> int:
    claims = store.exchange("w", Report(), ClaimRequest(queues=(), limit=limit), NOON).claims
    assert claims is not None
    return len(claims.tasks)


@pytest.fixture
def url(empty: str) -> str:
    """Pages are counted, and others would have left theirs."""
    return empty


@pytest.fixture
def working(store: PostgresStore) -> PostgresStore:
    store.register(a_worker("w"), [], [], NOON)
    return store


def test_a_claim_over_many_levels_is_as_many_statements_as_over_one(working: PostgresStore) -> None:
    working.enqueue([a_task()], NOON)
    with counted() as of_one:
        assert claim(working) == 1
    fill(working, each=10)
    with counted() as of_many:
        assert claim(working) == 64
    assert of_many.total() < of_one.total() <= 8  # of one that left none it is asked when the next is due


def test_the_pages_that_a_claim_touches_do_not_grow_with_the_backlog(
    working: PostgresStore, admin: psycopg.Connection[Any]
) -> None:
    pages = []
    for each in (50, 2000):
        fill(working, each)
        admin.execute("VACUUM (ANALYZE) headbox_tasks")
        with explained(working) as transaction:
            request = ClaimRequest(queues=(), limit=64, max_weight=4)
            assert len(exchange.claim(transaction, "w", request, NOON).tasks) == 64
        pages.append(transaction.pages)
    assert pages[1] < 3 * pages[0], pages  # of forty times the backlog


def test_priorities_stay_strict_and_shares_even_while_others_claim(
    working: PostgresStore, admin: psycopg.Connection[Any]
) -> None:
    urgent = [a_task(queue="z", priority=5) for _ in range(3)]
    working.enqueue(urgent, NOON)
    fill(working, each=4)
    with admin.transaction():
        admin.execute("SELECT FROM headbox_tasks WHERE id = %s FOR UPDATE", [urgent[0].id])
        claims = working.exchange("w", Report(), ClaimRequest(queues=(), limit=23), NOON).claims
        assert claims is not None
        taken = [task.queue for task in claims.tasks]
        assert taken[:2] == ["z", "z"] and sorted(taken[2:]) == [f"q{queue:02}" for queue in range(QUEUES)]


def test_who_passed_by_what_a_full_claim_left_is_told_of_it(working: PostgresStore) -> None:
    working.enqueue([a_task(args=b" " * 900_000) for _ in range(12)], NOON)
    working.register(a_worker("idle"), [], [], NOON)
    other = PostgresStore(working.url, 3600 * SECOND)
    watch = other.watch("idle", ())
    try:
        while watch.wait(0.2):
            pass
        assert claim(working) == 10
        assert watch.wait(5.0)
    finally:
        watch.close()
        other.close()


def test_where_a_level_begins_is_remembered_for_each(working: PostgresStore) -> None:
    fill(working, each=3)
    claims = working.exchange("w", Report(), ClaimRequest(queues=(), limit=64), NOON).claims
    assert claims is not None
    ended = [Outcome(task.id, task.run, "succeed", NOON) for task in claims.tasks]
    working.exchange("w", Report(outcomes=ended), None, NOON)
    claimed = working._server.frontier._claimed
    assert len(claimed) == QUEUES
    lasts = {level: max((t.due_time, t.id) for t in claims.tasks if t.queue == level[0]) for level in claimed}
    assert {level: (start.due_time, start.id) for level, start in claimed.items()} == lasts
