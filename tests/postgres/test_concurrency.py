from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from headbox.domain.errors import NonUniqueTask, StateConflict, Superseded
from headbox.domain.outcomes import Outcome
from headbox.domain.schedulers import parse_instant
from headbox.domain.task import HOUR, SECOND
from headbox.storage.postgres.store import PostgresStore
from headbox.storage.records import Callable as Published
from headbox.storage.records import ClaimRequest, Report
from tests.postgres.conftest import NOON, a_task, a_worker

TIMES = 8


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """What each gave, or raised, all having begun together."""
    results: list[Any] = [None] * len(works)
    together = threading.Barrier(len(works))

    def run(place: int, work: Callable[[], Any]) -> None:
        together.wait(10)
        try:
            results[place] = work()
        except Exception as error:
            results[place] = error

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


def claim(store: PostgresStore, worker: str, limit: int = 10) -> list[tuple[str, int]]:
    claims = store.exchange(worker, Report(), ClaimRequest(queues=(), limit=limit), NOON).claims
    assert claims is not None
    return [(task.id, task.run) for task in claims.tasks]


@pytest.fixture
def workers(store: PostgresStore) -> list[str]:
    names = ["a", "b", "c", "d"]
    for name in names:
        store.register(a_worker(name), [], [], NOON)
    return names


def test_no_task_is_claimed_twice_and_none_is_left(store: PostgresStore, workers: list[str]) -> None:
    tasks = store.enqueue([a_task() for _ in range(400)], NOON)

    def drain(worker: str) -> list[tuple[str, int]]:
        claimed = []
        while found := claim(store, worker, 7):
            claimed += found
        return claimed

    shares = at_once(*(lambda worker=worker: drain(worker) for worker in workers))
    claimed = Counter(id for share in shares for id, _ in share)
    claimed.update(id for id, _ in drain("a"))  # what one had passed by while another held it
    assert claimed == Counter(task.id for task in tasks)
    for worker, share in zip(workers, shares, strict=True):
        assert set(share) <= set(store.held_by(worker))


def test_one_of_many_that_change_a_task_comes_first_and_the_others_see_what_it_left(store: PostgresStore) -> None:
    for _ in range(TIMES):
        task = store.enqueue([a_task()], NOON)[0]
        results = at_once(*[lambda: store.cancel(task.id, NOON)] * 4)  # noqa: B023
        assert Counter(type(result) for result in results)[StateConflict] == 3, results
        assert len(store.history(task.id)) == 1
        results = at_once(*[lambda: store.reset(task.id, NOON)] * 4)  # noqa: B023
        assert Counter(type(result) for result in results)[StateConflict] == 3, results
        assert (store.get(task.id).run, store.get(task.id).state) == (2, "reset")


def test_a_task_that_is_canceled_while_it_is_claimed_is_either_not_run_or_asked_to_stop(
    store: PostgresStore, workers: list[str]
) -> None:
    for _ in range(TIMES):
        task = store.enqueue([a_task()], NOON)[0]
        claimed, canceled = at_once(lambda: claim(store, "a"), lambda: store.cancel(task.id, NOON))  # noqa: B023
        assert canceled.cancel_attempts == 1
        if canceled.state == "running":
            assert claimed == [(task.id, 1)] == store.canceling("a")
            store.exchange("a", Report(outcomes=[Outcome(task.id, 1, "cancel", NOON)]), None, NOON)
        else:
            assert claimed == []
        assert [run.state for run in store.history(task.id)] == ["canceled"]


def test_of_a_finish_and_a_rescue_one_is_recorded(store: PostgresStore, workers: list[str]) -> None:
    for number in range(TIMES):
        worker = f"w{number}"
        store.register(a_worker(worker), [], [], NOON)
        tasks = store.enqueue([a_task() for _ in range(5)], NOON)
        claim(store, worker)
        outcomes = [Outcome(task.id, 1, "succeed", NOON) for task in tasks]
        answer, lost = at_once(
            lambda: store.exchange(worker, Report(outcomes=outcomes), None, NOON),  # noqa: B023
            lambda: store.rescue(NOON, [worker]),  # noqa: B023
        )
        superseded = {outcome.id for outcome in answer.superseded}
        assert superseded == {task.id for task in lost}
        for task in tasks:
            runs = store.history(task.id)
            assert [run.state for run in runs] == ["reset" if task.id in superseded else "finished"]
        for task in lost:
            store.cancel(task.id, NOON)


