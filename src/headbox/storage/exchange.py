"""What a worker says and gets: reports of ended runs, and claims. The hot path, so most of it goes in batches."""

from __future__ import annotations

from collections import Counter
from json import dumps
from operator import attrgetter
from typing import Any

from headbox.domain.errors import Superseded
from headbox.domain.outcomes import OUTCOME_STATES, Outcome
from headbox.domain.states import RUNNING, SUSPENDED
from headbox.domain.statistics import LATE, LATENESS, lateness_class
from headbox.domain.task import SYSTEM_QUEUE, Instant, Task, Work
from headbox.storage.database import Ask, Level, Transaction
from headbox.storage.holds import hold, is_known
from headbox.storage.lifecycle import settle
from headbox.storage.queries import payload_bytes
from headbox.storage.records import ClaimRequest, Claims, Exchange, PassedOver, Release, Report, Skipped

ANY_WEIGHT = 2**31 - 1
MOST_BYTES = 8 << 20  # of arguments that one claim brings; what lists show of them comes on top
_SAID = ("start_time", "finish_time", "result", "public_result", "exception", "traceback")
_END = ("id", "run", "state", *_SAID)


def tell(tx: Transaction, worker: str, report: Report, now: Instant) -> Exchange:
    """Writes a report."""
    if report.starts:
        rows = [(start.start_time, start.id, start.run, worker) for start in report.starts]
        tx.many("record_start", ("start_time", "id", "run", "worker"), rows)
    if report.progress:
        rows_ = [(progress.progress, progress.id, progress.run, worker) for progress in report.progress]
        tx.many("record_progress", ("progress", "id", "run", "worker"), rows_)
    superseded, skipped = finish(tx, worker, report.outcomes, now) if report.outcomes else ([], [])
    for release in report.releases:
        _release(tx, worker, release, now)
    for bound, number in Counter(map(lateness_class, report.lateness)).items():
        tx.tally.count(f"{LATENESS}{bound}", number)
    if report.late:
        tx.tally.count(LATE, report.late)
    return Exchange(superseded, skipped, None)


def finish(tx: Transaction, worker: str, outcomes: list[Outcome], now: Instant) -> tuple[list[Outcome], list[Skipped]]:
    """Records how runs ended, each only if this worker still holds it; (superseded outcomes, skipped occurrences)."""
    ends = [(o.id, o.run, OUTCOME_STATES[o.event], *_said(o)) for o in outcomes if o.event != "lose"]
    archived = tx.batch("archive_ends", _END, ends, worker=worker)
    if archived:
        _take_out(tx, worker, outcomes, are_all=archived == len(outcomes))
    return ([], []) if archived == len(outcomes) else _finish_singly(tx, worker, outcomes, now)


def _take_out(tx: Transaction, worker: str, outcomes: list[Outcome], *, are_all: bool) -> None:
    """Deletes what was archived, and counts it by queue: as the worker says, where all was and it says so (no task's
    queue changes while it runs, but for a declared schedule's), else as the deleted rows say."""
    ids = [(outcome.id,) for outcome in outcomes]
    ended = Counter(map(_queue_and_event, outcomes))
    if are_all and all(queue is not None for queue, _ in ended):
        tx.batch("delete_ends", ("id",), ids, worker=worker)
    else:
        events = {outcome.id: outcome.event for outcome in outcomes}
        gone = tx.batch_rows("take_ends", ("id",), ids, worker=worker)
        ended = Counter((queue, events[id]) for id, queue in gone)
    for (queue, event), number in ended.items():
        tx.tally.move(queue, RUNNING, None, number, counted=OUTCOME_STATES[event])


_said = attrgetter(*_SAID)
_queue_and_event = attrgetter("queue", "event")
_due = attrgetter("due_time", "id")
_priority = attrgetter("priority")
_queue_and_claimed = attrgetter("queue", "claimed_state")


def _finish_singly(
    tx: Transaction, worker: str, outcomes: list[Outcome], now: Instant
) -> tuple[list[Outcome], list[Skipped]]:
    """Those that may be scheduled again, were lost, were superseded, or were recorded before."""
    superseded, skipped = [], []
    for outcome in outcomes:
        row = tx.one("live_run", id=outcome.id, run=outcome.run, worker=worker)
        if row is None:
            archived = tx.one("recorded_by", id=outcome.id, run=outcome.run, worker=worker)
            if archived is None or (outcome.event != "lose" and archived[0] != OUTCOME_STATES[outcome.event]):
                superseded.append(outcome)
        elif missed := settle(tx, Task(*row), outcome, now):
            skipped.append(missed)
    return superseded, skipped


