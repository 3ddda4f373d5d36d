"""Somebody else's long transaction keeps the index entries of tasks that are gone: claims must not step over all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from headbox.domain.outcomes import Outcome
from headbox.domain.task import Task
from headbox.storage.postgres import frontier as postgres_frontier
from headbox.storage.postgres.store import PostgresStore
from headbox.storage.records import ClaimRequest, Report
from tests.postgres.conftest import NOON, a_task, a_worker

GONE = 3000
ANY = ClaimRequest(queues=(), limit=100)


@pytest.fixture
def url(empty: str) -> str:
    """Entries of an index are counted, and others would have left theirs."""
    return empty


@pytest.fixture
def reader(url: str, store: PostgresStore) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SELECT count(*) FROM headbox_tasks")
        yield connection


@pytest.fixture
def drained(store: PostgresStore, reader: psycopg.Connection[Any]) -> PostgresStore:
    """A store whose index is full of entries of tasks that are gone."""
    store.register(a_worker("w"), [], [], NOON)
    store.enqueue([a_task() for _ in range(GONE)], NOON)
    while tasks := claim(store):
        ended = [Outcome(task.id, task.run, "succeed", NOON) for task in tasks]
        store.exchange("w", Report(outcomes=ended), None, NOON)
    return store


def claim(store: PostgresStore) -> list[Task]:
    claims = store.exchange("w", Report(), ANY, NOON).claims
    assert claims is not None
    return claims.tasks


def entries_read(store: PostgresStore, look: Callable[[], object]) -> int:
    """How many entries of the claim's index a look takes: it is done on the very connection that is asked then."""
    connections = store._server.connections
    with connections.lend() as connection:
        (_, before) = connection.execute(READ).fetchone() or (0, 0)
        connections._idle.append(connection)
        look()
        connections._idle.remove(connection)
        (_, after) = connection.execute(READ).fetchone() or (0, 0)
    return int(after - before)


READ = b"""SELECT pg_stat_force_next_flush(), pg_stat_get_xact_tuples_returned(i) + pg_stat_get_tuples_returned(i)
    FROM CAST('headbox_tasks_ready' AS regclass) AS i"""


def test_looks_and_claims_step_over_few(drained: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_frontier, "SECONDS_PER_ENTRY", 1.0)
    drained._server.frontier._rest_until.clear()
    assert entries_read(drained, lambda: drained.ready(ANY, NOON)) >= GONE
    drained.enqueue([a_task() for _ in range(10)], NOON)
    assert entries_read(drained, lambda: drained.ready(ANY, NOON)) < GONE / 10
    assert 0 < entries_read(drained, lambda: claim(drained)) < GONE / 10


def test_new_tasks_are_claimed_at_once_and_in_order(drained: PostgresStore) -> None:
    tasks = drained.enqueue([a_task() for _ in range(5)], NOON)
    assert drained.ready(ANY, NOON) == NOON
    assert [task.id for task in claim(drained)] == [task.id for task in tasks]


def test_tasks_from_before_and_of_new_levels_are_found_by_the_next_look_from_the_start(
    drained: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = drained.enqueue([a_task(due_time=NOON - 1), a_task(queue="new"), a_task(priority=5)], NOON)
    monkeypatch.setattr(postgres_frontier.time, "monotonic", lambda rest=postgres_frontier.LONGEST_REST: 1e9 + rest)
    assert {task.id for task in claim(drained)} == {task.id for task in late}


def test_what_is_brought_forward_is_found_at_once(drained: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_frontier, "SECONDS_PER_ENTRY", 1.0)
    drained._server.frontier._rest_until.clear()
    (task,) = drained.enqueue([a_task()], NOON)
    assert drained.ready(ANY, NOON) == NOON
    assert drained.bring_forward(0) == 1
    assert [found.id for found in claim(drained)] == [task.id]


def test_it_is_as_before_once_the_long_transaction_has_ended(
    drained: PostgresStore, reader: psycopg.Connection[Any], admin: psycopg.Connection[Any]
) -> None:
    reader.rollback()
    admin.execute("VACUUM headbox_tasks")
    drained._server.frontier._rest_until.clear()
    drained.ready(ANY, NOON)
    assert drained._server.frontier.known(None) is None