def test_a_worker_that_is_rescued_while_it_claims_keeps_nothing(store: PostgresStore, workers: list[str]) -> None:
    for number in range(TIMES):
        worker = f"w{number}"
        store.register(a_worker(worker), [], [], NOON)
        task = store.enqueue([a_task()], NOON)[0]
        claimed, lost = at_once(lambda: claim(store, worker), lambda: store.rescue(NOON, [worker]))  # noqa: B023
        assert store.held_by(worker) == []
        assert isinstance(claimed, Superseded) or claimed == [(run.id, run.run) for run in lost]
        store.cancel(task.id, NOON)


def test_of_unique_tasks_that_are_enqueued_at_once_one_is_accepted_and_named_to_the_others(
    store: PostgresStore,
) -> None:
    for number in range(TIMES):
        tasks = [a_task(unique_key=f"key {number}") for _ in range(4)]
        results = at_once(*(lambda task=task: store.enqueue([task], NOON) for task in tasks))
        accepted = [result[0].id for result in results if isinstance(result, list)]
        assert len(accepted) == 1
        refused = [result for result in results if not isinstance(result, list)]
        assert [type(error) for error in refused] == [NonUniqueTask] * 3
        assert {error.task_id for error in refused} == set(accepted)


def test_one_enqueue_that_is_tried_twice_at_once_is_accepted_once(store: PostgresStore, workers: list[str]) -> None:
    for _ in range(TIMES):
        tasks = [a_task() for _ in range(20)]
        results = at_once(
            lambda: store.enqueue(tasks, NOON),  # noqa: B023
            lambda: store.enqueue(tasks[::-1], NOON),  # noqa: B023
        )
        assert all(isinstance(result, list) for result in results), results
        assert len(claim(store, "a", 100)) == 20


def test_workers_that_start_together_declare_a_schedule_once(store: PostgresStore) -> None:
    hourly = {"scheduler": "interval", "schedule": "2026-12-01T12:00:00Z/PT1H", "scheduled_time": NOON}
    for number in range(TIMES):
        declared = a_task(schedule_name=f"nightly {number}", definition="d", declared_by="app", **hourly)

        def start(worker: str, declared: Any = declared) -> None:
            store.register(a_worker(worker), [], [replace(declared, id=f"by {worker}")], NOON)

        results = at_once(*(lambda name=name: start(f"{name}{number}") for name in "abcd"))  # noqa: B023
        assert results == [None] * 4
    assert len({id for id, _ in claim(store, "a0", 100)}) == TIMES


def test_a_callable_that_is_published_while_a_task_is_held_for_want_of_it_does_not_stay_held(
    store: PostgresStore, workers: list[str]
) -> None:
    from headbox.storage.records import Release

    for number in range(TIMES):
        task = store.enqueue([a_task(callable=f"shop:new{number}")], NOON)[0]
        claim(store, "a")
        knowing = replace(a_worker(f"k{number}"), names=(f"shop:new{number}",))
        results = at_once(
            lambda: store.exchange("a", Report(releases=[Release(task.id, 1, hold=True)]), None, NOON),  # noqa: B023
            lambda: store.register(knowing, [], [], NOON),  # noqa: B023
        )
        assert not any(isinstance(result, Exception) for result in results), results
        assert store.get(task.id).held == 0
        store.cancel(task.id, NOON)


def test_rescuers_that_find_the_same_dead_worker_lose_each_task_once(store: PostgresStore, workers: list[str]) -> None:
    tasks = store.enqueue([a_task() for _ in range(20)], NOON)
    claim(store, "d", 100)
    for worker in "abc":
        store.heartbeat(worker, NOON + HOUR)
    losses = at_once(*[lambda: store.rescue(NOON + HOUR)] * 3)
    assert sorted(task.id for lost in losses for task in lost) == sorted(task.id for task in tasks)


def test_a_worker_is_alive_until_its_lease_has_run_out_by_the_databases_clock(store: PostgresStore) -> None:
    now = store.time()
    assert now > parse_instant("2025-01-01T00:00:00Z")
    store.register(replace(a_worker("w"), start_time=now, heartbeat_time=now), [], [], now)
    task = store.enqueue([a_task(due_time=now)], now)[0]
    store.exchange("w", Report(), ClaimRequest(queues=(), limit=1), now)
    assert store.rescue(now + 20 * SECOND) == []
    assert [lost.id for lost in store.rescue(now + 20 * SECOND + 1)] == [task.id]


def test_many_workers_can_register_at_the_same_moment(store: PostgresStore) -> None:
    published = [Published(name=f"shop:{number}", short_name=str(number)) for number in range(3)]
    names = tuple(each.name for each in published)
    workers = [replace(a_worker(f"worker-{number}"), names=names) for number in range(40)]
    results = at_once(*(partial(store.register, worker, published, [], NOON) for worker in workers))
    assert [result for result in results if result is not None] == []
    assert {worker.id for worker in store.workers()} == {worker.id for worker in workers}
