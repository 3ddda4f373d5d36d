from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from headbox.domain.errors import NonUniqueTask, StateConflict, UnknownTask
from headbox.domain.schedulers import (
    AtScheduler,
    CronScheduler,
    ImmediateScheduler,
    IntervalScheduler,
    parse_schedule,
)
from headbox.domain.states import COMPLETE
from headbox.domain.task import HOUR, MINUTE, Task, unique_key

if TYPE_CHECKING:
    from tests.conformance.conftest import Scene

ONE_O_CLOCK = "2026-12-01T13:00:00Z"


def declaration(scene: Scene, **changes: Any) -> Task:
    """An hourly task of that name, as an application would declare it."""
    hourly = {
        "scheduler": "interval", "schedule": "2026-12-01T12:00:00Z/PT1H", "scheduled_time": scene.now,
        "schedule_name": "fedora", "definition": "first",
    }  # fmt: skip
    return scene.task(**hourly | changes)


def test_an_interval_begins_now_unless_it_says_otherwise(scene: Scene) -> None:
    task = scene.enqueue()
    hourly = scene.store.reschedule(task.id, IntervalScheduler(timedelta(hours=1), runs=4), scene.now)
    assert (hourly.scheduler, hourly.schedule, hourly.runs_left) == ("interval", "2026-12-01T12:00:00Z/PT1H", 4)
    assert hourly.scheduled_time == hourly.due_time == scene.now and hourly.state == "waiting"
    later = scene.store.reschedule(task.id, parse_schedule(f"{ONE_O_CLOCK}/PT5M"), scene.now)
    assert later.due_time == scene.now + HOUR and later.runs_left is None


def test_a_task_can_be_put_on_any_schedule(scene: Scene) -> None:
    task = scene.enqueue_hourly(runs_left=3)
    for scheduler, due in (
        (parse_schedule(ONE_O_CLOCK), scene.now + HOUR),
        (CronScheduler("30 12 * * *"), scene.now + 30 * MINUTE),
        (ImmediateScheduler(), scene.now),
        (parse_schedule("2026-12-01T00:00:00Z"), scene.now - 12 * HOUR),
    ):
        changed = scene.store.reschedule(task.id, scheduler, scene.now)
        assert (changed.scheduler, changed.schedule) == (scheduler.kind, scheduler.expression())
        assert (changed.due_time, changed.runs_left) == (due, None)
        assert changed.scheduled_time == (None if scheduler.kind == "immediate" else due)
        assert scene.get(task) == changed
    scene.finish(scene.claim()[0])
    assert scene.get(task).state == "finished"


@pytest.mark.parametrize("state", ["reset", "suspended"])
def test_a_task_keeps_its_state_on_its_new_schedule(scene: Scene, state: str) -> None:
    task = scene.in_state(state)
    changed = scene.store.reschedule(task.id, parse_schedule(f"{ONE_O_CLOCK}/PT1H"), scene.now)
    assert (changed.state, changed.run, changed.due_time) == (state, task.run, scene.now + HOUR)


@pytest.mark.parametrize("state", COMPLETE)
def test_a_complete_task_has_no_schedule_to_change(scene: Scene, state: str) -> None:
    task = scene.in_state(state)
    with pytest.raises(StateConflict, match=state):
        scene.store.reschedule(task.id, IntervalScheduler(60), scene.now)
    with pytest.raises(UnknownTask):
        scene.store.reschedule("nobody", IntervalScheduler(60), scene.now)


def test_a_running_schedule_follows_its_new_schedule_after_this_run(scene: Scene) -> None:
    task = scene.enqueue_hourly(runs_left=9)
    (run,) = scene.claim()
    changed = scene.store.reschedule(task.id, parse_schedule(f"R2/{ONE_O_CLOCK}/PT5M"), scene.now)
    assert changed.state == "running"
    scene.pass_time(MINUTE)
    scene.finish(run)
    waiting = scene.get(task)
    assert (waiting.due_time, waiting.runs_left) == (scene.now - MINUTE + HOUR, 2)


