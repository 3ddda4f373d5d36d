"""Enqueues of several threads share a transaction, and none pays for another's."""

from __future__ import annotations

import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from headbox.domain.errors import NonUniqueTask, StorageUnavailable
from headbox.domain.task import Instant, Task
from headbox.storage.postgres import connections, grouping
from headbox.storage.postgres.grouping import Grouping
from headbox.storage.postgres.store import PostgresStore
from tests.postgres.conftest import NOON, a_task
from tests.postgres.fleet import counted


class Server:
    """Accepts groups of tasks, one at a time, when it is told to."""

    def __init__(self, accept: Callable[[Sequence[Task]], object] = lambda tasks: None) -> None:
        self.groups: list[int] = []
        self.is_busy = threading.Event()
        self.may_go_on = threading.Event()
        self._accept = accept

    def enqueue(self, tasks: Sequence[Task], now: Instant) -> None:
        self.is_busy.set()
        assert self.may_go_on.wait(60)
        self.groups.append(len(tasks))
        self._accept(tasks)


def all_at_once(server: Server, group: Grouping, threads: int) -> list[Any]:
    """What becomes of one caller that finds the place free and others that come while it is busy."""
    with ThreadPoolExecutor(threads) as pool:
        results = [pool.submit(group.enqueue, [a_task(id="first")], NOON)]
        assert server.is_busy.wait(60)
        results += [pool.submit(group.enqueue, [a_task(id=f"other-{n}")], NOON) for n in range(threads - 1)]
        while len(group._queue) < threads - 1:
            pass
        server.may_go_on.set()
        return [result.exception() for result in results]


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "HOLD_UP", 60.0)


@pytest.mark.usefixtures("patient")
def test_who_comes_while_one_is_at_it_is_taken_along_with_the_next() -> None:
    server = Server()
    assert all_at_once(server, Grouping(server.enqueue), 8) == [None] * 8
    assert server.groups == [1, 7]


@pytest.mark.usefixtures("patient")
def test_what_is_wrong_with_one_is_told_to_that_one_alone() -> None:
    def accept(tasks: Sequence[Task]) -> None:
        if any(task.id == "other-3" for task in tasks):
            raise NonUniqueTask("another")

    server = Server(accept)
    errors = all_at_once(server, Grouping(server.enqueue), 8)
    assert [type(error) for error in errors] == [type(None)] * 4 + [NonUniqueTask] + [type(None)] * 3
    assert Counter(server.groups) == {1: 8, 7: 1}


@pytest.mark.usefixtures("patient")
def test_a_database_that_is_away_is_told_to_all_at_once() -> None:
    def accept(tasks: Sequence[Task]) -> None:
        raise StorageUnavailable("it is away")

    server = Server(accept)
    assert {type(error) for error in all_at_once(server, Grouping(server.enqueue), 8)} == {StorageUnavailable}
    assert server.groups == [1, 7]


class InterruptedOnce(deque[Any]):
    """A queue whose reader is interrupted just when it has taken something out."""

    is_over = False

    def popleft(self) -> Any:
        first = super().popleft()
        if len(self) and not self.is_over:
            self.is_over = True
            raise KeyboardInterrupt
        return first


def test_a_thread_that_is_interrupted_leaves_nobody_behind() -> None:
    server = Server()
    group = Grouping(server.enqueue)
    server.may_go_on.set()
    group._queue = InterruptedOnce()
    theirs = grouping._Waiting([a_task()], NOON)
    group._queue.append(theirs)
    with pytest.raises(KeyboardInterrupt):
        group.enqueue([a_task()], NOON)
    group._wait_for_others(theirs)
    assert theirs.goes_alone and theirs.error is None
    group.enqueue([a_task()], NOON)
    assert sum(server.groups) == 2  # what the interrupted one wanted was still in the queue


def test_who_was_woken_to_be_the_next_and_is_taken_along_instead_returns_only_when_that_is_over() -> None:
    group = Grouping(lambda tasks, now: None)
    mine = grouping._Waiting([a_task()], NOON)
    mine.wake()
    with ThreadPoolExecutor(1) as pool, group._lock:  # held by whoever took it along
        waits = pool.submit(group._wait_for_others, mine)
        with pytest.raises(TimeoutError):
            waits.result(2 * grouping.HOLD_UP)
        mine.is_over = True
        mine.wake()
        waits.result(60)
    assert not mine.goes_alone


