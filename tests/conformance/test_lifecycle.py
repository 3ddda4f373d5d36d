from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headbox.domain.errors import NonUniqueTask, StateConflict, UnknownTask
from headbox.domain.states import COMPLETE, STATES, Event, allowed
from headbox.domain.task import HOUR, MINUTE

if TYPE_CHECKING:
    from tests.conformance.conftest import Scene

VERBS: list[Event] = ["cancel", "suspend", "resume", "reset"]
REFUSED = [(verb, state) for verb in VERBS for state in STATES if state not in allowed(verb)]


@pytest.mark.parametrize("verb", [*VERBS, "remove", "delete_snapshot"])
def test_an_unknown_id_is_an_unknown_task(scene: Scene, verb: str) -> None:
    arguments = () if verb == "delete_snapshot" else (scene.now,)
    with pytest.raises(UnknownTask):
        getattr(scene.store, verb)("nobody", *arguments)


@pytest.mark.parametrize(("verb", "state"), REFUSED)
def test_a_verb_that_the_state_does_not_allow_is_refused_and_names_those_that_do(
    scene: Scene, verb: Event, state: str
) -> None:
    task = scene.in_state(state)
    assert task.state == state
    with pytest.raises(StateConflict) as refused:
        getattr(scene.store, verb)(task.id, scene.now)
    assert state in str(refused.value) and all(name in str(refused.value) for name in allowed(verb))
    assert scene.get(task) == task


@pytest.mark.parametrize("state", ["waiting", "reset", "suspended"])
def test_canceling_ends_a_task_that_is_not_running_at_once(scene: Scene, state: str) -> None:
    task = scene.in_state(state)
    scene.pass_time(MINUTE)
    canceled = scene.store.cancel(task.id, scene.now)
    assert (canceled.state, canceled.run, bool(canceled.final)) == ("canceled", task.run, True)
    assert (canceled.finish_time, canceled.start_time, canceled.cancel_attempts) == (scene.now, None, 1)
    assert scene.get(task) == canceled and scene.claim() == []


def test_canceling_a_running_task_asks_it_to_stop_and_every_call_counts(scene: Scene) -> None:
    task = scene.running()
    for attempts in (1, 2):
        asked = scene.store.cancel(task.id, scene.now)
        assert (asked.state, asked.cancel_attempts, bool(asked.cancel_asked)) == ("running", attempts, True)
    assert scene.store.canceling("a") == [(task.id, 1)] and scene.store.canceling("b") == []
    scene.finish(task, "cancel")
    ended = scene.get(task)
    assert (ended.state, ended.cancel_attempts, bool(ended.cancel_asked)) == ("canceled", 2, False)
    assert scene.store.canceling("a") == []


def test_a_task_that_returns_before_it_is_interrupted_keeps_its_outcome(scene: Scene) -> None:
    task = scene.running()
    scene.store.cancel(task.id, scene.now)
    scene.finish(task, "succeed", result=b"1")
    assert (scene.get(task).state, scene.get(task).result) == ("finished", b"1")


def test_canceling_a_schedule_ends_this_occurrence_and_uses_up_a_run(scene: Scene) -> None:
    task = scene.enqueue_hourly(runs_left=3)
    waiting = scene.store.cancel(task.id, scene.now)
    assert (waiting.state, waiting.run, waiting.runs_left, waiting.cancel_attempts) == ("waiting", 2, 2, 1)
    assert waiting.due_time == waiting.scheduled_time == scene.now + HOUR
    (run,) = scene.store.history(task.id)
    assert (run.state, bool(run.final), run.cancel_attempts) == ("canceled", False, 1)
    for _ in range(2):
        ended = scene.store.cancel(task.id, scene.now)
    assert (ended.state, bool(ended.final), ended.run) == ("canceled", True, 3)


def test_canceling_a_suspended_schedule_leaves_it_suspended(scene: Scene) -> None:
    task = scene.enqueue_hourly()
    scene.store.suspend(task.id, scene.now)
    canceled = scene.store.cancel(task.id, scene.now)
    assert (canceled.state, canceled.due_time) == ("suspended", scene.now + HOUR)


def test_canceling_a_running_schedule_lets_the_next_occurrence_run(scene: Scene) -> None:
    task = scene.enqueue_hourly()
    (run,) = scene.claim()
    scene.store.cancel(task.id, scene.now)
    scene.finish(run, "cancel")
    assert (scene.get(task).state, bool(scene.get(task).cancel_asked)) == ("waiting", False)
    scene.pass_time(HOUR)
    assert len(scene.claim()) == 1 and scene.store.canceling("a") == []


