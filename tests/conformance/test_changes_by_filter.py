from __future__ import annotations

import pytest

from headbox.domain.task import HOUR, MINUTE
from headbox.storage import sql_store
from headbox.storage.records import Filter
from tests.conformance.conftest import Scene


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if each selection were a large one."""
    monkeypatch.setattr(sql_store, "FOUND", 3)
    monkeypatch.setattr(sql_store, "TOGETHER", 2)


def test_all_that_a_filter_finds_is_canceled(scene: Scene) -> None:
    tasks = [scene.enqueue(queue="a") for _ in range(7)]
    other = scene.enqueue(queue="b")
    canceled = list(scene.store.change_found("cancel", Filter(queues=("a",)), scene.now))
    assert [(task.id, task.state) for task in canceled] == [(task.id, "canceled") for task in tasks]
    assert scene.get(other).state == "waiting"


def test_a_schedule_is_canceled_once_though_it_waits_again(scene: Scene) -> None:
    hourly = [scene.enqueue_hourly(queue="a") for _ in range(4)]
    assert len(list(scene.store.change_found("cancel", Filter(queues=("a",)), scene.now))) == 4
    assert {scene.get(task).run for task in hourly} == {2}


def test_a_limit_changes_so_many_and_the_same_again_the_rest(scene: Scene) -> None:
    for _ in range(5):
        scene.enqueue(queue="a")
    waiting = Filter(queues=("a",), states=("waiting",), exactly=("waiting",))
    counts = [len(list(scene.store.change_found("suspend", waiting, scene.now, 4))) for _ in range(3)]
    assert counts == [4, 1, 0]


def test_what_a_change_does_not_fit_is_passed_over(scene: Scene) -> None:
    scene.in_state("suspended")
    waiting = scene.in_state("waiting")
    for state in ("finished", "error"):
        scene.in_state(state)
    assert [task.id for task in scene.store.change_found("suspend", Filter(), scene.now)] == [
        *(task.id for task in scene.store.stream(Filter(queues=("headbox",)), scene.now)),
        waiting.id,
    ]
    assert len(list(scene.store.change_found("resume", Filter(), scene.now))) == 4


def test_complete_tasks_are_reset_newest_first(scene: Scene) -> None:
    failed = []
    for _ in range(7):
        failed.append(scene.in_state("error"))
        scene.pass_time(MINUTE)
    scene.in_state("finished")
    reset = list(scene.store.change_found("reset", Filter(states=("error",)), scene.now))
    assert [(task.id, task.state, task.run) for task in reset] == [(task.id, "reset", 2) for task in reversed(failed)]
    assert list(scene.store.change_found("reset", Filter(states=("error",)), scene.now)) == []


def test_only_those_are_reset_that_failed_last_and_since(scene: Scene) -> None:
    long_ago = scene.in_state("error")
    scene.pass_time(3 * HOUR)
    retried = scene.running(attempts=2)
    scene.finish(retried, "fail")
    scene.pass_time(MINUTE)
    (again,) = scene.claim()
    scene.finish(again)
    recent = scene.in_state("error")
    since = Filter(outcomes=("error",), finished_after=scene.now - HOUR)
    assert scene.store.count(since, scene.now) == 2
    assert [task.id for task in scene.store.change_found("reset", since, scene.now)] == [recent.id]
    assert [task.id for task in scene.store.change_found("reset", Filter(outcomes=("error",)), scene.now)] == [
        long_ago.id
    ]


def test_a_unique_task_in_the_way_keeps_no_other_from_being_reset(scene: Scene) -> None:
    failed = [scene.running(unique_key="one"), scene.running(), scene.running()]
    for task in failed:
        scene.finish(task, "fail")
    scene.enqueue(unique_key="one")
    reset = list(scene.store.change_found("reset", Filter(states=("error",)), scene.now))
    assert {task.id for task in reset} == {task.id for task in failed[1:]}


def test_nobody_waits_while_many_are_changed(scene: Scene) -> None:
    """Between two batches others get their turn: nothing is held open meanwhile."""
    for _ in range(6):
        scene.enqueue(queue="a")
    changing = scene.store.change_found("cancel", Filter(queues=("a",)), scene.now)
    next(changing)
    newcomer = scene.enqueue(queue="b")
    assert scene.get(newcomer).state == "waiting"
    assert len(list(changing)) == 5
