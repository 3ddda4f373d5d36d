"""The verbs that move one task: enqueue, cancel, suspend, resume, reset, remove, reschedule. Each works inside a
transaction that it is given; what is to become of a task is decided in the domain and applied here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

from msgspec.structs import asdict, replace

from headbox.domain import statistics
from headbox.domain.errors import InvalidSchedule, NonUniqueTask, StateConflict, UnknownTask
from headbox.domain.outcomes import Decision, Outcome, decide
from headbox.domain.schedulers import Scheduler, parse_schedule
from headbox.domain.states import (
    COMPLETE,
    ERROR,
    READY,
    RESET,
    RUNNING,
    SUSPENDED,
    WAITING,
    Event,
    State,
    allowed,
    allows,
)
from headbox.domain.task import SYSTEM_QUEUE, Instant, Task, unique_key
from headbox.storage import lookups
from headbox.storage.database import Database, Transaction
from headbox.storage.queries import ENQUEUED
from headbox.storage.records import Skipped

logger = logging.getLogger(__name__)

_enqueued = attrgetter(*ENQUEUED)
_place = attrgetter("queue", "state")


Change = Callable[[Transaction, str, Instant], Task]


def enqueue(database: Database, tx: Transaction, tasks: Sequence[Task]) -> list[Task]:
    """Accepts tasks, all or none; the same ids again change nothing. Raises NonUniqueTask."""
    try:
        for (queue, state), group in _by_place(tasks):
            added = tx.batch("add_task", ENQUEUED, [_enqueued(task) for task in group])
            if added:
                tx.tally.move(queue, None, state, added, counted=statistics.ENQUEUED)
    except Exception as error:
        if database.is_unique_violation(error):
            raise _in_the_way(tx, tasks) from None
        raise
    return list(tasks)


def _by_place(tasks: Sequence[Task]) -> list[tuple[tuple[str, State], list[Task]]]:
    """The tasks of each queue: of those that are there already it is only known how many they were."""
    first = _place(tasks[0])
    if all(_place(task) == first for task in tasks):  # nearly always
        return [(first, list(tasks))]
    return [(place, list(group)) for place, group in groupby(sorted(tasks, key=_place), key=_place)]


def _in_the_way(tx: Transaction, tasks: Sequence[Task]) -> NonUniqueTask | StateConflict:
    seen: dict[str, str] = {}
    for task in tasks:
        if task.unique_key is not None:
            found = tx.one("unique_in_the_way", unique_key=task.unique_key)
            if found is not None and found[0] != task.id:
                return NonUniqueTask(found[0])
            if task.unique_key in seen:
                return NonUniqueTask(seen[task.unique_key])
            seen[task.unique_key] = task.id
    return StateConflict("a schedule of this name exists already; change that one")


def live(tx: Transaction, id: str) -> Task | None:
    """The task, if it is not complete."""
    row = tx.one("live", id=id)
    return None if row is None else Task(*row)


def get(tx: Transaction, id: str) -> Task:
    """The live task, or its last archived run; UnknownTask."""
    return lookups.task(id)(tx)


def _ask(tx: Transaction, id: str, event: Event) -> Task:
    """The task, which must be in a state that allows `event`."""
    task = get(tx, id)
    if not allows(task.state, event):
        raise StateConflict(
            f"the task is {task.state}; {event} is possible while it is {' or '.join(allowed(event))}",
        )
    return task


def hasten(tx: Transaction, id: str, now: Instant) -> Task:
    """A schedule that waits runs once more, now; the occurrence that was next stays the next."""
    task = get(tx, id)
    if not task.is_recurring:
        raise StateConflict("the task is no schedule; only one that waits for its next occurrence can be run before it")
    if task.state not in READY:
        raise StateConflict(f"the task is {task.state}; only a schedule that waits can be run before its time")
    tx.change("hasten", id=id, now=now)
    return get(tx, id)


def cancel(tx: Transaction, id: str, now: Instant) -> Task:
    """Ends the current occurrence: at once, or by asking the run in progress to stop."""
    task = _ask(tx, id, "cancel")
    if task.state == RUNNING:
        tx.change("ask_to_cancel", id=id)
    else:
        canceled = replace(
            task, cancel_attempts=task.cancel_attempts + 1, suspend_asked=task.suspend_asked or task.state == SUSPENDED
        )
        settle(tx, canceled, Outcome(id, task.run, "cancel", now), now)
    return get(tx, id)


def change_each(tx: Transaction, change: Change, ids: Sequence[str], now: Instant) -> list[Task]:
    """Changes those of the tasks whose state allows it, as it left them."""
    changed = []
    for id in ids:
        try:
            changed.append(change(tx, id, now))
        except (StateConflict, UnknownTask):  # it has moved on between the reading of the list and now
            continue
    return changed


def cancel_all(tx: Transaction, ids: Sequence[str], now: Instant) -> list[Task]:
    """Cancels those of the tasks that have not become complete meanwhile."""
    return change_each(tx, cancel, ids, now)


def remove(tx: Transaction, id: str, now: Instant) -> Task:
    """Takes a task out of the system; a run in progress ends undisturbed, and is the last."""
    task = get(tx, id)
    if task.state in COMPLETE:
        raise StateConflict(f"the task is {task.state} already; only one that is not complete can be removed")
    if task.queue == SYSTEM_QUEUE:
        raise StateConflict("the housekeeping is not removed, or the history would grow for ever; suspend it instead")
    if task.state == RUNNING:
        tx.change("ask_to_remove", id=id)
    else:
        settle(tx, replace(task, removed=True), Outcome(id, task.run, "cancel", now), now)
    return get(tx, id)


def suspend(tx: Transaction, id: str, now: Instant) -> Task:
    """Nothing of the task runs until it is resumed; a run in progress ends first."""
    task = _ask(tx, id, "suspend")
    if task.state == RUNNING:
        tx.change("ask_to_suspend", id=id, suspend_asked=True)
    else:
        tx.change("change_state", id=id, state=SUSPENDED, due_time=task.due_time, scheduled_time=task.scheduled_time)
        tx.tally.move(task.queue, task.state, SUSPENDED, task_id=id)
    return get(tx, id)


def resume(tx: Transaction, id: str, now: Instant) -> Task:
    """A suspended task waits again: a schedule for its next occurrence, a one-off for its time."""
    task = get(tx, id)
    if task.state == RUNNING and task.suspend_asked:
        tx.change("ask_to_suspend", id=id, suspend_asked=False)
        return get(tx, id)
    _ask(tx, id, "resume")
    due, scheduled = task.due_time, task.scheduled_time
    if task.is_recurring and scheduled is not None and scheduled < now:
        occurrence = parse_schedule(task.schedule or "").following(scheduled, now)
        due = scheduled = occurrence.time or now
        # The occurrence that was due is missed as well: the one that `following` gives is another.
        logger.warning("task %s: %d occurrences were missed while it was suspended", id, occurrence.skipped + 1)
    tx.change("change_state", id=id, state=WAITING, due_time=due, scheduled_time=scheduled)
    tx.tally.move(task.queue, SUSPENDED, WAITING, task_id=id)
    return get(tx, id)


def reset(database: Database, tx: Transaction, id: str, now: Instant) -> Task:
    """Runs a complete task once more, now; a schedule then goes on. Its failures and losses count from zero."""
    task = _ask(tx, id, "reset")
    if not task.final:
        raise StateConflict("the task's last run is not its final one; reset is possible once it is complete")
    again = replace(
        task,
        run=task.run + 1,
        state=RESET,
        due_time=now,
        runs_left=None if task.runs_left is None else max(task.runs_left, 1),
        start_time=None,
        finish_time=None,
        consecutive_failures=0,
        losses=0,
        suspend_asked=False,
        removed=False,
        worker=None,
        progress=None,
        result=None,
        public_result=None,
        exception=None,
        traceback=None,
        final=False,
    )
    tx.change("not_final", id=id, run=task.run, no=False)
    try:
        tx.change("restore_task", **asdict(again))
    except Exception as error:
        if database.is_unique_violation(error):
            raise _in_the_way(tx, [again]) from None
        raise
    tx.tally.move(task.queue, None, RESET, task_id=id)
    return get(tx, id)


def reschedule(database: Database, tx: Transaction, id: str, scheduler: Scheduler, now: Instant) -> Task:
    """Gives an incomplete task another schedule; a running one follows it after this run."""
    task = get(tx, id)
    if task.state in COMPLETE:
        raise StateConflict(
            f"the task is {task.state}; only one that is not complete can be rescheduled: reset it first"
        )
    if task.state == RUNNING and not scheduler.is_recurring:
        raise StateConflict("the task is running; until it has ended it can only be given a recurring schedule")
    scheduler = scheduler.fixed(now)
    first, skipped = scheduler.first(now)
    if skipped:
        logger.warning("task %s: %d occurrences of its new schedule were missed and are skipped", id, skipped)
    running = task.state == RUNNING
    try:
        tx.change(
            "reschedule",
            id=id,
            scheduler=scheduler.kind,
            schedule=scheduler.expression(),
            scheduled_time=task.scheduled_time if running else first,
            due_time=task.due_time if running else (now if first is None else first),
            runs_left=scheduler.runs if not running or scheduler.runs is None else scheduler.runs + 1,
            unique_key=_rescheduled_key(task, scheduler),
        )
    except Exception as error:
        if database.is_unique_violation(error):
            found = tx.one("unique_in_the_way", unique_key=_rescheduled_key(task, scheduler))
            raise NonUniqueTask(found[0] if found else id) from None
        raise
    tx.tally.touch(id)
    return get(tx, id)


def _rescheduled_key(task: Task, scheduler: Scheduler) -> str | None:
    if task.unique_key is None:
        return None
    return unique_key(task.unique_key.partition("/")[0], scheduler.kind, scheduler.expression())


def delete_snapshot(tx: Transaction, id: str) -> Task:
    """The task as it was; from now on it is not run again if its worker is lost."""
    task = get(tx, id)
    if not tx.change("delete_snapshot", id=id):
        raise UnknownTask("the task has no snapshot: only a run in progress has one")
    return task


def settle(tx: Transaction, task: Task, outcome: Outcome, now: Instant) -> Skipped | None:
    """Decides what becomes of a task whose occurrence has ended, and applies it. `task` was read in `tx`."""
    try:
        decision = decide(task, outcome, now)
    except InvalidSchedule as error:  # somebody has written to the row: it must not hold up a whole report
        reason = f"its schedule {task.schedule!r} cannot be read, so it ends: {error}"
        decision = Decision(ERROR, None, task.consecutive_failures + 1, 0, reason)
    _archive(tx, task, outcome, decision)
    left = None if decision.again is None else decision.again.state
    tx.tally.move(task.queue, task.state, left, counted=decision.state)
    if task.held and decision.final:
        tx.change("drop_holds_of", id=task.id)
    if decision.again is None:
        tx.change("delete_task", id=task.id)
        return None
    again = decision.again
    tx.change(
        "next_occurrence",
        id=task.id,
        state=again.state,
        due_time=again.due_time,
        scheduled_time=again.scheduled_time,
        runs_left=again.runs_left,
        consecutive_failures=decision.consecutive_failures,
        losses=decision.losses,
        suspend_asked=task.suspend_asked and again.state == RESET,
        cancel_attempts=task.cancel_attempts,
    )
    return Skipped(task.id, again.skipped) if again.skipped else None


def _archive(tx: Transaction, task: Task, outcome: Outcome, decision: Decision) -> None:
    row: dict[str, Any] = asdict(task)
    left = task.runs_left
    row |= {
        "state": decision.state,
        "start_time": outcome.start_time,
        "finish_time": outcome.finish_time,
        "consecutive_failures": decision.consecutive_failures,
        "losses": decision.losses,
        "runs_left": left - 1 if left is not None and decision.state != RESET else left,
        "result": outcome.result,
        "public_result": outcome.public_result,
        "exception": decision.exception,
        "traceback": outcome.traceback,
        "snapshot_id": None,
        "claimed_state": None,
        "cancel_asked": False,
        "suspend_asked": False,
        "held": 0,
        "final": decision.final,
    }
    tx.change("add_run", **row)
