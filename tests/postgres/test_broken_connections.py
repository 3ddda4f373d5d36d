from __future__ import annotations

import threading
import time
from typing import Any

import psycopg
import pytest

from headbox.domain.errors import StorageUnavailable
from headbox.domain.task import HOUR
from headbox.storage.postgres import connections as postgres_connections
from headbox.storage.postgres.store import PostgresStore
from headbox.storage.records import ClaimRequest, Report
from tests.postgres.conftest import NOON, a_task, a_worker, end_backends
from tests.tcp_proxy import Proxy

HOUSEKEEPING_TASKS = 2  # that every database has


def claim(store: PostgresStore, worker: str = "w", limit: int = 10) -> list[str]:
    claims = store.exchange(worker, Report(), ClaimRequest(queues=(), limit=limit), NOON).claims
    assert claims is not None
    return [task.id for task in claims.tasks]


@pytest.fixture
def through(proxy: tuple[Proxy, str], store: PostgresStore) -> Any:
    """A store behind the proxy, on a database that is initialised."""
    through = PostgresStore(proxy[1], HOUR)
    yield through
    through.close()


def test_a_connection_that_was_ended_between_two_calls_is_replaced_unnoticed(
    store: PostgresStore, admin: psycopg.Connection[Any]
) -> None:
    task = store.enqueue([a_task()], NOON)[0]
    for _ in range(3):
        assert end_backends(admin) >= 1
        assert store.get(task.id) == task
        assert end_backends(admin) >= 1
        store.enqueue([a_task()], NOON)


def test_a_connection_that_breaks_before_the_commit_is_replaced_and_the_work_done_once(
    through: PostgresStore, store: PostgresStore, proxy: tuple[Proxy, str]
) -> None:
    for word in (b"UPDATE headbox_tasks", b"COMMIT\0", b"BEGIN"):
        task = store.enqueue([a_task()], NOON)[0]
        proxy[0].lose(word)
        assert through.suspend(task.id, NOON) == store.get(task.id)
        assert store.get(task.id).state == "suspended"
    assert proxy[0].lost == 3


def test_an_enqueue_that_never_arrived_is_sent_again(
    through: PostgresStore, store: PostgresStore, proxy: tuple[Proxy, str]
) -> None:
    for tasks in ([a_task()], [a_task() for _ in range(150)]):
        proxy[0].lose(b"headbox_tasks")
        assert [store.get(task.id) for task in through.enqueue(tasks, NOON)] == tasks
    assert proxy[0].lost == 2


def test_a_read_is_tried_again(through: PostgresStore, proxy: tuple[Proxy, str], store: PostgresStore) -> None:
    task = store.enqueue([a_task()], NOON)[0]
    proxy[0].lose_answer_to(b"SELECT id, run", times=2)
    assert through.get(task.id) == task and proxy[0].lost == 2


@pytest.mark.parametrize("verb", ["cancel", "suspend", "reset", "remove"])
def test_a_commit_whose_answer_is_lost_is_not_done_twice(
    through: PostgresStore, store: PostgresStore, proxy: tuple[Proxy, str], verb: str
) -> None:
    task = store.enqueue([a_task(state="waiting")], NOON)[0]
    if verb == "reset":
        store.cancel(task.id, NOON)
    proxy[0].lose_answer_to(b"COMMIT\0")
    changed = getattr(through, verb)(task.id, NOON)
    assert proxy[0].lost == 1
    assert changed == store.get(task.id)
    assert changed.cancel_attempts == (1 if verb in ("cancel", "reset") else 0)


def test_an_enqueue_whose_answer_is_lost_accepts_each_task_once(
    through: PostgresStore, store: PostgresStore, proxy: tuple[Proxy, str]
) -> None:
    store.register(a_worker("w"), [], [], NOON)
    proxy[0].lose_answer_to(b"INSERT INTO headbox_tasks", times=3)
    tasks = [through.enqueue([a_task()], NOON)[0] for _ in range(5)]
    assert proxy[0].lost == 3
    assert claim(store) == [task.id for task in tasks]
    assert store.statistics(NOON).states == {"waiting": HOUSEKEEPING_TASKS, "running": 5, "reset": 0, "suspended": 0}


def test_a_large_enqueue_whose_answer_is_lost_accepts_each_task_once(
    through: PostgresStore, store: PostgresStore, proxy: tuple[Proxy, str]
) -> None:
    store.register(a_worker("w"), [], [], NOON)
    proxy[0].lose_answer_to(b"COMMIT\0")
    tasks = through.enqueue([a_task() for _ in range(150)], NOON)
    assert proxy[0].lost == 1
    assert claim(store, limit=200) == [task.id for task in tasks]


def test_a_claim_whose_answer_is_lost_is_known_to_the_worker(
    through: PostgresStore, store: PostgresStore, proxy: tuple[Proxy, str]
) -> None:
    store.register(a_worker("w"), [], [], NOON)
    tasks = store.enqueue([a_task() for _ in range(3)], NOON)
    proxy[0].lose_answer_to(b"COMMIT\0")
    assert claim(through) == [task.id for task in tasks] and proxy[0].lost == 1
    assert sorted(store.held_by("w")) == sorted((task.id, 1) for task in tasks)


