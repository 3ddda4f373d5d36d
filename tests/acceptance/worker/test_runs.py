"""What becomes of tasks on a real worker: results, failures, retries, what is asked of a run in progress, progress,
hooks, what travels with a task."""

from __future__ import annotations

import json
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from headbox import NonUniqueTask, TaskFailed, TaskQueue


def test_results_come_back_as_they_were(shared: Any, shopfloor: Any) -> None:
    assert shopfloor.add.enqueue(1, 2).wait(30) == 3
    assert shopfloor.add.enqueue((1,), (2,)).wait(30) == (1, 2)
    task = shopfloor.nothing.enqueue()
    assert task.wait(30) is None
    assert task.start_time <= task.finish_time


def test_an_exception_ends_in_error_with_its_text_and_the_tasks_own_traceback(shared: Any, shopfloor: Any) -> None:
    task = shopfloor.fail.enqueue("no such repository")
    with pytest.raises(TaskFailed, match="no such repository"):
        task.wait(30)
    assert task.state == "error" and task.exception == "no such repository"
    assert "raise ValueError(message)" in task.traceback and "headbox/" not in task.traceback


# again


def test_a_one_off_with_attempts_left_is_tried_again_after_the_wait_it_asked_for(shared: Any, shopfloor: Any) -> None:
    task = shopfloor.retry_soon.enqueue(str(shared.journal_path), 0.1)
    assert task.wait(30) == "at last"
    runs = task.history()
    assert [(run.state, run.run) for run in runs] == [("finished", 3), ("error", 2), ("error", 1)]
    waits = [(later.start_time - earlier.finish_time).total_seconds() for later, earlier in pairwise(runs)]
    assert all(wait >= 0.1 for wait in waits)


def test_a_failure_waits_for_a_backoff_and_keeps_its_scheduled_time(shared: Any, shopfloor: Any) -> None:
    task = shopfloor.fail_otherwise.options(delay=0).enqueue("connection")
    shared.until(lambda: task.refresh().run == 2)
    (run,) = task.history()
    wait = (task.record.due_time - run.record.finish_time) / 1e6
    assert 0.7 < wait < 1.3
    assert (task.state, task.scheduled_time) == ("waiting", run.scheduled_time)
    task.remove()


@pytest.mark.parametrize(("name", "args"), [("discard", []), ("fail_otherwise", ["value"])])
def test_discard_and_errors_that_are_not_to_be_retried_end_it_at_once(
    shared: Any, shopfloor: Any, name: str, args: list[str]
) -> None:
    task = getattr(shopfloor, name).enqueue(*args)
    shared.ended(task)
    assert task.state == "error" and task.attempts == 3 and len(task.history()) == 1


# asked of a run in progress


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """What holds up `wait_for` until somebody writes to it."""
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def test_a_run_that_is_suspended_ends_and_its_next_occurrence_is_suspended(
    shared: Any, shopfloor: Any, pipe: Path
) -> None:
    task = shopfloor.wait_for.options(schedule="PT1H").enqueue(str(pipe))
    shared.running(task)
    task.suspend()
    pipe.write_text("done")
    shared.until(lambda: task.refresh().state == "suspended")
    assert [run.state for run in task.history()] == ["finished"]
    task.resume()
    assert task.state == "waiting"
    task.remove()


def test_a_run_that_is_removed_ends_undisturbed_and_is_the_last(shared: Any, shopfloor: Any, pipe: Path) -> None:
    task = shopfloor.wait_for.options(schedule="PT1H").enqueue(str(pipe))
    shared.running(task)
    task.remove()
    pipe.write_text("done")
    shared.ended(task)
    assert (task.state, task.result, task.record.final) == ("finished", "done", True)


def test_a_removed_run_that_is_lost_is_run_again(shared: Any, shopfloor: Any, pipe: Path) -> None:
    task = shopfloor.wait_for.options(schedule="PT1H").enqueue(str(pipe))
    pid = shared.running(task)
    task.remove()
    os.kill(pid, 9)
    shared.running_again(task, run=2)
    pipe.write_text("done")
    shared.ended(task)
    assert [(run.state, run.record.final) for run in task.history()] == [("finished", True), ("reset", False)]


def test_a_canceled_occurrence_uses_up_a_run_and_the_schedule_goes_on(shared: Any, shopfloor: Any) -> None:
    task = shopfloor.sleep.options(schedule="R2/PT1H").enqueue()
    shared.running(task)
    task.cancel()
    shared.until(lambda: task.refresh().run == 2)
    assert (task.state, task.runs_left, task.cancel_attempts) == ("waiting", 1, 1)
    assert [run.state for run in task.history()] == ["canceled"]
    task.remove()


def test_a_complete_task_that_is_reset_runs_again(shared: Any, shopfloor: Any) -> None:
    task = shopfloor.fail.enqueue()
    shared.ended(task)
    task.reset()
    assert task.state == "reset"
    shared.until(lambda: len(task.history()) == 2)
    assert [(run.run, run.record.final) for run in task.history()] == [(2, True), (1, False)]


def test_a_waiting_task_that_is_canceled_never_runs(shared: Any, shopfloor: Any) -> None:
    task = shopfloor.write_line.options(delay=3600).enqueue(str(shared.journal_path))
    task.cancel()
    assert (task.state, task.cancel_attempts) == ("canceled", 1)
    assert shared.journal == []


