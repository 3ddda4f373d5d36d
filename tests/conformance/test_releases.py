from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headbox.storage.records import Release, Report

if TYPE_CHECKING:
    from headbox.domain.task import Task
    from tests.conformance.conftest import Scene


def release(scene: Scene, task: Task, worker: str = "a", hold: bool = False) -> None:
    scene.store.exchange(worker, Report(releases=[Release(task.id, task.run, hold)]), None, scene.now)


def test_a_released_task_is_what_it_was_before(scene: Scene) -> None:
    task = scene.enqueue()
    release(scene, scene.claim()[0])
    assert scene.get(task) == task
    assert [claimed.id for claimed in scene.claim("b")] == [task.id]


def test_a_released_task_that_was_reset_is_reset_again(scene: Scene) -> None:
    lost = scene.running()
    scene.finish(lost, "lose")
    release(scene, scene.claim("b")[0], "b")
    again = scene.get(lost)
    assert (again.state, again.run, again.snapshot_id, again.worker) == ("reset", 2, None, None)
    assert [run.run for run in scene.store.history(lost.id)] == [1]


def test_only_the_worker_that_holds_a_run_can_release_it(scene: Scene) -> None:
    task = scene.running("a")
    release(scene, task, "b")
    scene.store.exchange("a", Report(releases=[Release(task.id, 2), Release("nobody", 1)]), None, scene.now)
    assert scene.get(task) == task


def test_a_released_task_that_was_to_be_canceled_is_canceled(scene: Scene) -> None:
    task = scene.running()
    scene.store.cancel(task.id, scene.now)
    release(scene, task)
    ended = scene.get(task)
    assert (ended.state, bool(ended.final), ended.cancel_attempts) == ("canceled", True, 1)
    assert scene.claim("b") == []


def test_a_released_task_that_was_removed_is_canceled_for_good(scene: Scene) -> None:
    for task in (scene.running(), scene.running(attempts=3)):
        scene.store.remove(task.id, scene.now)
        release(scene, task)
        assert (scene.get(task).state, bool(scene.get(task).final)) == ("canceled", True)
    assert scene.claim("b") == []


def test_a_released_task_that_was_to_be_suspended_is_suspended(scene: Scene) -> None:
    task = scene.running()
    scene.store.suspend(task.id, scene.now)
    release(scene, task)
    assert scene.get(task).state == "suspended" and scene.claim("b") == []
    scene.store.resume(task.id, scene.now)
    (again,) = scene.claim("b")
    scene.finish(again, worker="b")
    assert scene.get(task).state == "finished"


def test_a_task_that_no_worker_knows_is_held_until_one_publishes_its_callable(scene: Scene) -> None:
    task = scene.running(callable="late:arrival")
    release(scene, task, hold=True)
    held = scene.get(task)
    assert (held.state, held.held) == ("waiting", 1)
    assert scene.claim("b") == []
    scene.register("c", names=("other:thing",))
    assert scene.claim("b") == []
    scene.register("d", names=("some:thing", "late:arrival"))
    assert scene.get(task).held == 0
    assert [claimed.id for claimed in scene.claim("d")] == [task.id]


def test_holding_a_task_twice_takes_one_publication_to_undo(scene: Scene) -> None:
    task = scene.running(callable="late:arrival")
    release(scene, task, hold=True)
    release(scene, task, hold=True)
    assert scene.get(task).held == 1
    scene.register("c", names=("late:arrival",))
    assert scene.get(task).held == 0


def test_a_task_that_another_worker_knows_is_not_held(scene: Scene) -> None:
    scene.register("c", names=("late:arrival",))
    task = scene.running(callable="late:arrival")
    release(scene, task, hold=True)
    assert scene.get(task).held == 0
    assert [claimed.id for claimed in scene.claim("c")] == [task.id]


@pytest.mark.parametrize("verb", ["cancel", "remove"])
def test_a_held_task_can_be_ended(scene: Scene, verb: str) -> None:
    task = scene.running(callable="late:arrival")
    release(scene, task, hold=True)
    assert getattr(scene.store, verb)(task.id, scene.now).state == "canceled"
    scene.register("c", names=("late:arrival",))
    assert scene.claim("c") == []


def test_a_held_task_that_was_canceled_and_reset_is_held_only_if_it_must_be(scene: Scene) -> None:
    task = scene.running(callable="late:arrival")
    release(scene, task, hold=True)
    scene.store.cancel(task.id, scene.now)
    scene.store.reset(task.id, scene.now)
    (again,) = scene.claim("a")
    release(scene, again, hold=True)
    assert scene.get(task).held == 1
    scene.register("c", names=("late:arrival",))
    assert scene.get(task).held == 0


def test_a_held_task_can_be_suspended_and_stays_held(scene: Scene) -> None:
    task = scene.running(callable="late:arrival")
    release(scene, task, hold=True)
    assert scene.store.suspend(task.id, scene.now).state == "suspended"
    assert scene.store.resume(task.id, scene.now).held == 1
    assert scene.claim() == []
