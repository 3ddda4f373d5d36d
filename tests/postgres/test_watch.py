from __future__ import annotations

import math
import select
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from headbox.domain.errors import StorageUnavailable
from headbox.domain.outcomes import Outcome
from headbox.domain.task import HOUR
from headbox.storage.postgres import notices as postgres_notices
from headbox.storage.postgres import watch as postgres_watch
from headbox.storage.postgres.notices import LONGEST_REST
from headbox.storage.postgres.store import PostgresStore
from headbox.storage.postgres.watch import PostgresWatch
from headbox.storage.records import ClaimRequest, Report
from tests.postgres.conftest import NOON, a_task, a_worker, end_backends
from tests.tcp_proxy import Proxy

Watching = Callable[..., PostgresWatch]


@pytest.fixture
def other(url: str, store: PostgresStore) -> Iterator[PostgresStore]:
    """The store of another process."""
    other = PostgresStore(url, HOUR)
    other.register(a_worker("w"), [], [], NOON)
    yield other
    other.close()


@pytest.fixture
def watching(store: PostgresStore) -> Iterator[Watching]:
    watches: list[PostgresWatch] = []

    def watching(*args: Any, of: PostgresStore = store) -> PostgresWatch:
        watches.append(of.watch(*args))
        return watches[-1]

    yield watching
    for watch in watches:
        watch.close()


def settle(*watches: PostgresWatch) -> None:
    """Until they have looked again and found nothing."""
    for watch in watches:
        while watch.wait(0.02) or watch._gap:
            pass


def claim_and_end(store: PostgresStore) -> None:
    claims = store.exchange("w", Report(), ClaimRequest(queues=(), limit=1), NOON).claims
    assert claims is not None
    (task,) = claims.tasks
    store.exchange("w", Report(outcomes=[Outcome(task.id, task.run, "succeed", NOON)]), None, NOON)


