from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from headbox.domain.schedulers import IntervalScheduler
from headbox.domain.task import MINUTE, SECOND
from headbox.identifiers import new_id
from headbox.storage import feed as rooms
from headbox.storage.records import Progress, Release, Report, Start
from tests.conformance.conftest import Scene

Told = list[tuple[str, str, int]]


@pytest.fixture
def look(scene: Scene) -> Callable[[], Told]:
    feed = scene.store.feed()

    def look() -> Told:
        changes = feed.look(scene.now)
        assert changes.is_whole
        return sorted((task.id, task.state, task.run) for task in changes.tasks)

    return look


def test_the_first_look_tells_nothing_and_the_next_what_has_come(scene: Scene, look: Callable[[], Told]) -> None:
    scene.enqueue()
    assert look() == [] == look()
    task = scene.enqueue()
    assert look() == [(task.id, "waiting", 1)]
    assert look() == []


def test_a_task_is_told_at_each_step_and_once(scene: Scene, look: Callable[[], Told]) -> None:
    look()
    task = scene.running()
    assert look() == [(task.id, "running", 1)]
    steps: list[dict[str, Any]] = [
        {"starts": [Start(task.id, 1, scene.now)]},
        {"progress": [Progress(task.id, 1, '{"done": 1}')]},
        {"progress": [Progress(task.id, 1, '{"done": 2}')]},
    ]
    for step in steps:
        scene.store.exchange("a", Report(**step), None, scene.now)
        assert look() == [(task.id, "running", 1)]
    scene.store.cancel(task.id, scene.now)
    assert look() == [(task.id, "running", 1)]
    scene.finish(task, "cancel")
    assert look() == [(task.id, "canceled", 1)]
    assert look() == []


def test_what_no_index_tells_is_told_too(scene: Scene, look: Callable[[], Told]) -> None:
    task, hourly, ended = scene.enqueue(), scene.enqueue_hourly(), scene.in_state("finished")
    look()
    scene.store.suspend(task.id, scene.now)
    assert look() == [(task.id, "suspended", 1)]
    scene.store.resume(task.id, scene.now)
    scene.store.reschedule(hourly.id, IntervalScheduler(60), scene.now)
    assert look() == sorted([(task.id, "waiting", 1), (hourly.id, "waiting", 1)])
    scene.store.reset(ended.id, scene.now)
    assert look() == [(ended.id, "reset", 2)]
    scene.store.cancel(task.id, scene.now)
    assert look() == [(task.id, "canceled", 1)]


def test_what_is_given_back_or_lost_is_told(scene: Scene, look: Callable[[], Told]) -> None:
    released, lost = scene.running(), scene.running("b")
    look()
    scene.store.exchange("a", Report(releases=[Release(released.id, 1)]), None, scene.now)
    assert look() == [(released.id, "waiting", 1)]
    scene.store.rescue(scene.now, ["b"])
    assert look() == [(lost.id, "reset", 2)]


def test_a_schedule_is_told_as_it_waits_again(scene: Scene, look: Callable[[], Told]) -> None:
    hourly = scene.enqueue_hourly()
    (run,) = scene.claim()
    look()
    scene.finish(run)
    assert look() == [(hourly.id, "waiting", 2)]


def test_what_ends_a_little_earlier_than_what_was_seen_is_told(scene: Scene, look: Callable[[], Told]) -> None:
    """Who finished first may be committed last; and a clock may be set back."""
    tasks = [scene.running() for _ in range(3)]
    look()
    scene.finish(tasks[0])
    look()
    scene.pass_time(-SECOND)
    scene.finish(tasks[1])
    assert look() == [(tasks[1].id, "finished", 1)]
    scene.pass_time(-MINUTE)
    scene.finish(tasks[2])
    assert look() == [(tasks[2].id, "finished", 1)]
    assert look() == []


def test_ids_that_tell_their_time_may_come_a_little_late(scene: Scene, look: Callable[[], Told]) -> None:
    late, early = new_id(), new_id()
    look()
    scene.enqueue(id=early)
    assert look() == [(early, "waiting", 1)]
    scene.enqueue(id=late)
    assert look() == [(late, "waiting", 1)]
    assert look() == []


def test_more_than_can_be_told_one_by_one_is_said_to_be_more(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "TOLD", 3)
    feed = scene.store.feed()
    feed.look(scene.now)
    scene.store.enqueue([scene.task() for _ in range(4)], scene.now)
    changes = feed.look(scene.now)
    assert (len(changes.tasks), changes.is_whole) == (3, False)
    assert feed.look(scene.now).is_whole
    monkeypatch.setattr(rooms, "LOOKED_AT", 5)
    scene.store.enqueue([scene.task() for _ in range(9)], scene.now)
    assert not feed.look(scene.now).is_whole
    assert feed.look(scene.now).is_whole


def test_a_change_of_very_many_at_once_is_said_to_be_more(scene: Scene) -> None:
    ids = [task.id for task in scene.store.enqueue([scene.task() for _ in range(150)], scene.now)]
    feed = scene.store.feed()
    feed.look(scene.now)
    scene.store.change_each("suspend", ids, scene.now)
    assert not feed.look(scene.now).is_whole
    assert feed.look(scene.now).tasks == []


def test_folding_takes_nothing_away_that_was_not_told(scene: Scene, look: Callable[[], Told]) -> None:
    task = scene.enqueue()
    look()
    scene.pass_time(MINUTE)
    scene.store.suspend(task.id, scene.now)
    while scene.store.fold(scene.now):
        pass
    assert look() == [(task.id, "suspended", 1)]
