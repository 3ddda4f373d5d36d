from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headbox.domain.errors import UnknownName
from headbox.domain.task import HOUR
from headbox.storage.records import Filter, Job, JobCancellation

if TYPE_CHECKING:
    from tests.conformance.conftest import Scene


def test_without_jobs_there_are_none(scene: Scene) -> None:
    scene.enqueue()
    assert list(scene.store.jobs(scene.now)) == []


def test_a_job_is_its_current_tasks(scene: Scene) -> None:
    first, second, other = scene.enqueue(job_id="a"), scene.enqueue(job_id="a"), scene.enqueue(job_id="b")
    scene.enqueue()
    assert list(scene.store.jobs(scene.now)) == [Job("a", [first, second]), Job("b", [other])]
    assert scene.store.job("a", scene.now) == Job("a", [first, second])


def test_an_ended_task_belongs_to_its_job_while_it_is_current(scene: Scene) -> None:
    ended = scene.running(job_id="a")
    scene.finish(ended)
    assert scene.store.job("a", scene.now).tasks == [scene.get(ended)]
    scene.pass_time(HOUR)
    assert list(scene.store.jobs(scene.now)) == []
    with pytest.raises(UnknownName):
        scene.store.job("a", scene.now)


def test_an_unknown_job_is_an_unknown_name(scene: Scene) -> None:
    scene.enqueue()
    for id in ("", "nobody"):
        with pytest.raises(UnknownName):
            scene.store.job(id, scene.now)
        with pytest.raises(UnknownName):
            scene.store.cancel_job(id, scene.now)


def test_a_caller_without_read_sees_its_own_tasks_of_a_job(scene: Scene) -> None:
    mine = scene.enqueue(job_id="a", owner="ann")
    scene.enqueue(job_id="a", owner="bob")
    scene.enqueue(job_id="b", owner="bob")
    assert list(scene.store.jobs(scene.now, visible_to="ann")) == [Job("a", [mine])]
    assert scene.store.job("a", scene.now, visible_to="ann").tasks == [mine]
    with pytest.raises(UnknownName):
        scene.store.job("b", scene.now, visible_to="ann")


def test_canceling_a_job_cancels_what_is_not_complete_and_tells_what_was(scene: Scene) -> None:
    ended = scene.running(job_id="a")
    scene.finish(ended)
    running = scene.running(job_id="a")
    waiting, hourly = scene.enqueue(job_id="a"), scene.enqueue_hourly(job_id="a")
    bystander = scene.enqueue(job_id="b")
    canceled = scene.store.cancel_job("a", scene.now)
    assert isinstance(canceled, JobCancellation) and canceled.id == "a"
    assert canceled.completed == [scene.get(ended)]
    assert canceled.canceled == [scene.get(task) for task in (running, waiting, hourly)]
    assert [task.state for task in canceled.canceled] == ["running", "canceled", "waiting"]
    assert scene.store.canceling("a") == [(running.id, 1)]
    assert scene.get(bystander) == bystander


def test_a_job_that_is_complete_can_be_canceled_in_vain(scene: Scene) -> None:
    ended = scene.running(job_id="a")
    scene.finish(ended)
    canceled = scene.store.cancel_job("a", scene.now)
    assert (canceled.completed, canceled.canceled) == ([scene.get(ended)], [])


def test_a_caller_without_read_cancels_only_its_own(scene: Scene) -> None:
    mine, theirs = scene.enqueue(job_id="a", owner="ann"), scene.enqueue(job_id="a", owner="bob")
    canceled = scene.store.cancel_job("a", scene.now, visible_to="ann")
    assert [task.id for task in canceled.canceled] == [mine.id]
    assert scene.get(theirs) == theirs


def test_canceling_what_a_filter_finds_leaves_the_rest_alone(scene: Scene) -> None:
    ended = scene.running(queue="one")
    scene.finish(ended)
    running, waiting = scene.running(queue="one"), scene.enqueue(queue="one")
    bystander = scene.enqueue(queue="two")
    canceled = list(scene.store.change_found("cancel", Filter(queues=("one",)), scene.now))
    assert [task.id for task in canceled] == [running.id, waiting.id]
    assert [(task.state, task.cancel_attempts) for task in canceled] == [("running", 1), ("canceled", 1)]
    assert (scene.get(ended).state, scene.get(bystander)) == ("finished", bystander)


@pytest.mark.parametrize(
    "filter", [Filter(queues=("none",)), Filter(states=("archived",)), Filter(states=("complete",))]
)
def test_canceling_what_is_complete_or_not_there_cancels_nothing(scene: Scene, filter: Filter) -> None:
    scene.in_state("finished")
    task = scene.enqueue()
    assert list(scene.store.change_found("cancel", filter, scene.now)) == []
    assert scene.get(task) == task