def test_a_worker_hears_of_a_task_at_once(other: PostgresStore, watching: Watching) -> None:
    watch = watching("w")
    delays = []
    for _ in range(20):
        settle(watch)
        done: list[float] = []
        thread = threading.Thread(target=lambda: (other.enqueue([a_task()], NOON), done.append(time.monotonic())))  # noqa: B023
        thread.start()
        assert watch.wait(10)
        heard = time.monotonic()
        thread.join()
        delays.append(heard - done[0])
    assert sorted(delays)[len(delays) // 2] < 0.005, delays


def test_what_is_not_announced_in_a_burst_is_seen_a_moment_later(
    other: PostgresStore, watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_notices, "REST", 60.0)
    watch = watching("w")
    other.enqueue([a_task()], NOON)
    assert watch.wait(10)
    assert other._server.notices._due([("headbox", "")]) == []  # the first is just out
    other.enqueue([a_task()], NOON)
    assert watch.wait(10)


def test_where_many_workers_hear_them_many_commits_are_few_notices(
    other: PostgresStore, admin: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    admin.execute("LISTEN headbox")
    monkeypatch.setattr(other._server.notices, "workers", 50)
    monkeypatch.setattr(other._server.notices, "_count_time", math.inf)
    began = time.monotonic()
    for _ in range(300):
        other.enqueue([a_task()], NOON)
    lasted = time.monotonic() - began
    heard = len(list(admin.notifies(timeout=0.2)))
    assert 1 <= heard <= lasted / LONGEST_REST + 1


def test_a_worker_hears_of_its_queues_alone(other: PostgresStore, watching: Watching) -> None:
    mine, any_ = watching("w", ["mine", "ä" * 100]), watching("v")
    settle(mine, any_)
    other.enqueue([a_task(queue="yours")], NOON)
    assert any_.wait(10) and not mine.wait(0.1)
    settle(any_)
    for queue in ("mine", "ä" * 100):
        other.enqueue([a_task(queue=queue)], NOON)
        assert mine.wait(10) and any_.wait(10)
        settle(mine, any_)


@pytest.mark.parametrize("change", ["resume", "reset", "reschedule", "release"])
def test_a_worker_hears_of_whatever_makes_a_task_ready(other: PostgresStore, watching: Watching, change: str) -> None:
    from headbox.domain.schedulers import ImmediateScheduler
    from headbox.storage.records import Release

    task = other.enqueue([a_task(queue="mine")], NOON)[0]
    if change == "resume":
        other.suspend(task.id, NOON)
    elif change == "reset":
        other.cancel(task.id, NOON)
    elif change == "release":
        other.exchange("w", Report(), ClaimRequest(queues=(), limit=1), NOON)
    watch = watching("v", ["mine"])
    changes: dict[str, Callable[[], object]] = {
        "resume": lambda: other.resume(task.id, NOON),
        "reset": lambda: other.reset(task.id, NOON),
        "reschedule": lambda: other.reschedule(task.id, ImmediateScheduler(), NOON),
        "release": lambda: other.exchange("w", Report(releases=[Release(task.id, 1)]), None, NOON),
    }
    changes[change]()
    assert watch.wait(10)


def test_a_cancel_reaches_its_worker_and_no_other(other: PostgresStore, watching: Watching) -> None:
    task = other.enqueue([a_task()], NOON)[0]
    other.exchange("w", Report(), ClaimRequest(queues=(), limit=1), NOON)
    concerned, another = watching("w", ["far"]), watching("v", ["far"])
    settle(concerned, another)
    other.cancel(task.id, NOON)
    assert concerned.wait(10) and not another.wait(0.05)
    assert other.canceling("w") == [(task.id, 1)]


def test_who_waits_hears_of_an_end(other: PostgresStore, store: PostgresStore, watching: Watching) -> None:
    for _ in range(3):
        other.enqueue([a_task()], NOON)
        waiting = watching()
        settle(waiting)
        claim_and_end(other)
        assert waiting.wait(10)


def test_a_worker_announces_ends_only_while_somebody_waits(
    other: PostgresStore, watching: Watching, admin: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = watching("w", of=other)
    other._server.notices._waited_until = 0.0  # nobody has waited for a while
    admin.execute("LISTEN headbox_ended")
    other.enqueue([a_task() for _ in range(2)], NOON)
    claim_and_end(other)
    assert list(admin.notifies(timeout=0.05)) == []
    waiting = watching()
    settle(worker, waiting)
    claim_and_end(other)
    assert waiting.wait(10) and len(list(admin.notifies(timeout=0.05))) == 1


def test_a_watch_that_lost_its_connection_comes_back_and_says_that_it_may_have_missed_something(
    other: PostgresStore, watching: Watching, admin: psycopg.Connection[Any]
) -> None:
    watch = watching("w")
    descriptor = watch.fileno()
    settle(watch)
    assert end_backends(admin) >= 1
    assert watch.wait(10) and watch.fileno() == descriptor
    settle(watch)
    other.enqueue([a_task()], NOON)
    assert watch.wait(10)


def test_a_watch_comes_back_when_the_database_does(
    store: PostgresStore, proxy: tuple[Proxy, str], watching: Watching
) -> None:
    through = PostgresStore(proxy[1], HOUR)
    watch = watching("w", of=through)
    proxy[0].refuses = True
    proxy[0].cut()
    assert not watch.wait(0.2)
    proxy[0].refuses = False
    assert watch.wait(10)
    store.enqueue([a_task()], NOON)
    assert watch.wait(10)
    through.close()


def test_a_server_that_answers_no_more_is_taken_for_lost(
    proxy: tuple[Proxy, str], store: PostgresStore, watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_watch, "ANSWER_SECONDS", 0.2)
    through = PostgresStore(proxy[1], HOUR)
    watch = watching(of=through)  # who waits asks every second
    proxy[0].fall_silent()
    while watch._connection is not None:
        assert not watch.wait(0.1)
    proxy[0].cut()
    proxy[0].speak()
    assert watch.wait(10)


def test_a_watch_on_a_database_that_is_away_is_refused(proxy: tuple[Proxy, str]) -> None:
    proxy[0].refuses = True
    with pytest.raises(StorageUnavailable):
        PostgresStore(proxy[1], HOUR).watch()


def test_closing_ends_it_even_while_it_is_connecting_again(
    store: PostgresStore, proxy: tuple[Proxy, str], watching: Watching
) -> None:
    through = PostgresStore(proxy[1], HOUR)
    watch = through.watch("w")
    proxy[0].refuses = True
    proxy[0].cut()
    assert not watch.wait(0.1)
    watch.close()
    through.close()
    for thread in threading.enumerate():
        if thread.name == "headbox-watch":
            thread.join(10)
            assert not thread.is_alive()


def test_behind_a_pooler_it_polls_instead(
    store: PostgresStore, other: PostgresStore, watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pooler shows itself by another backend than the one that the connection was made with."""
    from headbox.storage.postgres import connections as postgres_connections

    monkeypatch.setattr(postgres_watch, "POLL", 0.1)
    setup = postgres_connections._set_up

    def through_a_pooler(connection: Any, where: str) -> None:
        setup(connection, where)
        connection.is_pooled = True

    monkeypatch.setattr(postgres_connections, "_set_up", through_a_pooler)
    pooled = PostgresStore(store.url, HOUR)
    watch = watching("w", of=pooled)
    assert not watch.wait(0.05)
    other.enqueue([a_task()], NOON)
    assert watch.wait(10)
    assert pooled.get(pooled.enqueue([a_task()], NOON)[0].id).state == "waiting"
    pooled.close()


def test_one_wait_after_another_uses_one_connection(store: PostgresStore, admin: psycopg.Connection[Any]) -> None:
    connections = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'headbox'"
    connections += " AND datname = current_database()"
    store.watch().close()
    before = admin.execute(connections).fetchone()
    for _ in range(5):
        watch = store.watch()
        watch.close()
    assert admin.execute(connections).fetchone() == before
    with store._server.connections.lend() as connection:
        assert connection.execute("SELECT pg_listening_channels()").fetchall() == []


def test_its_descriptor_can_be_read_when_there_is_something_to_hear(other: PostgresStore, watching: Watching) -> None:
    watch = watching("w")
    settle(watch)
    assert select.select([watch], [], [], 0)[0] == []
    other.enqueue([a_task()], NOON)
    assert select.select([watch], [], [], 10)[0] == [watch]
    assert watch.wait(10)


@pytest.mark.parametrize(
    ("workers", "shortest", "longest"), [(1, 0.003, 0.004), (20, 0.06, 0.08), (100, 0.3, 0.4), (5000, 0.48, 0.64)]
)
def test_of_many_workers_each_rests_longer_after_looks_in_vain(
    store: PostgresStore, workers: int, shortest: float, longest: float
) -> None:
    for number in range(2):
        store.register(a_worker(f"w{number}"), [], [], NOON)
    assert store.survey("w0").workers == store._server.notices.workers == 2
    store._server.notices.workers = workers
    watch = store.watch("w0", ())
    now = watch._found_time = 1000.0
    for _ in range(12):
        watch._gap = watch._rest(now)
        now += watch._gap
        watch._found_time = now
    assert shortest <= watch._gap <= longest
    watch.close()
