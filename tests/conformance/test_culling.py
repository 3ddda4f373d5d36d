from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headbox.domain.errors import StateConflict, UnknownTask
from headbox.domain.task import HOUR, SECOND
from headbox.storage.records import Event

if TYPE_CHECKING:
    from tests.conformance.conftest import Scene

MANY = 1_000_000


def test_an_empty_history_is_culled_of_nothing(scene: Scene) -> None:
    assert scene.store.cull_history(scene.now, MANY, MANY) == 0
    assert scene.store.cull_audited_events(scene.now, MANY) == 0


def test_runs_that_ended_before_are_culled_in_batches_the_oldest_first(scene: Scene) -> None:
    tasks = [scene.in_state("finished") for _ in range(5) if scene.pass_time(SECOND)]
    before = scene.get(tasks[4]).finish_time
    assert before is not None
    assert scene.store.cull_history(before, MANY, 3) == 3
    assert [scene.is_known(task) for task in tasks] == [False, False, False, True, True]
    assert scene.store.cull_history(before, MANY, 3) == 1
    assert scene.store.cull_history(before, MANY, 3) == 0
    assert scene.is_known(tasks[4])


def test_what_is_not_complete_is_never_culled(scene: Scene) -> None:
    live = [scene.in_state(state) for state in ("waiting", "running", "suspended", "reset")]
    before = [scene.get(task) for task in live]
    scene.store.cull_history(scene.now + 100 * HOUR, 1, MANY)
    assert [scene.get(task) for task in live] == before


def test_a_task_that_was_culled_is_unknown_and_cannot_be_reset(scene: Scene) -> None:
    task = scene.in_state("error")
    scene.store.cull_history(scene.now + 1, MANY, MANY)
    for ask in (lambda: scene.get(task), lambda: scene.store.reset(task.id, scene.now)):
        with pytest.raises(UnknownTask):
            ask()
    with pytest.raises(UnknownTask):
        scene.store.history(task.id)


def test_of_a_schedule_its_newest_runs_are_kept(scene: Scene) -> None:
    hourly, other = scene.enqueue_hourly(), scene.enqueue_hourly(queue="other")
    for _ in range(6):
        scene.finish(scene.claim(queues=("default",))[0])
        scene.pass_time(HOUR)
    scene.finish(scene.claim(queues=("other",))[0])
    assert scene.store.cull_history(0, 2, 3) == 3
    assert [run.run for run in scene.store.history(hourly.id)] == [6, 5, 4]
    assert scene.store.cull_history(0, 2, MANY) == 1
    assert [run.run for run in scene.store.history(hourly.id)] == [6, 5]
    assert scene.store.cull_history(0, 2, MANY) == 0
    assert len(scene.store.history(other.id)) == 1


def test_a_schedule_whose_runs_were_culled_goes_on(scene: Scene) -> None:
    task = scene.enqueue_hourly()
    scene.finish(scene.claim()[0])
    scene.store.cull_history(scene.now + 1, 1, MANY)
    assert scene.store.history(task.id) == []
    scene.pass_time(HOUR)
    (run,) = scene.claim()
    assert run.run == 2
    with pytest.raises(StateConflict):
        scene.store.reset(task.id, scene.now)


def test_audited_events_are_culled_by_age_in_batches(scene: Scene) -> None:
    for time in range(6):
        scene.store.record(Event(time=time, user=None, address=None, method="POST", path="/", status=200))
    assert scene.store.cull_audited_events(4, 3) == 3
    assert scene.store.cull_audited_events(4, 3) == 1
    assert [event.time for event in scene.store.events(10)] == [5, 4]
