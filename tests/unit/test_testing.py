"""headbox.testing runs an application's tasks in its tests, through the real store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from headbox import Interrupted, TaskFailed, TaskQueue, current_task
from headbox.config import Settings
from headbox.testing import FakeClock, drain, inline

app = TaskQueue(settings=Settings(database="sqlite:////nowhere/headbox.db"))
ran: list[Any] = []


@app.task
def note(value: Any) -> Any:
    ran.append(value)
    return value


@app.task
def outer(values: list[Any]) -> list[Any]:
    results = [note.enqueue(value).result for value in values]
    ran.append("outer")
    return results


@app.task
def fails() -> None:
    raise ValueError("no")


@app.task
def reports() -> None:
    current_task().report({"done": 1})
    current_task().report({"done": 2})


@app.task
async def sleeps() -> str:
    await asyncio.sleep(0)
    return "slept"


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    ran.clear()


def test_inline_a_task_has_run_when_enqueue_returns() -> None:
    with inline(app):
        task = note.enqueue((1, 2))
        assert (task.state, task.result, task.args) == ("finished", (1, 2), [(1, 2)])
        assert task.wait(timeout=0) == (1, 2)
        assert app.get(task.id).state == "finished"
        assert [task.state for task in app.enqueue_many(note.call(number) for number in range(3))] == ["finished"] * 3
    assert ran == [(1, 2), 0, 1, 2]


def test_inline_a_task_that_enqueues_finds_the_result_at_once() -> None:
    with inline(app):
        assert outer.enqueue(["a", "b"]).result == ["a", "b"]
    assert ran == ["a", "b", "outer"]


def test_inline_arguments_are_copies_as_they_are_to_a_worker() -> None:
    value = {"list": []}
    with inline(app):
        note.enqueue(value)
    assert ran == [value]
    assert ran[0] is not value


def test_inline_what_fails_ends_in_error() -> None:
    with inline(app):
        task = fails.enqueue()
        with pytest.raises(TaskFailed, match="no"):
            task.wait()


def test_inline_a_later_task_waits_for_the_clock() -> None:
    clock = FakeClock()
    with inline(app, clock=clock):
        task = note.options(delay=60).enqueue("later")
        assert (task.state, drain(app)) == ("waiting", [])
        clock.advance(60)
        assert drain(app) == [task]
        recurring = app.schedule("hourly", note, ["again"], schedule="PT1H")
        assert (recurring.run, recurring.scheduled_time) == (2, clock.time + timedelta(hours=1))
        clock.advance(timedelta(hours=1))
        assert [run.run for run in drain(app)] == [2]
        assert task.reset().state == "finished"
    assert ran == ["later", "again", "again", "later"]


def test_inline_leaves_the_queue_as_it_was() -> None:
    before = (app.clock, app.database)
    with inline(app, clock=FakeClock()):
        pass
    assert (app.clock, app.database) == before


def test_inline_also_under_a_running_event_loop() -> None:
    async def scenario() -> Any:
        with inline(app):
            return [sleeps.enqueue().result, (await sleeps.enqueue_async()).result]

    assert asyncio.run(scenario()) == ["slept", "slept"]


def test_drain_runs_what_is_ready_and_what_that_enqueues(headbox_queue: TaskQueue) -> None:
    first = headbox_queue.enqueue(note, ["a"])
    assert ran == []
    assert drain(headbox_queue) == [first]
    assert first.refresh().result == "a"
    assert drain(headbox_queue) == []


def test_drain_records_progress_and_times(headbox_queue: TaskQueue, headbox_clock: FakeClock) -> None:
    task = headbox_queue.enqueue(reports)
    (run,) = drain(headbox_queue)
    assert run == task
    assert (run.progress, run.start_time, run.finish_time) == ({"done": 2}, headbox_clock.time, headbox_clock.time)
    assert headbox_queue.store.workers() == []


def interrupts_itself() -> None:
    raise Interrupted("enough")


def test_a_task_that_raises_interrupted_is_canceled(headbox_queue: TaskQueue) -> None:
    headbox_queue.enqueue(interrupts_itself)
    assert [(run.state, run.exception) for run in drain(headbox_queue)] == [("canceled", "enough")]


def test_the_plugin_makes_an_applications_queue_inline(
    headbox_inline: Callable[[TaskQueue], TaskQueue], headbox_clock: FakeClock
) -> None:
    assert headbox_inline(app) is app
    assert note.enqueue("x").finish_time == headbox_clock.time


def test_the_plugins_queue_is_empty_and_apart(headbox_queue: TaskQueue, tmp_path: Path) -> None:
    assert headbox_queue.find(queue="default") == []
    assert str(tmp_path) in headbox_queue.database


def test_the_clock_moves_only_when_it_is_moved() -> None:
    clock = FakeClock(datetime(2026, 3, 1, tzinfo=UTC))
    assert clock.now() == clock.now()
    assert clock.advance(1.5) == clock.time == datetime(2026, 3, 1, 0, 0, 1, 500_000, tzinfo=UTC)
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(-1)
    with pytest.raises(ValueError, match="aware"):
        FakeClock(datetime(2026, 3, 1))  # noqa: DTZ001
