from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from headbox.domain.outcomes import Again, Decision, Outcome, backoff, decide, ends_at_once
from headbox.domain.schedulers import parse_instant
from headbox.domain.states import CANCELED, ERROR, FINISHED, RESET, RUNNING, SUSPENDED, TIMED_OUT, WAITING, Event, State
from headbox.domain.task import DAY, HOUR, MINUTE, SECOND, Instant, Task

START = parse_instant("2026-12-01T06:00:00Z")
NOW = START + 2 * SECOND
ENDS: list[tuple[Event, State]] = [
    ("succeed", FINISHED),
    ("fail", ERROR),
    ("expire", TIMED_OUT),
    ("cancel", CANCELED),
]


def running(**changes: Any) -> Task:
    task = Task("t", 1, RUNNING, "default", 0, START, "shop:pack", "pack", snapshot_id="s", worker="w")
    return replace(task, **changes)


def recurring(**changes: Any) -> Task:
    hourly = {"scheduler": "interval", "schedule": "2026-12-01T06:00:00Z/PT1H", "scheduled_time": START}
    return running(**hourly, **changes)


def end(task: Task, event: Event, now: Instant = NOW, **details: Any) -> Decision:
    return decide(task, Outcome(task.id, task.run, event, now, **details), now)


@pytest.mark.parametrize(("event", "state"), ENDS)
def test_a_one_off_is_complete_when_its_run_ends(event: Event, state: State) -> None:
    decision = end(running(), event)
    assert decision.state == state and decision.again is None and decision.final


@pytest.mark.parametrize(("event", "state"), ENDS)
def test_a_schedule_goes_on_whatever_became_of_the_run(event: Event, state: State) -> None:
    decision = end(recurring(), event)
    assert decision.state == state and not decision.final
    assert decision.again == Again(WAITING, START + HOUR, START + HOUR, None)


@pytest.mark.parametrize(
    ("event", "failures"), [("succeed", 0), ("fail", 3), ("expire", 3), ("cancel", 2), ("lose", 2)]
)
def test_errors_and_timeouts_count_success_clears_the_rest_leaves_the_count(event: Event, failures: int) -> None:
    assert end(recurring(consecutive_failures=2), event).consecutive_failures == failures


@pytest.mark.parametrize("event", ["fail", "expire"])
def test_a_schedule_ends_when_its_failures_reach_the_threshold(event: Event) -> None:
    assert end(recurring(failure_threshold=3, consecutive_failures=1), event).again is not None
    assert end(recurring(failure_threshold=3, consecutive_failures=2), event).final


def test_a_one_off_knows_no_failure_threshold_and_a_schedule_no_attempts() -> None:
    assert end(running(failure_threshold=1, attempts=2), "fail").again is not None
    assert end(recurring(attempts=1, consecutive_failures=5), "fail").again is not None


@pytest.mark.parametrize(("event", "state"), ENDS)
def test_each_run_of_a_schedule_uses_one_up_until_none_is_left(event: Event, state: State) -> None:
    again = end(recurring(runs_left=2), event).again
    assert again is not None and again.runs_left == 1
    assert end(recurring(runs_left=1), event).final


def test_missed_occurrences_are_skipped_counted_and_use_up_no_runs() -> None:
    again = end(recurring(runs_left=5), "succeed", now=START + 3 * HOUR + 1).again
    assert again == Again(WAITING, START + 4 * HOUR, START + 4 * HOUR, 4, skipped=3)


def test_a_cron_schedule_waits_for_its_next_time() -> None:
    daily = running(scheduler="cron", schedule="cron: 0 6 * * * UTC", scheduled_time=START)
    again = end(daily, "fail").again
    assert again == Again(WAITING, START + DAY, START + DAY, None)


def test_a_schedule_at_the_end_of_the_calendar_is_complete() -> None:
    last = running(
        scheduler="cron", schedule="cron: 0 6 1 1 * UTC", scheduled_time=parse_instant("9999-01-01T06:00:00Z")
    )
    assert end(last, "succeed", now=parse_instant("9999-01-01T06:00:01Z")).final


@pytest.mark.parametrize("event", ["fail", "expire"])
def test_a_one_off_with_attempts_left_waits_out_a_backoff_and_keeps_its_scheduled_time(event: Event) -> None:
    task = running(attempts=3, consecutive_failures=1, scheduler="at", scheduled_time=START)
    assert end(task, event).again == Again(WAITING, NOW + backoff(task, 2), START, None)
    assert end(replace(task, consecutive_failures=2), event).final


@pytest.mark.parametrize("event", ["succeed", "cancel"])
def test_attempts_are_for_failures_alone(event: Event) -> None:
    assert end(running(attempts=3), event).final


def test_retry_says_how_long_to_wait_and_discard_not_to() -> None:
    task = running(attempts=3)
    again = end(task, "fail", retry_after=7 * MINUTE).again
    assert again is not None and again.due_time == NOW + 7 * MINUTE
    immediately = end(task, "fail", retry_after=0).again
    assert immediately is not None and immediately.due_time == NOW
    assert end(task, "fail", discard=True).final


