from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headbox.domain.errors import UnknownName
from headbox.domain.task import HOUR, SECOND
from headbox.storage.records import Filter, Job, JobCancellation, JobCounts
from tests.conformance.conftest import LIFETIME

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


def test_a_job_in_progress_counts_its_tasks_by_state(scene: Scene) -> None:
    for event in ("succeed", "fail"):
        scene.finish(scene.running(job_id="a"), event)
    scene.running(job_id="a")
    scene.store.suspend(scene.enqueue(job_id="a").id, scene.now)
    scene.enqueue(job_id="a", due_time=scene.now + HOUR)
    scene.enqueue()
    (job,) = scene.store.jobs_in_progress(scene.now, 10)
    states = {"finished": 1, "error": 1, "running": 1, "suspended": 1, "waiting": 1}
    assert job == JobCounts("a", scene.now, scene.now - LIFETIME, states, True)
    assert scene.store.jobs_ended(10) == []


def test_a_job_that_comes_again_does_not_count_what_has_ended_before(scene: Scene) -> None:
    scene.finish(scene.running(job_id="nightly"))
    began = scene.pass_time(LIFETIME + SECOND)
    scene.finish(scene.running(job_id="nightly"))
    (job,) = scene.store.jobs_ended(10)
    assert job == JobCounts("nightly", began, began - LIFETIME, {"finished": 1}, True, began)
    again = scene.pass_time(LIFETIME + SECOND)
    scene.enqueue(job_id="nightly")
    (job,) = scene.store.jobs_in_progress(again, 10)
    assert job == JobCounts("nightly", again, again - LIFETIME, {"waiting": 1}, True)
    assert scene.store.jobs_ended(10) == []


def test_what_ended_while_the_oldest_waited_is_counted_however_long_ago(scene: Scene) -> None:
    ended, _ = scene.running(job_id="a"), scene.enqueue(job_id="a")
    scene.finish(ended)
    scene.pass_time(10 * LIFETIME)
    assert scene.store.jobs_in_progress(scene.now, 10)[0].states == {"finished": 1, "waiting": 1}


def test_a_job_counts_each_task_once_however_often_it_has_run(scene: Scene) -> None:
    task = scene.enqueue_hourly(job_id="a")
    for _ in range(3):
        (claimed,) = scene.claim()
        scene.finish(claimed)
        scene.pass_time(HOUR)
    (job,) = scene.store.jobs_in_progress(scene.now, 10)
    assert job.states == {"waiting": 1}
    scene.store.remove(task.id, scene.now)
    (job,) = scene.store.jobs_ended(10)
    assert job.states == {"canceled": 1}


def test_jobs_in_progress_are_told_a_page_at_a_time(scene: Scene) -> None:
    for id in ("b", "a", "c", "a", "\u00e9", "B"):
        scene.enqueue(job_id=id)
    first = [job.id for job in scene.store.jobs_in_progress(scene.now, 3)]
    rest = [job.id for job in scene.store.jobs_in_progress(scene.now, 3, first[-1])]
    assert (first, rest) == (["B", "a", "b"], ["c", "\u00e9"])
    assert scene.store.jobs_in_progress(scene.now, 3, rest[-1]) == []


def test_of_jobs_with_very_many_tasks_only_a_share_is_counted(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headbox.storage.jobs.COUNTED", 13)
    monkeypatch.setattr("headbox.storage.jobs.LEAST", 2)
    for id in "aaabbbbbbbc":
        scene.enqueue(job_id=id)
    jobs = scene.store.jobs_in_progress(scene.now, 10)
    assert [(job.id, job.states["waiting"], job.is_all) for job in jobs] == [
        ("a", 3, True), ("b", 4, False), ("c", 1, True),
    ]  # fmt: skip


def test_the_latest_of_the_jobs_that_have_ended_comes_first(scene: Scene) -> None:
    for id in ("a", "b", "c"):
        scene.finish(scene.running(job_id=id))
        scene.pass_time(HOUR)
    assert [job.id for job in scene.store.jobs_ended(2)] == ["c", "b"]