def test_a_commit_that_never_arrived_holds_no_locks_and_is_made_again(
    through: PostgresStore, store: PostgresStore, proxy: tuple[Proxy, str]
) -> None:
    task = store.enqueue([a_task()], NOON)[0]
    proxy[0].lose(b"COMMIT\0")
    assert through.cancel(task.id, NOON).cancel_attempts == 1
    assert store.get(task.id).state == "canceled"


def test_a_commit_of_which_nothing_can_be_learned_says_so(through: PostgresStore, proxy: tuple[Proxy, str]) -> None:
    through.patience = 0.0
    proxy[0].lose_answer_to(b"COMMIT\0")
    proxy[0].lose(b"pg_backend_pid", times=1000)
    with pytest.raises(StorageUnavailable, match="may have been done or not"):
        through.enqueue([a_task() for _ in range(150)], NOON)


def test_an_enqueue_of_which_nothing_can_be_learned_says_so(through: PostgresStore, proxy: tuple[Proxy, str]) -> None:
    through.patience = 0.0
    proxy[0].lose_answer_to(b"INSERT INTO headbox_tasks")
    with pytest.raises(StorageUnavailable, match="may have been done or not"):
        through.enqueue([a_task()], NOON)


def test_a_database_that_is_away_is_waited_for(through: PostgresStore, proxy: tuple[Proxy, str]) -> None:
    through.enqueue([a_task()], NOON)
    proxy[0].refuses = True
    proxy[0].cut()
    back = threading.Timer(0.3, lambda: setattr(proxy[0], "refuses", False))
    back.start()
    task = through.enqueue([a_task()], NOON)[0]
    back.join()
    assert through.get(task.id) == task


def test_a_database_that_stays_away_is_unavailable_after_the_patience(
    through: PostgresStore, proxy: tuple[Proxy, str]
) -> None:
    proxy[0].refuses = True
    through.patience = 0.3
    began = time.monotonic()
    for ask in (lambda: through.enqueue([a_task()], NOON), lambda: through.get("x"), through.workers):
        with pytest.raises(StorageUnavailable, match=r"postgresql://127\.0\.0\.1:\d+/headbox_test_\w+: .*try again"):
            ask()
    assert time.monotonic() - began < 5


def test_a_black_hole_is_noticed(
    through: PostgresStore, proxy: tuple[Proxy, str], store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_connections.Connection, "answer_seconds", 0.3)
    task = through.enqueue([a_task()], NOON)[0]
    through.patience = 0.0
    proxy[0].fall_silent()
    with pytest.raises(StorageUnavailable):
        through.get(task.id)
    proxy[0].speak()
    assert through.get(task.id) == task


def test_locks_of_a_process_that_was_stopped_in_a_transaction_are_freed(
    store: PostgresStore, url: str, admin: psycopg.Connection[Any]
) -> None:
    """A stopped process holds its locks until the server ends its transaction."""
    task = store.enqueue([a_task()], NOON)[0]
    with store._server.connections.lend() as connection:
        (limit,) = connection.execute("SHOW idle_in_transaction_session_timeout").fetchone() or ("",)
        assert limit == "5s"
        connection.execute("SET idle_in_transaction_session_timeout = '200ms'")
        connection.command(b"BEGIN")
        connection.execute("SELECT FROM headbox_tasks WHERE id = %s FOR UPDATE", [task.id])
        assert PostgresStore(url, HOUR).cancel(task.id, NOON).state == "canceled"
        connection.close()


def test_a_lock_of_somebody_else_is_not_waited_for_without_end(
    store: PostgresStore, admin: psycopg.Connection[Any]
) -> None:
    task = store.enqueue([a_task()], NOON)[0]
    with store._server.connections.lend() as connection:
        connection.execute("SET lock_timeout = '100ms'")
    with admin.transaction():
        admin.execute("SELECT FROM headbox_tasks WHERE id = %s FOR UPDATE", [task.id])
        with pytest.raises(StorageUnavailable, match="has kept a lock for too long; end it"):
            store.cancel(task.id, NOON)
    assert store.cancel(task.id, NOON).state == "canceled"


def test_transactions_that_lock_each_other_out_are_run_again(store: PostgresStore) -> None:
    """Both change the same two tasks, each beginning with another one."""
    one, two = store.enqueue([a_task(), a_task()], NOON)
    met = threading.Barrier(2)
    attempts = []

    def change(first: str, second: str) -> None:
        def work(tx: Any) -> None:
            attempts.append(first)
            tx.change("ask_to_remove", id=first)
            if len(attempts) <= 2:
                met.wait(10)
            tx.change("ask_to_remove", id=second)

        store._server.write(work)

    threads = [threading.Thread(target=change, args=ids) for ids in ((one.id, two.id), (two.id, one.id))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(attempts) >= 3 and store.get(one.id).removed and store.get(two.id).removed


def test_idle_connections_are_closed_in_time(store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    connections = store._server.connections
    with connections.lend() as first, connections.lend() as second:
        pass
    monkeypatch.setattr(postgres_connections, "IDLE_SECONDS", 0.0)
    store.workers()
    assert sorted([first.closed, second.closed]) == [False, True]


def test_all_connections_in_use_is_said(store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_connections, "ROOM_SECONDS", 0.05)
    monkeypatch.setattr(postgres_connections, "MOST", 1)
    small = PostgresStore(store.url, HOUR)
    with small._server.connections.lend(), pytest.raises(StorageUnavailable, match="all 1 connections of this process"):
        small.workers()
    assert small.workers() == []
    small.close()
