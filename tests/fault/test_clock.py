"""The wall clock jumps: nobody is taken for dead by it, and the duties go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headbox import TaskQueue
from headbox.config import Settings
from headbox.domain.outcomes import Outcome
from headbox.domain.task import HOUR, SECOND
from headbox.storage.records import ClaimRequest, Report, Worker
from headbox.worker.upkeep import TICK, Upkeep

NOW = 1_795_000_000 * SECOND


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> int:
        return self.time

    def from_monotonic(self, nanoseconds: int) -> int:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(tmp_path: Path, clock: Clock) -> TaskQueue:
    return TaskQueue(f"sqlite:///{tmp_path}/headbox.db", clock=clock)


@pytest.fixture
def worker(queue: TaskQueue) -> str:
    queue.store.register(
        Worker(
            id="worker", host="here", boot_id="boot", pid=1, process_start=1, app=None, queues=(), concurrency=1,
            start_time=NOW, heartbeat_time=NOW, lease=SECOND,
        ), [], [], NOW,
    )  # fmt: skip
    return "worker"


@pytest.mark.parametrize("jump", [-HOUR, HOUR], ids=["back", "forward"])
def test_a_round_of_duties_is_due_at_once_after_a_jump_and_then_in_its_time(
    queue: TaskQueue, worker: str, jump: int
) -> None:
    upkeep = Upkeep(queue.store, Settings(), worker)
    assert upkeep.is_due(NOW)
    upkeep.tick(NOW)
    assert not upkeep.is_due(NOW + TICK - 1)
    assert upkeep.is_due(NOW + jump)
    upkeep.tick(NOW + jump)
    assert not upkeep.is_due(NOW + jump + 1)
    assert upkeep.is_due(NOW + jump + TICK)


def test_tasks_that_wait_when_the_clock_is_set_back_do_not_wait_until_it_has_caught_up(
    queue: TaskQueue, worker: str, clock: Any
) -> None:
    upkeep = Upkeep(queue.store, Settings(), worker)
    upkeep.tick(clock.now())
    clock.time += HOUR
    task = queue.enqueue(print)
    clock.time -= HOUR - 1
    upkeep.tick(clock.now())  # as every few seconds
    assert not upkeep.take_news()
    clock.time -= HOUR
    assert upkeep.is_due(clock.now())
    upkeep.tick(clock.now())
    assert upkeep.take_news() and not upkeep.take_news()
    (claimed,) = queue.store.exchange(worker, Report(), ClaimRequest(queues=(), limit=9), clock.now()).claims.tasks
    assert claimed.id == task.id


def test_a_worker_that_starts_after_the_clock_was_set_back_finds_what_waits(
    queue: TaskQueue, worker: str, clock: Any
) -> None:
    queue.enqueue(print)
    clock.time -= HOUR
    upkeep = Upkeep(queue.store, Settings(), worker)
    upkeep.tick(clock.now())
    assert upkeep.take_news()


def test_a_worker_that_lives_is_not_rescued_whatever_the_clock_says(queue: TaskQueue, worker: str) -> None:
    task = queue.enqueue(print)
    queue.store.exchange(worker, Report(), ClaimRequest(queues=(), limit=1), NOW)
    for now in (NOW + 1000 * HOUR, NOW - 1000 * HOUR):
        assert queue.store.rescue(now) == []
    assert task.refresh().state == "running"


def test_a_schedule_neither_repeats_nor_piles_up_when_the_clock_is_set_back(
    queue: TaskQueue, worker: str, clock: Any
) -> None:
    """An occurrence that has run is over, also where its time comes a second time."""
    task = queue.task(name="pack")(lambda: None).options(schedule="PT1H").enqueue()
    first = task.record.scheduled_time
    _run(queue, worker, clock.time)
    clock.time -= 10 * HOUR
    assert task.refresh().record.scheduled_time == first + HOUR
    assert queue.store.exchange(worker, Report(), ClaimRequest(queues=(), limit=9), clock.time).claims.tasks == []
    clock.time = first + HOUR
    _run(queue, worker, clock.time)
    assert task.refresh().record.scheduled_time == first + 2 * HOUR
    assert len(task.history()) == 2


def test_a_schedule_skips_what_a_clock_that_is_set_forward_jumps_over(
    queue: TaskQueue, worker: str, clock: Any
) -> None:
    task = queue.task(name="pack")(lambda: None).options(schedule="PT1H").enqueue()
    first = task.record.scheduled_time
    clock.time += 24 * HOUR + 1
    _run(queue, worker, clock.time)
    assert task.refresh().record.scheduled_time == first + 25 * HOUR
    assert len(task.history()) == 1


def _run(queue: TaskQueue, worker: str, now: int) -> None:
    """What a worker does with the one task that is ready."""
    claims = queue.store.exchange(worker, Report(), ClaimRequest(queues=(), limit=9), now).claims
    assert claims is not None
    (task,) = claims.tasks
    queue.store.exchange(worker, Report(outcomes=[Outcome(task.id, task.run, "succeed", now, now)]), None, now)