def test_a_run_that_is_lost_after_a_cancel_is_canceled(scene: Scene) -> None:
    task = scene.running()
    scene.store.cancel(task.id, scene.now)
    scene.store.rescue(scene.now, ["a"])
    assert (scene.get(task).state, bool(scene.get(task).final)) == ("canceled", True)


def test_a_suspended_task_is_not_claimed_until_it_is_resumed(scene: Scene) -> None:
    task = scene.enqueue()
    suspended = scene.store.suspend(task.id, scene.now)
    assert suspended.state == "suspended" == scene.get(task).state and scene.claim() == []
    assert scene.store.resume(task.id, scene.now) == task
    assert len(scene.claim()) == 1


def test_suspending_a_running_schedule_suspends_its_next_occurrence(scene: Scene) -> None:
    task = scene.enqueue_hourly()
    (run,) = scene.claim()
    assert scene.store.suspend(task.id, scene.now).state == "running"
    scene.finish(run)
    suspended = scene.get(task)
    assert (suspended.state, suspended.due_time) == ("suspended", scene.now + HOUR)
    scene.pass_time(2 * HOUR)
    assert scene.claim() == []


def test_suspending_a_running_one_off_changes_nothing_of_its_end(scene: Scene) -> None:
    task = scene.running()
    scene.store.suspend(task.id, scene.now)
    scene.finish(task)
    assert (scene.get(task).state, bool(scene.get(task).suspend_asked)) == ("finished", False)


def test_a_suspension_outlives_a_loss(scene: Scene) -> None:
    task = scene.enqueue_hourly()
    (run,) = scene.claim()
    scene.store.suspend(task.id, scene.now)
    scene.finish(run, "lose")
    assert scene.get(task).state == "reset"
    scene.finish(scene.claim()[0])
    assert scene.get(task).state == "suspended"


def test_a_suspension_asked_of_a_lost_run_outlives_its_cancel(scene: Scene) -> None:
    task = scene.enqueue_hourly()
    (run,) = scene.claim()
    scene.store.suspend(task.id, scene.now)
    scene.finish(run, "lose")
    assert scene.store.cancel(task.id, scene.now).state == "suspended"


def test_a_suspension_asked_of_a_lost_run_ends_when_it_is_resumed(scene: Scene) -> None:
    task = scene.enqueue_hourly()
    (run,) = scene.claim()
    scene.store.suspend(task.id, scene.now)
    scene.finish(run, "lose")
    scene.store.suspend(task.id, scene.now)
    scene.store.resume(task.id, scene.now)
    scene.pass_time(HOUR)
    scene.finish(scene.claim()[0])
    assert scene.get(task).state == "waiting"


def test_a_schedule_resumed_late_skips_what_it_missed(scene: Scene) -> None:
    task = scene.enqueue_hourly(runs_left=5)
    scene.store.suspend(task.id, scene.now)
    scene.pass_time(3 * HOUR + MINUTE)
    resumed = scene.store.resume(task.id, scene.now)
    assert resumed.due_time == resumed.scheduled_time == scene.now - MINUTE + HOUR
    assert (resumed.state, resumed.runs_left, resumed.run) == ("waiting", 5, 1)


def test_a_schedule_resumed_in_time_keeps_its_time(scene: Scene) -> None:
    task = scene.enqueue_hourly(due_time=scene.now + HOUR, scheduled_time=scene.now + HOUR)
    scene.store.suspend(task.id, scene.now)
    assert scene.store.resume(task.id, scene.now) == task


def test_an_at_task_resumed_late_runs_now(scene: Scene) -> None:
    late = scene.now + HOUR
    task = scene.enqueue(scheduler="at", schedule="2026-12-01T13:00:00Z", scheduled_time=late, due_time=late)
    scene.store.suspend(task.id, scene.now)
    scene.pass_time(2 * HOUR)
    scene.store.resume(task.id, scene.now)
    (run,) = scene.claim()
    assert run.scheduled_time == late