# seen of a run in progress


def test_a_snapshot_exists_only_while_the_run_is_in_flight(shared: Any, shopfloor: Any, pipe: Path) -> None:
    task = shopfloor.wait_for.options(delay=0.1).enqueue(str(pipe))
    assert task.snapshot_id is None
    shared.running(task)
    assert task.snapshot_id is not None
    assert task.id in {found.id for found in shared.queue.store.snapshots()}
    pipe.write_text("done")
    shared.ended(task)
    assert task.snapshot_id is None


def test_a_start_is_recorded_once_a_run_has_lasted_and_stays_as_it_was(shared: Any, shopfloor: Any, pipe: Path) -> None:
    task = shopfloor.wait_for.enqueue(str(pipe))
    start = shared.until(lambda: task.refresh().start_time)
    assert (shared.queue.clock.now() - task.record.start_time) / 1e6 < 2
    pipe.write_text("done")
    shared.ended(task)
    assert task.start_time == start


def test_the_latest_progress_always_arrives(shared: Any, shopfloor: Any) -> None:
    task = shopfloor.report_often.enqueue(500)
    shared.ended(task)
    assert task.progress == {"done": 500, "total": 500}


def test_progress_is_seen_while_the_run_goes_on(shared: Any, shopfloor: Any, pipe: Path) -> None:
    task = shopfloor.wait_for.enqueue(str(pipe))
    pid = shared.running(task)
    assert str(pid) in Path(f"/proc/{pid}/stat").read_text()
    pipe.write_text("done")
    shared.ended(task)
    assert task.progress == pid


def test_pulps_form_of_progress_goes_through_its_callback(shared: Any, shopfloor: Any) -> None:
    task = shopfloor.queue.enqueue(
        shopfloor.report_as_in_pulp, progress_arg="progress", progress_callback=shopfloor.halve
    )
    shared.ended(task)
    assert task.progress == {"half": 21}


# what travels with a task


def test_hooks_are_called_around_each_run(shared: Any, shopfloor: Any) -> None:
    shared.ended(shopfloor.tell_hooks.enqueue())
    assert (shared.folder / "hooks").read_text() == "succeed before_run run after_run"


def test_what_a_task_enqueues_inherits_its_job_and_owner(shared: Any, shopfloor: Any) -> None:
    task = shopfloor.enqueue_another.options(job_id="nightly", owner="ada").enqueue(str(shared.journal_path))
    inner = shared.queue.get(task.wait(30))
    shared.ended(inner)
    assert (inner.job_id, inner.owner) == ("nightly", "ada")
    assert shared.lines_of(inner) == [["1", "another"]]
    assert {found.id for found in shared.queue.job("nightly")} == {task.id, inner.id}


def test_a_unique_task_is_refused_until_its_like_has_ended(shared: Any, shopfloor: Any, pipe: Path) -> None:
    task = shopfloor.wait_for.options(unique=True).enqueue(str(pipe))
    shared.running(task)
    with pytest.raises(NonUniqueTask, match=task.id):
        shopfloor.wait_for.options(unique=True).enqueue(str(pipe))
    pipe.write_text("done")
    shared.ended(task)
    shopfloor.wait_for.options(unique=True, delay=3600).enqueue(str(pipe)).remove()


def test_a_bound_method_and_an_unregistered_function_run_as_they_are(shared: Any, shopfloor: Any) -> None:
    method = shopfloor.queue.enqueue(shopfloor.Repository("fedora").name_twice, args=[2])
    assert method.wait(30) == "fedorafedora"
    assert (method.class_name, method.method_name) == ("Repository", "name_twice")
    assert shopfloor.queue.enqueue(json.dumps, args=[{"a": 1}]).wait(30) == '{"a": 1}'


def test_an_unknown_callable_is_held_and_runs_once_a_worker_publishes_it(floor: Any, tmp_path: Path) -> None:
    application = "from headbox import TaskQueue\nqueue = TaskQueue()\n"
    (tmp_path / "growing.py").write_text(application)
    work = floor.start(folder=tmp_path, app="growing:queue")
    later = (
        "def greet(): return 'hello'\nqueue.task(greet, name='greet') if False else queue.task(name='greet')(greet)\n"
    )
    local = TaskQueue(floor.url)
    task = local.task(name="greet")(_greet).enqueue()
    floor.until(lambda: task.refresh().record.held == 1)
    assert task.state == "waiting" and task.snapshot_id is None
    assert "does not know greet" in work.log
    (tmp_path / "growing.py").write_text(application + later)
    floor.start(folder=tmp_path, app="growing:queue")
    assert task.wait(30) == "hello"
    local.close()


def _greet() -> str:
    raise AssertionError("the worker's own is called")


def test_each_queue_is_served_by_the_workers_that_name_it(floor: Any, shopfloor: Any) -> None:
    work = floor.start("--queues", "gold,silver", "--concurrency", "1")
    tasks = {name: shopfloor.describe.options(queue=name).enqueue() for name in ("gold", "silver", "default")}
    assert tasks["gold"].wait(30)["parent"] == tasks["silver"].wait(30)["parent"] == work.forkserver
    assert tasks["default"].refresh().state == "waiting"
