"""The ends of runs are recorded at the same cost however much else runs, and with what others changed meanwhile."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from headbox.domain.errors import Superseded
from headbox.domain.outcomes import Outcome
from headbox.domain.task import Task
from headbox.storage import exchange
from headbox.storage.postgres import connections
from headbox.storage.postgres.store import MANY, PostgresStore
from headbox.storage.records import ClaimRequest, Report
from tests.postgres.conftest import NOON, a_task, a_worker
from tests.postgres.explained import explained


def running(store: PostgresStore, count: int) -> list[Task]:
    """Tasks that the worker `w` has claimed."""
    tasks = store.enqueue([a_task() for _ in range(count)], NOON)
    store.exchange("w", Report(), ClaimRequest(queues=(), limit=count), NOON)
    return tasks


def ends(tasks: list[Task]) -> list[Outcome]:
    return [Outcome(task.id, task.run, "succeed", NOON, NOON, queue="default") for task in tasks]


def test_the_pages_that_ends_touch_do_not_grow_with_what_runs_and_was_never_counted(empty: str) -> None:
    store = PostgresStore(empty, 1)
    store.initialise(NOON)
    store.register(a_worker("w"), [], [], NOON)
    pages = []
    for others in (20, 3000):
        tasks = running(store, others)[:20]
        with explained(store) as transaction:
            assert exchange.finish(transaction, "w", ends(tasks), NOON) == ([], [])
        pages.append(transaction.pages)
    store.close()
    assert pages[1] < 2 * pages[0], pages


def test_an_end_is_recorded_with_what_another_changed_while_it_waited_for_the_row(
    store: PostgresStore, admin: psycopg.Connection[Any]
) -> None:
    store.register(a_worker("w"), [], [], NOON)
    tasks = running(store, 2)
    end = threading.Thread(target=store.exchange, args=("w", Report(outcomes=ends(tasks)), None, NOON))
    with admin.transaction():
        admin.execute("UPDATE headbox_tasks SET cancel_attempts = 7 WHERE id = %s", [tasks[1].id])
        end.start()
        waits = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        while not admin.execute(waits).fetchone():
            assert end.is_alive(), "it did not wait"
    end.join(10)
    assert [store.get(task.id).state for task in tasks] == ["finished"] * 2
    assert [run.cancel_attempts for run in store.history(tasks[1].id)] == [7]
    assert store.held_by("w") == []


def test_other_tasks_are_claimed_while_many_ends_are_recorded(
    store: PostgresStore, admin: psycopg.Connection[Any]
) -> None:
    store.register(a_worker("w"), [], [], NOON)
    ended, others = running(store, MANY), store.enqueue([a_task() for _ in range(2)], NOON)
    report, request = Report(outcomes=ends(ended)), ClaimRequest(queues=(), limit=10)
    with ThreadPoolExecutor(1) as clerk, admin.transaction():
        admin.execute("SELECT FROM headbox_tasks WHERE id = %s FOR UPDATE", [ended[0].id])
        answer = clerk.submit(store.exchange, "w", report, request, NOON)
        while store.get(others[1].id).state != "running":
            assert not answer.done(), "it has claimed nothing"
    claims = answer.result(10).claims
    assert claims is not None
    assert [task.id for task in claims.tasks] == [task.id for task in others]
    assert claims.more, "what the ends have made ready was not there yet"
    assert {store.get(task.id).state for task in ended} == {"finished"}


def test_ends_whose_worker_is_refused_its_claim_are_recorded_once(
    store: PostgresStore, admin: psycopg.Connection[Any]
) -> None:
    store.register(a_worker("w"), [], [], NOON)
    ended = running(store, MANY)
    admin.execute("DELETE FROM headbox_workers")
    with pytest.raises(Superseded):
        store.exchange("w", Report(outcomes=ends(ended)), ClaimRequest(queues=(), limit=10), NOON)
    assert store.exchange("w", Report(outcomes=ends(ended)), None, NOON).superseded == []
    assert [len(store.history(task.id)) for task in ended] == [1] * MANY
    assert store.statistics(NOON).total.finished == MANY


def test_ends_are_recorded_where_no_second_connection_is_to_be_had(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.register(a_worker("w"), [], [], NOON)
    ended, (other,) = running(store, MANY), store.enqueue([a_task()], NOON)
    monkeypatch.setattr(connections, "ROOM_SECONDS", 0.0)
    for _ in range(connections.MOST - 1):
        store._server.connections._room.get()
    claims = store.exchange("w", Report(outcomes=ends(ended)), ClaimRequest(queues=(), limit=10), NOON).claims
    assert claims is not None and [task.id for task in claims.tasks] == [other.id]
    assert store.get(ended[-1].id).state == "finished"
