from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headbox.domain.outcomes import Outcome, backoff
from headbox.domain.states import Event, State
from headbox.domain.task import HOUR, MINUTE, SECOND
from headbox.storage.records import ClaimRequest, Progress, Release, Report, Skipped, Start

if TYPE_CHECKING:
    from tests.conformance.conftest import Scene

ENDS: list[tuple[Event, State]] = [
    ("succeed", "finished"),
    ("fail", "error"),
    ("expire", "timed_out"),
    ("cancel", "canceled"),
]


@pytest.mark.parametrize(("event", "state"), ENDS)
def test_a_run_that_ends_is_archived_and_leaves_nothing_behind(scene: Scene, event: Event, state: State) -> None:
    task = scene.running()
    scene.pass_time(MINUTE)
    assert scene.finish(task, event, start_time=scene.now - SECOND).superseded == []
    ended = scene.get(task)
    assert (ended.state, ended.run, bool(ended.final), ended.worker) == (state, 1, True, "a")
    assert (ended.start_time, ended.finish_time) == (scene.now - SECOND, scene.now)
    assert ended.snapshot_id is None and scene.store.snapshots() == []
    assert scene.store.history(task.id) == [ended] and scene.store.run(task.id, 1) == ended
    assert scene.claim("b") == [] and scene.store.held_by("a") == []


def test_all_that_a_run_says_is_kept(scene: Scene) -> None:
    said = {
        "start_time": scene.now - 5,
        "result": b'{"n": 1}\x00\xff',
        "public_result": '{"n": 1}',
        "exception": "ValueError: é",
        "traceback": "Traceback …\n" * 1_000,
    }
    for attempts in (1, 2):  # one that ends at once, and one for which that has to be decided
        task = scene.running(attempts=attempts, consecutive_failures=0)
        scene.finish(task, **said)
        ended = scene.get(task)
        assert {name: getattr(ended, name) for name in said} == said


def test_a_run_that_says_nothing_leaves_nothing(scene: Scene) -> None:
    task = scene.running()
    scene.finish(task)
    ended = scene.get(task)
    assert [ended.start_time, ended.result, ended.public_result, ended.exception, ended.traceback] == [None] * 5


def test_failures_are_counted_when_a_run_ends(scene: Scene) -> None:
    for event, count in (("fail", 1), ("expire", 1), ("succeed", 0), ("cancel", 0)):
        task = scene.running()
        scene.finish(task, event)
        assert scene.get(task).consecutive_failures == count


def test_many_ends_travel_in_one_report_with_the_next_claim(scene: Scene) -> None:
    scene.store.enqueue([scene.task() for _ in range(20)], scene.now)
    first = scene.claim(limit=10)
    outcomes = [Outcome(task.id, task.run, "succeed", scene.now) for task in first]
    answer = scene.store.exchange("a", Report(outcomes=outcomes), ClaimRequest(queues=(), limit=10), scene.now)
    assert answer.superseded == [] and answer.claims is not None
    assert len(answer.claims.tasks) == 10 and not {task.id for task in answer.claims.tasks} & {t.id for t in first}


def test_one_report_may_hold_every_kind_of_end(scene: Scene) -> None:
    names = ["plain", "retried", "hourly", "lost", "theirs"]
    for name in names[:4]:
        extra = {"attempts": 2} if name == "retried" else {}
        (scene.enqueue_hourly if name == "hourly" else scene.enqueue)(id=name, **extra)
    scene.claim("a")
    scene.running("b", id="theirs")
    events: list[Event] = ["succeed", "fail", "succeed", "lose", "succeed"]
    outcomes = [Outcome(name, 1, event, scene.now) for name, event in zip(names, events, strict=True)]
    answer = scene.store.exchange("a", Report(outcomes=outcomes), None, scene.now)
    assert [outcome.id for outcome in answer.superseded] == ["theirs"]
    states = {name: scene.store.get(name).state for name in names}
    assert states == {
        "plain": "finished", "retried": "waiting", "hourly": "waiting", "lost": "reset", "theirs": "running",
    }  # fmt: skip


