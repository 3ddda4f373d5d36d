"""What becomes of a task whose run has ended: one pure rule, `decide`, whose value the store applies."""

from __future__ import annotations

from zlib import crc32

import msgspec

from headbox.domain.iso8601 import MAX_SPAN
from headbox.domain.schedulers import parse_schedule
from headbox.domain.states import CANCELED, ERROR, FINISHED, RESET, SUSPENDED, TIMED_OUT, WAITING, Event, State
from headbox.domain.task import HOUR, MAX_LOSSES, SECOND, Instant, Span, Task

BACKOFF_BASE: Span = SECOND
BACKOFF_LIMIT: Span = HOUR

OUTCOME_STATES: dict[Event, State] = {
    "succeed": FINISHED,
    "fail": ERROR,
    "expire": TIMED_OUT,
    "cancel": CANCELED,
    "lose": RESET,
}


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """How one run ended. `id`, `run` and the worker that reports it are the fence."""

    id: str
    run: int
    event: Event  # succeed, fail, expire, cancel, lose
    finish_time: Instant
    start_time: Instant | None = None
    result: bytes | None = None
    public_result: str | None = None
    exception: str | None = None
    traceback: str | None = None
    retry_after: Span | None = None  # what `raise Retry(after=…)` said
    discard: bool = False  # give up now, whatever attempts are left
    counts: bool = True  # of a loss: the run's own start explains it
    queue: str | None = None  # the task's, as the worker claimed it


class Again(msgspec.Struct, frozen=True, gc=False):
    """The task's next occurrence, as the live row is to say it."""

    state: State
    due_time: Instant
    scheduled_time: Instant | None
    runs_left: int | None
    skipped: int = 0  # occurrences that were missed and will not run


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What to archive and what, if anything, waits again. `final` exactly where nothing does."""

    state: State
    again: Again | None
    consecutive_failures: int
    losses: int
    exception: str | None

    @property
    def final(self) -> bool:
        """Whether the archived run was the task's last."""
        return self.again is None


def decide(task: Task, outcome: Outcome, now: Instant) -> Decision:
    """What becomes of a task whose run ended in `outcome` at `now`. Pure (DESIGN.md, States)."""
    if outcome.event == "lose" and not task.cancel_asked:
        return _decide_loss(task, outcome, now)
    state: State = CANCELED if outcome.event == "lose" else OUTCOME_STATES[outcome.event]
    return _decide_end(task, state, outcome, outcome.exception, now)


def ends_at_once(task: Task) -> bool:
    """Whether a run of the task is its last whatever the outcome, short of a loss: what most tasks are."""
    return not task.is_recurring and task.attempts <= 1


def _decide_loss(task: Task, outcome: Outcome, now: Instant) -> Decision:
    losses = task.losses + outcome.counts
    reason = outcome.exception or "the run was lost"
    if task.snapshot_id is None:
        refusal = "its snapshot was deleted"
    elif outcome.counts and losses >= MAX_LOSSES:
        refusal = f"it was lost {losses} times in a row"
    else:
        again = Again(RESET, now, task.scheduled_time, task.runs_left)
        return Decision(RESET, again, task.consecutive_failures, losses, reason)
    given_up = msgspec.structs.replace(outcome, discard=True)
    return _decide_end(task, ERROR, given_up, f"{reason}; not run again: {refusal}", now)


def _decide_end(task: Task, state: State, outcome: Outcome, exception: str | None, now: Instant) -> Decision:
    failures = _count_failures(task, state)
    again = None if task.removed else _schedule_again(task, state, outcome, failures, now)
    return Decision(state, again, failures, 0, exception)


def _count_failures(task: Task, state: State) -> int:
    if state == FINISHED:
        return 0
    return task.consecutive_failures + (state in (ERROR, TIMED_OUT))


def _schedule_again(task: Task, state: State, outcome: Outcome, failures: int, now: Instant) -> Again | None:
    ready: State = SUSPENDED if task.suspend_asked else WAITING
    if task.is_recurring:
        return _next_occurrence(task, ready, failures, now)
    if state not in (ERROR, TIMED_OUT) or failures >= task.attempts or outcome.discard:
        return None
    wait = backoff(task, failures) if outcome.retry_after is None else min(max(outcome.retry_after, 0), MAX_SPAN)
    return Again(ready, now + wait, task.scheduled_time, None)


def _next_occurrence(task: Task, ready: State, failures: int, now: Instant) -> Again | None:
    if task.failure_threshold is not None and failures >= task.failure_threshold:
        return None
    left = None if task.runs_left is None else task.runs_left - 1
    if left is not None and left <= 0:
        return None
    last = task.scheduled_time if task.scheduled_time is not None else now  # null: it was rescheduled as it ran
    occurrence = parse_schedule(task.schedule or "").following(last, now)
    if occurrence.time is None:  # the calendar has no further occurrence
        return None
    return Again(ready, occurrence.time, occurrence.time, left, occurrence.skipped)


def backoff(task: Task, failures: int) -> Span:
    """How long a one-off waits after its nth failure in a row: doubling from 1 s to 1 h, give or take a quarter.

    The jitter is derived from the task and run, so that the rule stays pure and a fleet of retries still spreads.
    """
    jitter = 0.75 + crc32(f"{task.id}/{task.run}".encode()) / 2**33
    return int(min(BACKOFF_BASE << min(failures - 1, 20), BACKOFF_LIMIT) * jitter)