@pytest.mark.parametrize("state", COMPLETE)
def test_reset_runs_a_complete_task_once_more(scene: Scene, state: str) -> None:
    ended = scene.in_state(state)
    scene.pass_time(MINUTE)
    reset = scene.store.reset(ended.id, scene.now)
    assert (reset.state, reset.run, reset.due_time, bool(reset.final)) == ("reset", 2, scene.now, False)
    assert [reset.finish_time, reset.result, reset.exception, reset.worker, reset.snapshot_id] == [None] * 5
    assert [bool(run.final) for run in scene.store.history(ended.id)] == [False]
    (again,) = scene.claim("b")
    scene.finish(again, worker="b")
    assert [(run.run, bool(run.final)) for run in scene.store.history(ended.id)] == [(2, True), (1, False)]


def test_reset_zeroes_failures_and_losses(scene: Scene) -> None:
    task = scene.running(attempts=2)
    for _ in range(2):
        scene.finish(task, "lose")
        (task,) = scene.claim()
    assert task.losses == 2
    scene.finish(task, "fail", discard=True)
    assert scene.get(task).consecutive_failures == 1
    reset = scene.store.reset(task.id, scene.now)
    assert (reset.consecutive_failures, reset.losses, reset.attempts) == (0, 0, 2)


def test_a_schedule_that_is_reset_runs_now_and_then_goes_on(scene: Scene) -> None:
    task = scene.enqueue_hourly(failure_threshold=1, runs_left=9)
    scene.finish(scene.claim()[0], "fail")
    assert scene.get(task).state == "error"
    scene.pass_time(HOUR + MINUTE)
    scene.store.reset(task.id, scene.now)
    scene.finish(scene.claim()[0])
    waiting = scene.get(task)
    assert (waiting.state, waiting.due_time) == ("waiting", scene.now - MINUTE + HOUR)


def test_a_schedule_with_no_runs_left_gets_one_extra(scene: Scene) -> None:
    task = scene.enqueue_hourly(runs_left=1)
    scene.finish(scene.claim()[0])
    scene.store.reset(task.id, scene.now)
    scene.finish(scene.claim()[0])
    ended = scene.get(task)
    assert (ended.state, ended.run, bool(ended.final)) == ("finished", 2, True)


def test_a_unique_task_is_not_reset_into_the_way_of_another(scene: Scene) -> None:
    first = scene.running(unique_key="key")
    scene.finish(first)
    second = scene.enqueue(unique_key="key")
    with pytest.raises(NonUniqueTask) as refused:
        scene.store.reset(first.id, scene.now)
    assert refused.value.task_id == second.id
    assert (scene.get(first).state, bool(scene.get(first).final)) == ("finished", True)


def test_a_reset_task_that_was_enqueued_again_is_not_run_from_the_start(scene: Scene) -> None:
    ended = scene.in_state("finished")
    scene.store.reset(ended.id, scene.now)
    scene.store.enqueue([scene.task(id=ended.id)], scene.now)
    assert [task.run for task in scene.claim()] == [2]


def test_each_that_allows_it_is_changed_and_the_others_are_passed_over(scene: Scene) -> None:
    tasks = {state: scene.in_state(state) for state in STATES}
    ids = [*(task.id for task in tasks.values()), "unknown"]
    for event, expected in (
        ("suspend", {"waiting", "reset", "running"}),
        ("resume", {"waiting", "reset", "suspended", "running"}),
        ("cancel", {"waiting", "reset", "suspended", "running"}),
    ):
        changed = scene.store.change_each(event, ids, scene.now)
        assert {task.id for task in changed} == {tasks[state].id for state in expected}, event
        assert changed == [scene.get(task) for task in changed]


def test_each_that_is_complete_is_reset(scene: Scene) -> None:
    tasks = {state: scene.in_state(state) for state in STATES}
    changed = scene.store.change_each("reset", [task.id for task in tasks.values()], scene.now)
    assert {task.id for task in changed} == {tasks[state].id for state in COMPLETE}
    assert {task.state for task in changed} == {"reset"} and {task.run for task in changed} == {2}


def test_one_that_is_not_unique_any_more_spoils_no_others_reset(scene: Scene) -> None:
    ended = []
    for key in ("a", "b", "c"):
        ended.append(scene.running(unique_key=key))
        scene.finish(ended[-1], "fail")
    in_the_way = scene.enqueue(unique_key="b")
    changed = scene.store.change_each("reset", [task.id for task in ended], scene.now)
    assert {task.id for task in changed} == {ended[0].id, ended[2].id}
    assert scene.get(ended[1]).state == "error" and scene.get(in_the_way).state == "waiting"
