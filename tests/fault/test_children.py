"""A child that dies costs the run in progress alone."""

from __future__ import annotations

import os
import signal
from collections import Counter
from typing import Any

import pytest


@pytest.mark.parametrize("how", ["kill", "exit", "segfault", "memory"])
def test_a_child_that_dies_costs_only_its_run_which_is_run_again_at_once(shared: Any, shopfloor: Any, how: str) -> None:
    path = str(shared.journal_path)
    calls = [shopfloor.write_line.call(path) for _ in range(200)]
    calls[100:100] = [shopfloor.die.call(how, path, 1)]
    tasks = shopfloor.queue.enqueue_many(calls)
    shared.ended(*tasks)
    (killer,) = (task for task in tasks if task.method_name == "die")
    assert killer.result == "survived"
    assert [(run.state, run.run) for run in killer.history()] == [("finished", 2), ("reset", 1)]
    assert "the process that ran it" in killer.history()[1].exception
    assert Counter(id for id, *_ in shared.journal) == {task.id: 1 + (task is killer) for task in tasks}


def test_a_child_killed_from_outside_costs_only_its_run(shared: Any, shopfloor: Any) -> None:
    path = str(shared.journal_path)
    victim, neighbour = shopfloor.last.enqueue(0.5, path), shopfloor.last.enqueue(0.5, path)
    shared.running(neighbour)
    os.kill(shared.running(victim), signal.SIGKILL)
    shared.ended(victim, neighbour)
    assert [(run.state, run.run) for run in victim.history()] == [("finished", 2), ("reset", 1)]
    assert "was killed by SIGKILL" in victim.history()[1].exception
    assert [(run.state, run.run) for run in neighbour.history()] == [("finished", 1)]


def test_a_task_that_kills_its_worker_three_times_ends_in_error_and_says_so(shared: Any, shopfloor: Any) -> None:
    task = shopfloor.die.enqueue("exit", str(shared.journal_path))
    shared.ended(task)
    assert [(run.state, run.run) for run in task.history()] == [("error", 3), ("reset", 2), ("reset", 1)]
    assert "exited with status 3" in task.exception
    assert "lost 3 times in a row" in task.exception
    assert len(shared.lines_of(task)) == 3


def test_a_lost_run_whose_snapshot_was_deleted_ends_in_error(shared: Any, shopfloor: Any) -> None:
    task = shopfloor.sleep.enqueue()
    pid = shared.running(task)
    assert task.snapshot_id is not None
    shopfloor.queue.store.delete_snapshot(task.id)
    os.kill(pid, signal.SIGKILL)
    shared.ended(task)
    assert task.state == "error" and "its snapshot was deleted" in task.exception
    assert len(task.history()) == 1


def test_an_async_child_that_dies_costs_each_of_its_runs_once(shared: Any, shopfloor: Any) -> None:
    path = str(shared.journal_path)
    tasks = shopfloor.queue.enqueue_many([shopfloor.last_async.call(1, path) for _ in range(3)])
    pids = {shared.running(task) for task in tasks}
    assert len(pids) == 1
    os.kill(pids.pop(), signal.SIGKILL)
    shared.ended(*tasks)
    for task in tasks:
        assert [(run.state, run.run) for run in task.history()] == [("finished", 2), ("reset", 1)]


@pytest.mark.parametrize("size", [1000, 100_000, 900_000])
def test_a_child_that_dies_as_its_run_ends_loses_no_result_and_runs_nothing_twice(
    shared: Any, shopfloor: Any, size: int
) -> None:
    tasks = [shopfloor.give_and_die.enqueue(size, str(shared.journal_path)) for _ in range(4)]
    shared.ended(*tasks)
    for task in tasks:
        assert task.state == "finished" and len(task.result) == size
        ran = len(shared.lines_of(task))
        assert ran == task.run, "it ran again, unrecorded"
