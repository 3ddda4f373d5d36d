"""A connection plans a statement once. What it planned while a table was empty, and known to be, must not read all of
it when it is full."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from headbox.domain.outcomes import Outcome
from headbox.storage.postgres.store import PostgresStore
from headbox.storage.records import ClaimRequest, Claims, Filter, Report
from tests.postgres.conftest import NOON, a_task, a_worker

UNPREPARED = 5  # times that psycopg runs a statement before it has it prepared
MANY = 2000
PAGES = b"""SELECT pg_stat_force_next_flush(),
    sum(pg_stat_get_xact_blocks_fetched(indexrelid) + pg_stat_get_blocks_fetched(indexrelid))
    FROM pg_index WHERE indrelid = CAST(%s AS regclass)"""
ONE = ClaimRequest(queues=(), limit=1)


@pytest.fixture
def url(empty: str) -> str:
    """Pages are counted, and others would have left theirs."""
    return f"{empty}?options=-c%20plan_cache_mode%3Dforce_generic_plan"


@pytest.fixture
def planned(store: PostgresStore, admin: psycopg.Connection[Any]) -> PostgresStore:
    """A store whose connection has planned all that `ask` does on an empty history."""
    store.register(a_worker("w"), [], [], NOON)
    admin.execute("VACUUM ANALYZE")
    for _ in range(UNPREPARED + 1):
        ask(store)
    return store


def ask(store: PostgresStore) -> None:
    """What looks whether tasks have ended, or for a run that has."""
    store.enqueue([a_task()], NOON)
    store.enqueue([a_task(), a_task(callable="shop:send")], NOON)
    store.run("no task's", 1)
    store.exchange("w", Report(outcomes=[Outcome("no task's", 1, "succeed", NOON)]), None, NOON)
    store.claim("w", ONE, NOON)


def fill(store: PostgresStore) -> None:
    store.enqueue([a_task() for _ in range(MANY)], NOON)
    claims = store.exchange("w", Report(), ClaimRequest(queues=(), limit=MANY), NOON).claims
    assert claims is not None and len(claims.tasks) == MANY
    ended = [Outcome(task.id, task.run, "succeed", NOON, queue=task.queue) for task in claims.tasks]
    store.exchange("w", Report(outcomes=ended), None, NOON)


def prepared(store: PostgresStore) -> set[str]:
    with store._server.connections.lend() as connection:
        return {name for (name,) in connection.execute("SELECT name FROM pg_prepared_statements").fetchall()}


def pages_read(store: PostgresStore, table: str) -> int:
    """Of its indexes."""
    with store._server.connections.lend() as connection:
        return int((connection.execute(PAGES, [table]).fetchone() or (0, 0))[1])


def test_whether_a_task_has_ended_is_looked_up_whatever_was_known_of_the_history(planned: PostgresStore) -> None:
    fill(planned)
    before = pages_read(planned, "headbox_task_history")
    ask(planned)
    assert pages_read(planned, "headbox_task_history") - before <= 16  # each index is a few pages deep


def test_what_is_prepared_outlives_a_reading_of_several_statements(planned: PostgresStore) -> None:
    before = prepared(planned)
    planned.find(Filter(), NOON, 10, counting=10)
    assert before and before <= prepared(planned)


def test_a_claim_alone_looks_where_its_level_begins_whatever_was_known_of_what_waits(planned: PostgresStore) -> None:
    planned.enqueue([a_task() for _ in range(MANY)], NOON)
    before = pages_read(planned, "headbox_tasks")
    claims = planned.claim("w", ONE, NOON)
    assert isinstance(claims, Claims) and len(claims.tasks) == 1
    assert pages_read(planned, "headbox_tasks") - before <= 60