def test_nobody_waits_long_for_another() -> None:
    """The first is held up; the second goes alone."""
    server = Server()
    group = Grouping(lambda tasks, now: server.enqueue(tasks, now) if tasks[0].id == "held up" else None)
    with ThreadPoolExecutor(2) as pool:
        held_up = pool.submit(group.enqueue, [a_task(id="held up")], NOON)
        assert server.is_busy.wait(60)
        pool.submit(group.enqueue, [a_task()], NOON).result(60)
        assert not held_up.done()
        server.may_go_on.set()
        held_up.result(60)


def test_a_fork_while_somebody_is_at_it_leaves_the_child_free() -> None:
    server = Server()
    group = Grouping(server.enqueue)
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(group.enqueue, [a_task()], NOON)
        assert server.is_busy.wait(60)
        if (child := os.fork()) == 0:
            server.may_go_on.set()
            group.enqueue([a_task()], NOON)
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        server.may_go_on.set()
        busy.result(60)


def test_a_single_enqueue_is_one_statement(store: PostgresStore) -> None:
    store.enqueue([a_task()], NOON)  # it is announced; others a moment later are not
    with counted() as said:
        task = store.enqueue([a_task()], NOON)[0]
    inserted = Counter({text: times for text, times in said.items() if "pg_notify" not in text})
    assert inserted.total() == 1 and store.get(task.id) == task


def test_tasks_of_ever_other_kinds_are_enqueued_by_few_prepared_statements(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MOST_STATEMENTS", 2)
    tasks = [a_task(**{field: 1}) for field in ("priority", "timeout", "runs_left", "failure_threshold")]
    for task in [*tasks, a_task(priority=2)]:
        store.enqueue([task], NOON)
        assert store.get(task.id) == task
    with store._server.connections.lend() as connection:
        for forgets in (b"BEGIN", b"ROLLBACK"):
            connection.execute(forgets, prepare=True)
    for kind in ({"priority": 1}, {}):
        store.enqueue([a_task(**kind)], NOON)
    with store._server.connections.lend() as connection:
        found = connection.execute("SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'headbox%'").fetchone()
    assert found == (2,)


def test_sixteen_threads_lose_and_double_nothing(store: PostgresStore) -> None:
    def enqueue(number: int) -> list[str]:
        return [store.enqueue([a_task(), a_task()], NOON)[0].id for _ in range(20)]

    with ThreadPoolExecutor(16) as pool:
        ids = [id for ids in pool.map(enqueue, range(16)) for id in ids]
    assert len(set(ids)) == 320 and all(store.get(id).state == "waiting" for id in ids)


def test_unique_tasks_of_many_threads_are_accepted_once(store: PostgresStore) -> None:
    def enqueue(number: int) -> bool:
        plain = store.enqueue([a_task()], NOON)
        try:
            store.enqueue([a_task(unique_key="the only one")], NOON)
        except NonUniqueTask:
            return False
        return bool(plain)

    with ThreadPoolExecutor(8) as pool:
        assert Counter(pool.map(enqueue, range(8))) == {True: 1, False: 7}


def test_what_is_enqueued_together_is_counted_and_once(store: PostgresStore) -> None:
    tasks = [a_task(queue=queue) for queue in ("one", "one", "two")]
    for _ in range(2):
        store.enqueue(tasks, NOON)
    told = {queue.name: queue.waiting for queue in store.statistics(NOON).queues}
    assert (told["one"], told["two"]) == (2, 1)


def test_a_unique_task_that_waits_for_somebody_holds_up_nobody(
    store: PostgresStore, admin: psycopg.Connection[Any]
) -> None:
    first = store.enqueue([a_task(unique_key="k")], NOON)[0]
    with ThreadPoolExecutor(2) as pool:
        with admin.transaction():
            admin.execute("UPDATE headbox_tasks SET unique_key = 'l' WHERE id = %s", [first.id])
            waits = pool.submit(store.enqueue, [a_task(unique_key="l")], NOON)
            while not admin.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone():
                assert not waits.done()
            assert pool.submit(store.enqueue, [a_task()], NOON).result(60)
            assert not waits.done()
        with pytest.raises(NonUniqueTask):
            waits.result(60)
