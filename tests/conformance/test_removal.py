from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headbox.domain.errors import StateConflict, UnknownTask
from headbox.domain.states import COMPLETE, STATES, Event
from headbox.storage.records import Filter

if TYPE_CHECKING:
    from tests.conformance.conftest import Scene


@pytest.mark.parametrize("state", ["waiting", "reset", "suspended"])
def test_removing_a_task_that_is_not_running_archives_it_canceled_for_good(scene: Scene, state: str) -> None:
    task = scene.in_state(state)
    removed = scene.store.remove(task.id, scene.now)
    assert (removed.state, bool(removed.final), removed.finish_time) == ("canceled", True, scene.now)
    assert scene.get(task) == removed and scene.claim() == []


def test_removing_a_schedule_ends_it(scene: Scene) -> None:
    task = scene.enqueue_hourly()
    assert scene.store.remove(task.id, scene.now).state == "canceled"
    assert [bool(run.final) for run in scene.store.history(task.id)] == [True]


@pytest.mark.parametrize("state", COMPLETE)
def test_a_complete_task_cannot_be_removed(scene: Scene, state: str) -> None:
    task = scene.in_state(state)
    with pytest.raises(StateConflict, match=state):
        scene.store.remove(task.id, scene.now)
    assert scene.get(task) == task


@pytest.mark.parametrize(
    ("event", "state"), [("succeed", "finished"), ("fail", "error"), ("expire", "timed_out"), ("cancel", "canceled")]
)
def test_the_run_in_progress_of_a_removed_task_is_undisturbed_and_its_last(
    scene: Scene, event: Event, state: str
) -> None:
    for task in (scene.running(attempts=5), scene.running(scheduler="cron", schedule="cron: * * * * * UTC")):
        removed = scene.store.remove(task.id, scene.now)
        assert (removed.state, bool(removed.removed)) == ("running", True)
        assert scene.store.canceling("a") == []
        scene.finish(task, event)
        assert (scene.get(task).state, bool(scene.get(task).final)) == (state, True)


def test_a_removed_task_is_run_again_if_it_is_lost_and_then_ends(scene: Scene) -> None:
    task = scene.enqueue_hourly()
    (run,) = scene.claim()
    scene.store.remove(task.id, scene.now)
    scene.finish(run, "lose")
    assert scene.get(task).state == "reset"
    scene.finish(scene.claim()[0])
    assert (scene.get(task).state, bool(scene.get(task).final)) == ("finished", True)


def test_a_removed_task_can_be_reset_and_is_removed_no_more(scene: Scene) -> None:
    task = scene.enqueue_hourly()
    scene.store.remove(task.id, scene.now)
    assert not scene.store.reset(task.id, scene.now).removed
    scene.finish(scene.claim()[0])
    assert scene.get(task).state == "waiting"


def test_a_run_in_progress_has_a_snapshot_and_no_other_task_has(scene: Scene) -> None:
    for state in STATES:
        scene.in_state(state)
    states = [(task.state, bool(task.snapshot_id)) for task in scene.store.snapshots()]
    assert states == [("running", True)]


def test_without_a_snapshot_the_run_goes_on_but_is_not_resumed_if_it_is_lost(scene: Scene) -> None:
    task = scene.running()
    assert scene.store.delete_snapshot(task.id) == task
    assert scene.get(task).snapshot_id is None and scene.store.snapshots() == []
    with pytest.raises(UnknownTask):
        scene.store.delete_snapshot(task.id)
    (lost,) = scene.store.rescue(scene.now, ["a"])
    assert (lost.state, bool(lost.final)) == ("error", True)
    assert lost.exception is not None and "snapshot was deleted" in lost.exception


def test_without_a_snapshot_a_run_still_ends_as_it_ends(scene: Scene) -> None:
    task = scene.running()
    scene.store.delete_snapshot(task.id)
    scene.finish(task, "succeed")
    assert scene.get(task).state == "finished"


@pytest.mark.parametrize("state", [state for state in STATES if state != "running"])
def test_a_task_that_is_not_running_has_no_snapshot_to_delete(scene: Scene, state: str) -> None:
    task = scene.in_state(state)
    with pytest.raises(UnknownTask):
        scene.store.delete_snapshot(task.id)
    assert scene.get(task) == task


def test_the_housekeeping_is_not_removed_but_can_be_suspended(scene: Scene) -> None:
    (task,) = scene.store.find(Filter(method_names=("cull_history",)), scene.now, 1).tasks
    with pytest.raises(StateConflict, match="suspend it instead"):
        scene.store.remove(task.id, scene.now)
    assert scene.store.suspend(task.id, scene.now).state == "suspended"