def test_retry_gives_no_more_attempts_than_there_are() -> None:
    assert end(running(attempts=2, consecutive_failures=1), "fail", retry_after=SECOND).final


def test_a_suspension_asked_for_meanwhile_suspends_the_next_occurrence() -> None:
    for task in (recurring(suspend_asked=True), running(attempts=2, suspend_asked=True)):
        again = end(task, "fail").again
        assert again is not None and again.state == SUSPENDED
    assert end(running(suspend_asked=True), "succeed").final


@pytest.mark.parametrize(("event", "state"), ENDS)
def test_the_run_of_a_removed_task_is_its_last(event: Event, state: State) -> None:
    for task in (running(removed=True, attempts=5), recurring(removed=True)):
        decision = end(task, event)
        assert decision.state == state and decision.final


def test_a_lost_run_is_archived_as_reset_with_its_reason_and_run_again_now() -> None:
    for task in (running(), recurring(runs_left=3, consecutive_failures=1), running(removed=True)):
        decision = end(task, "lose", exception="worker w on host h lost")
        assert decision.state == RESET and not decision.final and decision.exception == "worker w on host h lost"
        assert decision.again == Again(RESET, NOW, task.scheduled_time, task.runs_left)
        assert decision.consecutive_failures == task.consecutive_failures


def test_a_loss_that_says_no_reason_is_given_one() -> None:
    assert end(running(), "lose").exception


def test_three_losses_in_a_row_that_the_run_explains_end_in_error() -> None:
    assert [end(running(losses=n), "lose").losses for n in (0, 1)] == [1, 2]
    decision = end(running(losses=2, attempts=9), "lose", exception="worker w lost")
    assert decision.state == ERROR and decision.final and decision.consecutive_failures == 1
    assert decision.exception is not None
    assert decision.exception.startswith("worker w lost") and "3 times in a row" in decision.exception


def test_a_loss_that_something_else_explains_does_not_count() -> None:
    decision = end(running(losses=2), "lose", counts=False)
    assert decision.state == RESET and decision.losses == 2


def test_a_run_without_a_snapshot_is_not_run_again_when_lost() -> None:
    decision = end(running(snapshot_id=None, attempts=9), "lose", counts=False, exception="worker w lost")
    assert decision.state == ERROR and decision.final
    assert decision.exception is not None and "snapshot was deleted" in decision.exception


def test_a_schedule_goes_on_after_a_run_that_is_given_up_for_lost() -> None:
    for task in (recurring(losses=2), recurring(snapshot_id=None)):
        decision = end(task, "lose")
        assert decision.state == ERROR and decision.losses == 0 and decision.consecutive_failures == 1
        assert decision.again is not None and decision.again.state == WAITING
    assert end(recurring(losses=2, failure_threshold=1), "lose").final


@pytest.mark.parametrize(("event", "state"), ENDS)
def test_a_run_that_ends_clears_the_losses(event: Event, state: State) -> None:
    assert end(recurring(losses=2), event).losses == 0


def test_a_run_that_dies_after_a_cancel_is_canceled_not_lost() -> None:
    decision = end(running(cancel_asked=True), "lose")
    assert decision.state == CANCELED and decision.final
    again = end(recurring(cancel_asked=True, runs_left=2, losses=2), "lose").again
    assert again == Again(WAITING, START + HOUR, START + HOUR, 1)


@pytest.mark.parametrize(("event", "state"), ENDS[:3])
def test_a_task_that_returns_before_the_interrupt_keeps_its_outcome(event: Event, state: State) -> None:
    assert end(running(cancel_asked=True), event).state == state


def test_what_failed_is_archived_with_what_it_said() -> None:
    assert end(running(), "fail", exception="boom").exception == "boom"
    assert end(running(), "succeed").exception is None


def test_only_a_one_off_with_a_single_attempt_ends_at_once() -> None:
    assert ends_at_once(running()) and ends_at_once(running(scheduler="at"))
    assert not ends_at_once(running(attempts=2))
    assert not ends_at_once(recurring(runs_left=1)) and not ends_at_once(running(scheduler="cron"))


def test_the_backoff_doubles_from_a_second_to_an_hour_give_or_take_a_quarter() -> None:
    for failures in range(1, 100):
        expected = min(SECOND * 2 ** (failures - 1), HOUR)
        assert 0.75 * expected <= backoff(running(attempts=1000), failures) <= 1.25 * expected


def test_the_backoff_spreads_a_fleet_and_is_the_same_when_asked_again() -> None:
    waits = [backoff(running(id=f"task-{number}"), 1) for number in range(200)]
    assert len(set(waits)) > 190 and max(waits) - min(waits) > 400_000
    assert waits == [backoff(running(id=f"task-{number}"), 1) for number in range(200)]
    assert backoff(running(run=1), 3) != backoff(running(run=2), 3)
