"""How tasks share a worker: weights, priorities, jobs."""

from __future__ import annotations

from itertools import accumulate
from typing import Any


def _weights_over_time(floor: Any, weights: dict[str, int]) -> list[int]:
    """The sums of the weights in progress, at each start and end."""
    moments = sorted((int(at), weights[id] * (1 if what == "start" else -1)) for id, _, what, at in floor.journal)
    return list(accumulate(change for _, change in moments))


def test_weights_in_progress_never_exceed_the_concurrency(floor: Any, shopfloor: Any) -> None:
    path = str(floor.journal_path)
    weights = [1, 3, 2, 4, 1, 1, 2, 3, 1, 4, 2, 1, 0, 0]
    tasks = [shopfloor.last.options(weight=weight).enqueue(0.03, path) for weight in weights]
    floor.start("--concurrency", "4")
    floor.ended(*tasks)
    sums = _weights_over_time(floor, {task.id: task.weight for task in tasks})
    assert max(sums) == 4 and sums[-1] == 0
    assert [len(task.history()) for task in tasks] == [1] * len(tasks)


def test_a_task_heavier_than_the_worker_runs_alone(floor: Any, shopfloor: Any) -> None:
    path = str(floor.journal_path)
    weights = [1, 1, 9, 1, 1]
    tasks = [shopfloor.last.options(weight=weight).enqueue(0.05, path) for weight in weights]
    floor.start("--concurrency", "2")
    floor.ended(*tasks)
    assert set(_weights_over_time(floor, {task.id: task.weight for task in tasks})) == {0, 1, 2, 9}


def test_weights_of_async_tasks_count_too(floor: Any, shopfloor: Any) -> None:
    path = str(floor.journal_path)
    tasks = [shopfloor.last_async.options(weight=1).enqueue(0.05, path) for _ in range(6)]
    floor.start("--concurrency", "2")
    floor.ended(*tasks)
    order = [what for _, _, what in floor.journal]
    assert max(accumulate({"start": 1, "end": -1}[what] for what in order)) == 2


def test_async_tasks_run_many_at_a_time_and_beside_the_synchronous_ones(floor: Any, shopfloor: Any) -> None:
    path = str(floor.journal_path)
    floor.start("--concurrency", "1", async_concurrency=30)
    blocker = shopfloor.sleep.enqueue()
    floor.running(blocker)
    tasks = [shopfloor.last_async.enqueue(0.5, path) for _ in range(40)]
    floor.ended(*tasks)
    order = [what for _, _, what in floor.journal]
    assert max(accumulate({"start": 1, "end": -1}[what] for what in order)) == 30
    assert blocker.refresh().state == "running"
    blocker.cancel()
    floor.ended(blocker)


def test_an_async_task_that_becomes_due_while_all_children_are_busy_starts_in_time(floor: Any, shopfloor: Any) -> None:
    floor.start("--concurrency", "1")
    blocker = shopfloor.sleep.enqueue()
    floor.running(blocker)
    task = shopfloor.last_async.options(delay=0.5).enqueue(0, str(floor.journal_path))
    floor.ended(task)
    assert (task.start_time - task.scheduled_time).total_seconds() < 1


def test_many_waiting_async_tasks_keep_no_synchronous_one_from_running(floor: Any, shopfloor: Any) -> None:
    floor.start("--concurrency", "1", async_concurrency=1)
    blocker = shopfloor.sleep_async.enqueue()
    floor.running(blocker)
    shopfloor.queue.enqueue_many(shopfloor.sleep_async.call() for _ in range(2500))
    assert shopfloor.add.enqueue(1, 2).wait(10) == 3


def test_the_highest_priority_runs_first_and_the_longest_due_of_one_priority(floor: Any, shopfloor: Any) -> None:
    path = str(floor.journal_path)
    priorities = [0, -9, 9, 3, 0, 9]
    tasks = [shopfloor.write_line.options(priority=priority).enqueue(path) for priority in priorities]
    floor.start("--concurrency", "1")
    floor.ended(*tasks)
    ran = [id for id, *_ in floor.journal]
    assert ran == [tasks[index].id for index in (2, 5, 3, 0, 4, 1)]


def test_canceling_a_job_ends_what_runs_and_what_waits_of_it(floor: Any, shopfloor: Any) -> None:
    floor.start("--concurrency", "2")
    tasks = [shopfloor.sleep.options(job_id="sync").enqueue() for _ in range(4)]
    other = shopfloor.sleep.options(priority=9).enqueue()
    floor.until(lambda: floor.queue.count(state="running") == 2)
    canceled = shopfloor.queue.cancel_job("sync")
    assert {task.id for task in canceled} == {task.id for task in tasks}
    floor.ended(*tasks)
    assert {task.state for task in tasks} == {"canceled"}
    floor.running(other)


def test_children_that_are_busy_longer_than_expected_give_back_what_waits_behind(floor: Any, shopfloor: Any) -> None:
    """Many quick runs, so that chunks are long; then one of them is not quick."""
    path = str(floor.journal_path)
    floor.start("--concurrency", "2")
    floor.ended(*shopfloor.queue.enqueue_many(shopfloor.wait_a_bit.call(0, path) for _ in range(300)))
    calls = [shopfloor.wait_a_bit.call(0, path) for _ in range(60)]
    calls[10:10] = [shopfloor.wait_a_bit.call(1000, path)]
    tasks = shopfloor.queue.enqueue_many(calls)
    floor.until(lambda: floor.queue.count(state="finished") == 360)
    slow = tasks[10]
    assert slow.refresh().state == "running"
    assert [floor.queue.count(state="running"), floor.queue.count(state="waiting")] == [1, 2]
    slow.cancel()
    floor.ended(slow)