@pytest.mark.parametrize("changes", [{}, {"attempts": 3}, {"scheduler": "interval"}])
def test_a_superseded_report_changes_nothing(scene: Scene, changes: dict[str, object]) -> None:
    task = (scene.enqueue_hourly if "scheduler" in changes else scene.enqueue)(**changes)
    (mine,) = scene.claim("a")
    before = scene.get(task)
    for worker, run in (("b", 1), ("a", 2), ("a", 0), ("ghost", 1)):
        outcome = Outcome(task.id, run, "succeed", scene.now, result=b"1")
        assert scene.store.exchange(worker, Report(outcomes=[outcome]), None, scene.now).superseded == [outcome]
    unknown = Outcome("nobody", 1, "succeed", scene.now)
    assert scene.store.exchange("a", Report(outcomes=[unknown]), None, scene.now).superseded == [unknown]
    assert scene.get(task) == before == mine and scene.store.history(task.id) == []


def test_a_worker_that_was_taken_for_lost_cannot_record_a_result(scene: Scene) -> None:
    task = scene.running("a")
    scene.store.rescue(scene.now, ["a"])
    assert [outcome.id for outcome in scene.finish(task, "succeed", "a", result=b"1").superseded] == [task.id]
    (again,) = scene.claim("b")
    assert (again.id, again.run) == (task.id, 2)
    assert scene.finish(task, "succeed", "a").superseded != []
    assert scene.get(task).state == "running"
    assert scene.finish(again, "succeed", "b").superseded == []
    assert [(run.run, run.state) for run in scene.store.history(task.id)] == [(2, "finished"), (1, "reset")]


def test_a_run_that_was_recorded_otherwise_is_superseded_whoever_reports_it(scene: Scene) -> None:
    task = scene.running("a")
    scene.store.cancel(task.id, scene.now)
    scene.store.rescue(scene.now, ["a"])
    assert scene.get(task).state == "canceled"
    assert len(scene.finish(task, "succeed", "a", result=b"1").superseded) == 1
    assert (scene.get(task).state, scene.get(task).result) == ("canceled", None)


@pytest.mark.parametrize("event", ["succeed", "fail", "expire", "cancel", "lose"])
def test_a_finish_that_is_tried_again_is_neither_superseded_nor_counted_twice(scene: Scene, event: Event) -> None:
    for task in (scene.running(), scene.running(attempts=3)):
        scene.finish(task, event)
        before, history = scene.get(task), scene.store.history(task.id)
        scene.pass_time(SECOND)
        assert scene.finish(task, event).superseded == []
        assert scene.get(task) == before and scene.store.history(task.id) == history


def test_the_same_end_twice_in_one_report_is_one_end(scene: Scene) -> None:
    task = scene.running()
    outcome = Outcome(task.id, task.run, "succeed", scene.now)
    assert scene.store.exchange("a", Report(outcomes=[outcome, outcome]), None, scene.now).superseded == []
    assert len(scene.store.history(task.id)) == 1


def test_a_schedule_waits_for_its_next_occurrence_and_shows_nothing_of_its_last_run(scene: Scene) -> None:
    task = scene.enqueue_hourly(runs_left=3)
    (claimed,) = scene.claim()
    scene.store.exchange("a", Report(progress=[Progress(task.id, 1, "{}")], starts=[Start(task.id, 1, 5)]), None, 0)
    scene.finish(claimed, result=b"1", exception="x", traceback="y", start_time=5)
    waiting = scene.get(task)
    assert (waiting.run, waiting.state, waiting.due_time, waiting.runs_left) == (2, "waiting", scene.now + HOUR, 2)
    assert waiting.scheduled_time == waiting.due_time
    nothing = ("start_time", "finish_time", "result", "exception", "traceback", "progress", "worker", "snapshot_id")
    assert [getattr(waiting, name) for name in nothing] == [None] * len(nothing)
    (run,) = scene.store.history(task.id)
    assert (run.run, run.state, bool(run.final), run.progress) == (1, "finished", False, "{}")