def _release(tx: Transaction, worker: str, release: Release, now: Instant) -> None:
    """Gives a run back that never started, or does now what was asked of it meanwhile."""
    row = tx.one("live_run", id=release.id, run=release.run, worker=worker)
    if row is None:
        return
    task = Task(*row)
    if task.cancel_asked or task.removed:
        settle(tx, task, Outcome(task.id, task.run, "cancel", now), now)
        return
    if task.suspend_asked:
        tx.change("release_suspended", id=task.id)
        tx.tally.move(task.queue, RUNNING, SUSPENDED)
    else:
        tx.change("release", id=release.id, run=release.run, worker=worker)
        tx.tally.move(task.queue, RUNNING, task.claimed_state)
    if release.hold and not is_known(tx, task.callable):
        hold(tx, f"callable:{task.callable}", task.id)


def claim(tx: Transaction, worker: str, request: ClaimRequest, now: Instant) -> Claims:
    """Marks ready tasks running for the worker, the highest priority first, queues of one priority sharing alike.
    Superseded if the worker's row is gone."""
    if tx.one("worker_exists", worker=worker) is None:
        raise superseded(worker)
    until = now + request.ahead
    levels = _levels(tx, request)
    due = [level for level in levels if level.first_time <= until]
    max_weight = ANY_WEIGHT if request.max_weight is None else request.max_weight
    terms = {"max_weight": max_weight, "unknown": dumps(request.unknown), "now": until}
    sync, more = _claim_levels(tx, worker, [level for level in due if not level.is_async], request.limit, terms)
    asynchronous, more_ = _claim_levels(
        tx, worker, [level for level in due if level.is_async], request.async_limit, terms
    )
    passed_over = _find_passed_over(tx, due, terms) if max_weight < ANY_WEIGHT else None
    more = more or more_  # then the worker asks again anyway, once it has room
    return Claims(sync + asynchronous, None if more else _next_time(tx, levels, until), passed_over, more)


def superseded(worker: str) -> Superseded:
    """What a worker is told whose row is gone."""
    return Superseded(f"the worker {worker} was taken for lost; it has to start afresh")


def _levels(tx: Transaction, request: ClaimRequest) -> list[Level]:
    """What the worker serves: its queues, or all but the housekeeping's."""
    rows = tx.all("levels", queues=dumps(request.queues) if request.queues else None)
    return [Level(*row) for row in rows if request.queues or row[0] != SYSTEM_QUEUE]


def _claim_levels(
    tx: Transaction, worker: str, due: list[Level], limit: int, terms: dict[str, Any]
) -> tuple[list[Work], bool]:
    """The tasks, the most urgent first, and whether some were left behind for want of room."""
    if not due or not limit:
        return [], False
    tasks = tx.claim(_asks(due, limit), limit=limit, most_bytes=MOST_BYTES, worker=worker, **terms)
    tasks.sort(key=_due)
    tasks.sort(key=_priority, reverse=True)
    for (queue, was), number in Counter(map(_queue_and_claimed, tasks)).items():
        tx.tally.move(queue, was, RUNNING, number)
    return tasks, len(tasks) >= limit or payload_bytes(tasks) >= MOST_BYTES


def _asks(due: list[Level], limit: int) -> list[Ask]:
    """How many tasks to ask of each level, the highest priority first. Queues of one priority are asked twice: for an
    even share each, then for what the others left."""
    asks: list[Ask] = []
    for priority in sorted({level.priority for level in due}, reverse=True):
        alike = [level for level in due if level.priority == priority]
        share = max(1, limit // len(alike)) if len(alike) > 1 else 0
        asks += [Ask(level, share, 0) for level in alike if share]
        asks += [Ask(level, limit, share) for level in alike]
    return asks


def _find_passed_over(tx: Transaction, due: list[Level], terms: dict[str, Any]) -> PassedOver | None:
    found = next(tx.of_levels("passed_over", due, **terms), None) if due else None
    return None if found is None else PassedOver(*found)


def _next_time(tx: Transaction, levels: list[Level], now: Instant) -> Instant | None:
    """When the next task of these levels is due."""
    times = [level.first_time for level in levels if level.first_time > now]
    if due := [level for level in levels if level.first_time <= now]:
        times += [time for (time,) in tx.of_levels("next_due", due, now=now) if time is not None]
    return min(times, default=None)


def ready(tx: Transaction, request: ClaimRequest) -> Instant | None:
    """The earliest due time of all that the worker may claim."""
    return min((level.first_time for level in _levels(tx, request)), default=None)
