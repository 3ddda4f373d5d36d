from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from headbox.domain.outcomes import OUTCOME_STATES, Outcome, decide, ends_at_once
from headbox.domain.schedulers import parse_instant, parse_schedule
from headbox.domain.states import (
    COMPLETE,
    ERROR,
    INCOMPLETE,
    READY,
    RESET,
    RUNNING,
    STATES,
    SUSPENDED,
    TIMED_OUT,
    TRANSITIONS,
    Event,
    allowed,
    allows,
)
from headbox.domain.task import DAY, HOUR, Instant, Task

START = parse_instant("2026-12-01T06:00:00Z")
SCHEDULES = {
    "immediate": None,
    "at": "2026-12-01T06:00:00Z",
    "interval": "2026-12-01T06:00:00Z/PT1H",
    "cron": "cron: 30 2 * * * Europe/Paris",
}

nows = st.integers(START, START + 30 * DAY)
flags = st.booleans()


@st.composite
def tasks(draw: st.DrawFn) -> Task:
    scheduler = draw(st.sampled_from(sorted(SCHEDULES)))
    return Task(
        id=draw(st.uuids()).hex,
        run=draw(st.integers(1, 100)),
        state=RUNNING,
        queue="default",
        priority=0,
        due_time=START,
        callable="shop:pack",
        method_name="pack",
        scheduler=scheduler,
        schedule=SCHEDULES[scheduler],
        scheduled_time=None if scheduler == "immediate" else START + draw(st.integers(0, DAY)),
        runs_left=draw(st.none() | st.integers(1, 5)) if scheduler in ("interval", "cron") else None,
        attempts=draw(st.integers(1, 4)),
        failure_threshold=draw(st.none() | st.integers(1, 4)),
        consecutive_failures=draw(st.integers(0, 4)),
        losses=draw(st.integers(0, 2)),
        cancel_asked=draw(flags),
        suspend_asked=draw(flags),
        removed=draw(flags),
        snapshot_id=draw(st.sampled_from([None, "s", "s", "s"])),
        worker="w",
    )


@st.composite
def outcomes(draw: st.DrawFn, events: tuple[Event, ...] = tuple(OUTCOME_STATES)) -> Outcome:
    return Outcome(
        id="",
        run=0,
        event=draw(st.sampled_from(events)),
        finish_time=START,
        exception=draw(st.none() | st.just("boom")),
        retry_after=draw(st.none() | st.integers(0, HOUR)),
        discard=draw(flags),
        counts=draw(flags),
    )


@given(tasks(), outcomes(), nows)
def test_every_decision_follows_the_table(task: Task, outcome: Outcome, now: Instant) -> None:
    decision = decide(task, outcome, now)
    ended_by = "cancel" if outcome.event == "lose" and task.cancel_asked else outcome.event
    assert decision.state in TRANSITIONS[ended_by][RUNNING]
    if decision.again is None:
        assert decision.final and decision.state in COMPLETE
    elif decision.state == RESET:
        assert decision.again.state == RESET
    else:
        assert decision.again.state in TRANSITIONS["schedule"][decision.state]


@given(tasks(), outcomes(), nows)
def test_what_waits_again_waits_for_a_time_of_its_schedule(task: Task, outcome: Outcome, now: Instant) -> None:
    decision = decide(task, outcome, now)
    again = decision.again
    if again is None or decision.state == RESET:
        return
    assert again.due_time >= now
    if task.is_recurring:
        assert task.schedule is not None and task.scheduled_time is not None
        expected = parse_schedule(task.schedule).following(task.scheduled_time, now)
        assert (again.due_time, again.scheduled_time, again.skipped) == (expected.time, expected.time, expected.skipped)
        assert task.scheduled_time < again.due_time
    else:
        assert decision.state in (ERROR, TIMED_OUT) and decision.consecutive_failures < task.attempts
        assert again.scheduled_time == task.scheduled_time
    assert (again.state == SUSPENDED) == task.suspend_asked


@given(tasks(), outcomes(), nows)
def test_runs_are_used_up_one_by_one_and_never_by_a_loss(task: Task, outcome: Outcome, now: Instant) -> None:
    decision = decide(task, outcome, now)
    if decision.again is None:
        assert decision.final
    elif decision.state == RESET or task.runs_left is None:
        assert decision.again.runs_left == task.runs_left
    else:
        assert decision.again.runs_left == task.runs_left - 1 > 0


@given(tasks(), outcomes(), nows)
def test_a_removed_task_runs_again_only_if_it_is_lost(task: Task, outcome: Outcome, now: Instant) -> None:
    decision = decide(replace(task, removed=True), outcome, now)
    assert decision.final or decision.state == RESET


@given(tasks(), outcomes(events=("lose",)), nows)
def test_a_loss_is_retried_at_once_unless_that_is_hopeless(task: Task, outcome: Outcome, now: Instant) -> None:
    decision = decide(replace(task, cancel_asked=False), outcome, now)
    hopeless = task.snapshot_id is None or (outcome.counts and task.losses == 2)
    assert decision.state == (ERROR if hopeless else RESET)
    if not hopeless:
        assert decision.again is not None and decision.again.due_time == now
        assert decision.losses == task.losses + outcome.counts


@given(tasks(), outcomes(), nows)
def test_a_task_that_ends_at_once_is_complete_whatever_the_outcome(task: Task, outcome: Outcome, now: Instant) -> None:
    decision = decide(task, outcome, now)
    assert decision.final or decision.state == RESET or not ends_at_once(task)


@given(tasks(), outcomes(), nows)
def test_a_decision_is_made_of_its_arguments_alone(task: Task, outcome: Outcome, now: Instant) -> None:
    assert decide(task, outcome, now) == decide(task, outcome, now)


def test_the_states_are_the_documents_eight_each_in_one_half() -> None:
    assert sorted(STATES) == sorted({*INCOMPLETE, *COMPLETE}) and len(STATES) == 8
    assert not set(INCOMPLETE) & set(COMPLETE) and set(READY) < set(INCOMPLETE)


def test_the_table_leads_from_every_incomplete_state_to_an_end() -> None:
    follows = {state: {after for table in TRANSITIONS.values() for after in table.get(state, ())} for state in STATES}
    for state in INCOMPLETE:
        reached, ahead = set(), {state}
        while ahead:
            reached |= ahead
            ahead = {after for before in ahead for after in follows[before]} - reached
        assert reached & set(COMPLETE)


def test_the_table_names_only_states_and_is_asked_through_allows() -> None:
    for event, table in TRANSITIONS.items():
        for before, afters in table.items():
            assert before in STATES and set(afters) <= set(STATES) and afters
        assert [state for state in STATES if allows(state, event)] == list(allowed(event))
        assert not allows("no such state", event)