def test_a_schedule_is_complete_after_its_last_run(scene: Scene) -> None:
    task = scene.enqueue_hourly(runs_left=2)
    for _ in range(2):
        scene.finish(scene.claim()[0])
        scene.pass_time(HOUR)
    ended = scene.get(task)
    assert (ended.state, ended.run, bool(ended.final)) == ("finished", 2, True)
    assert [bool(run.final) for run in scene.store.history(task.id)] == [True, False]


def test_missed_occurrences_are_told(scene: Scene) -> None:
    task = scene.running(scheduler="interval", schedule="2026-12-01T12:00:00Z/PT1H", scheduled_time=scene.now)
    scene.pass_time(3 * HOUR + 1)
    assert scene.finish(task).skipped == [Skipped(task.id, 3)]
    assert scene.get(task).due_time == scene.now - 1 + HOUR


def test_a_one_off_with_attempts_left_waits_out_its_backoff(scene: Scene) -> None:
    task = scene.running(attempts=2)
    scene.finish(task, "fail", exception="boom")
    waiting = scene.get(task)
    assert (waiting.run, waiting.state, waiting.consecutive_failures) == (2, "waiting", 1)
    assert waiting.due_time == scene.now + backoff(task, 1)
    assert waiting.exception is None and scene.store.history(task.id)[0].exception == "boom"
    assert scene.claim() == []
    scene.pass_time(2 * SECOND)
    (again,) = scene.claim()
    scene.finish(again, "fail")
    assert (scene.get(task).state, bool(scene.get(task).final)) == ("error", True)


@pytest.mark.parametrize("after", [0, 10**30, -(10**30)])
def test_a_retry_waits_as_long_as_was_asked_whatever_that_was(scene: Scene, after: int) -> None:
    task = scene.running(attempts=2)
    scene.finish(task, "fail", retry_after=after)
    waiting = scene.get(task)
    assert waiting.state == "waiting" and waiting.due_time >= scene.now
    assert (waiting.due_time == scene.now) == (after <= 0)


def test_a_start_is_recorded_for_the_run_that_is_meant_alone(scene: Scene) -> None:
    task = scene.running("a")
    for worker, run in (("b", 1), ("a", 2)):
        scene.store.exchange(worker, Report(starts=[Start(task.id, run, 1)]), None, scene.now)
    assert scene.get(task).start_time is None
    scene.store.exchange("a", Report(starts=[Start(task.id, 1, 7)]), None, scene.now)
    assert scene.get(task).start_time == 7


def test_progress_is_recorded_for_the_run_that_is_meant_alone(scene: Scene) -> None:
    task = scene.running("a")
    for worker, run, progress in (("a", 1, '{"done": 1}'), ("b", 1, "no"), ("a", 2, "no")):
        scene.store.exchange(worker, Report(progress=[Progress(task.id, run, progress)]), None, scene.now)
    assert scene.get(task).progress == '{"done": 1}'
    scene.finish(task)
    assert scene.get(task).progress == '{"done": 1}'
    scene.store.exchange("a", Report(progress=[Progress(task.id, 1, "late")]), None, scene.now)
    assert scene.get(task).progress == '{"done": 1}'


def test_an_empty_report_says_nothing(scene: Scene) -> None:
    assert not Report() and Report(releases=[Release("x", 1)])
    scene.store.exchange("a", Report(), None, scene.now)


@pytest.mark.parametrize("result", [b"\xff\xfe", b"\x80\x05N.", '"ü"'.encode()])
def test_a_result_is_kept_as_it_came_whatever_it_is(scene: Scene, result: bytes) -> None:
    task = scene.running()
    scene.finish(task, result=result)
    assert scene.get(task).state == "finished" and scene.get(task).result == result