def test_a_running_one_off_can_be_made_a_schedule(scene: Scene) -> None:
    task = scene.running()
    scene.store.reschedule(task.id, IntervalScheduler(60), scene.now)
    scene.pass_time(MINUTE // 2)
    scene.finish(task)
    assert (scene.get(task).state, scene.get(task).due_time) == ("waiting", scene.now + MINUTE // 2)


@pytest.mark.parametrize("scheduler", [ImmediateScheduler(), parse_schedule(ONE_O_CLOCK)])
def test_a_running_task_cannot_be_made_a_one_off(scene: Scene, scheduler: AtScheduler | ImmediateScheduler) -> None:
    task = scene.running()
    with pytest.raises(StateConflict, match="running"):
        scene.store.reschedule(task.id, scheduler, scene.now)
    assert scene.get(task) == task


def test_a_unique_task_is_not_rescheduled_into_the_way_of_another(scene: Scene) -> None:
    other = scene.enqueue(unique_key=unique_key("digest", "at", ONE_O_CLOCK))
    task = scene.enqueue(unique_key=unique_key("digest", "immediate", None))
    with pytest.raises(NonUniqueTask) as refused:
        scene.store.reschedule(task.id, parse_schedule(ONE_O_CLOCK), scene.now)
    assert refused.value.task_id == other.id and scene.get(task) == task
    changed = scene.store.reschedule(task.id, parse_schedule("2026-12-01T14:00:00Z"), scene.now)
    with pytest.raises(NonUniqueTask) as refused:
        scene.enqueue(unique_key=unique_key("digest", "at", "2026-12-01T14:00:00Z"))
    assert refused.value.task_id == changed.id


def test_a_named_schedule_is_enqueued_once_however_often_it_is_declared(scene: Scene) -> None:
    first = scene.store.schedule(declaration(scene), scene.now)
    scene.pass_time(MINUTE)
    assert scene.store.schedule(declaration(scene), scene.now) == first
    assert len(scene.claim()) == 1


def test_another_definition_replaces_a_named_schedule_in_place(scene: Scene) -> None:
    first = scene.store.schedule(declaration(scene), scene.now)
    changed = scene.store.schedule(declaration(scene, definition="second", args=b"[2]", weight=3), scene.now)
    assert (changed.id, changed.run, changed.args, changed.weight) == (first.id, 1, b"[2]", 3)
    assert scene.get(first) == changed and len(scene.claim()) == 1


def test_a_changed_definition_on_the_same_schedule_keeps_its_place_in_time(scene: Scene) -> None:
    first = scene.store.schedule(declaration(scene, runs_left=5), scene.now)
    scene.finish(scene.claim()[0])
    before = scene.get(first)
    changed = scene.store.schedule(declaration(scene, definition="second", runs_left=5), scene.now)
    assert (changed.due_time, changed.scheduled_time, changed.runs_left, changed.run) == (
        before.due_time, before.scheduled_time, 4, 2,
    )  # fmt: skip


def test_a_changed_schedule_is_followed_from_now_on(scene: Scene) -> None:
    first = scene.store.schedule(declaration(scene), scene.now)
    half = {"definition": "second", "schedule": "2026-12-01T12:30:00Z/PT30M", "scheduled_time": scene.now + 30 * MINUTE}
    changed = scene.store.schedule(declaration(scene, due_time=scene.now + 30 * MINUTE, **half), scene.now)
    assert (changed.id, changed.due_time) == (first.id, scene.now + 30 * MINUTE)


def test_a_named_schedule_that_is_redefined_while_it_runs_finishes_and_then_follows(scene: Scene) -> None:
    first = scene.store.schedule(declaration(scene), scene.now)
    (run,) = scene.claim()
    daily = {"definition": "second", "schedule": "2026-12-02T06:00:00Z/P1D", "scheduled_time": scene.now + 18 * HOUR}
    changed = scene.store.schedule(declaration(scene, due_time=scene.now + 18 * HOUR, runs_left=2, **daily), scene.now)
    assert (changed.state, changed.run) == ("running", 1)
    assert scene.finish(run).superseded == []
    waiting = scene.get(first)
    assert (waiting.state, waiting.due_time, waiting.runs_left) == ("waiting", scene.now + 18 * HOUR, 2)


def test_a_named_schedule_stays_suspended_when_it_is_declared_again(scene: Scene) -> None:
    first = scene.store.schedule(declaration(scene), scene.now)
    scene.store.suspend(first.id, scene.now)
    scene.store.schedule(declaration(scene, definition="second"), scene.now)
    assert scene.get(first).state == "suspended"


def test_a_removed_name_can_be_declared_again(scene: Scene) -> None:
    first = scene.store.schedule(declaration(scene), scene.now)
    scene.store.remove(first.id, scene.now)
    second = scene.store.schedule(declaration(scene), scene.now)
    assert second.id != first.id and second.state == "waiting"


@pytest.mark.parametrize("definition", ["first", "second"])
def test_a_name_declared_again_while_the_removed_one_still_runs_goes_on(scene: Scene, definition: str) -> None:
    first = scene.store.schedule(declaration(scene), scene.now)
    (run,) = scene.claim()
    scene.store.remove(first.id, scene.now)
    scene.store.schedule(declaration(scene, definition=definition), scene.now)
    scene.finish(run)
    scene.pass_time(HOUR)
    assert [task.schedule_name for task in scene.claim()] == ["fedora"]


def test_schedules_of_other_names_are_others(scene: Scene) -> None:
    names = [scene.store.schedule(declaration(scene, schedule_name=name), scene.now).id for name in ("a", "b", "é")]
    assert len(set(names)) == 3


def test_a_schedule_that_is_hastened_runs_now_and_keeps_its_next_occurrence(scene: Scene) -> None:
    task = scene.enqueue_hourly(scheduled_time=scene.now + HOUR, due_time=scene.now + HOUR, runs_left=3)
    scene.pass_time(MINUTE)
    hastened = scene.store.hasten(task.id, scene.now)
    assert (hastened.state, hastened.due_time, hastened.scheduled_time) == ("waiting", scene.now, scene.now)
    assert hastened.runs_left == 4
    assert scene.store.hasten(task.id, scene.now) == hastened  # twice is once
    (claimed,) = scene.claim()
    with pytest.raises(StateConflict, match="the task is running"):
        scene.store.hasten(task.id, scene.now)
    scene.finish(claimed)
    assert (scene.get(task).scheduled_time, scene.get(task).runs_left) == (task.scheduled_time, 3)


def test_only_a_schedule_can_be_hastened(scene: Scene) -> None:
    with pytest.raises(StateConflict, match="no schedule"):
        scene.store.hasten(scene.enqueue(due_time=scene.now + HOUR).id, scene.now)
    with pytest.raises(UnknownTask):
        scene.store.hasten("nobody", scene.now)


def test_schedules_are_listed_by_id_and_by_pages(scene: Scene) -> None:
    scene.enqueue()
    tasks = [scene.enqueue_hourly() for _ in range(3)]
    suspended = scene.store.suspend(tasks[1].id, scene.now)
    listed = [task for task in scene.store.schedules(100) if task.queue == "default"]
    assert listed == [tasks[0], suspended, tasks[2]]
    assert scene.store.schedules(1, after=suspended.id)[0] == tasks[2]
    assert scene.store.schedules(10, after="zzz") == []


def test_recent_ends_are_those_of_the_last_runs_newest_first(scene: Scene) -> None:
    task, other = scene.enqueue_hourly(), scene.enqueue_hourly()
    for event in ("succeed", "fail", "succeed"):
        for claimed in scene.claim():
            if claimed.id == task.id:
                scene.finish(claimed, event, start_time=scene.now)
        scene.pass_time(HOUR)
    task = scene.get(task)
    ends = scene.store.recent_ends([task, scene.get(other)], 2)
    assert [(end.run, end.state) for end in ends[task.id]] == [(3, "finished"), (2, "error")]
    assert ends[other.id] == [] and ends[task.id][0].start_time == ends[task.id][0].finish_time
    assert scene.store.recent_ends([], 2) == {}
