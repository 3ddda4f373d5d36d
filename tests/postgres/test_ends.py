"""The ends of runs are recorded at the same cost however much else runs, and with what others changed meanwhile."""

from __future__ import annotations

import threading
from typing import Any

import psycopg

from headbox.domain.outcomes import Outcome
from headbox.domain.task import Task
from headbox.storage import exchange
from headbox.storage.postgres.store import PostgresStore
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
