"""How far jobs are, at a bounded cost however many there are and however many tasks they have: each is found by the
index of jobs, and a reading is a few statements that count so many rows and no more. And how one is canceled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from headbox.domain.task import Instant, Span
from headbox.storage import lifecycle, reading
from headbox.storage.database import Transaction
from headbox.storage.records import JobCancellation, JobCounts

LEAST: Final = 2_000  # rows of each job that are counted, incomplete ones and ended ones apart
COUNTED: Final = 100_000  # rows of all jobs together: those that have more share what the others leave
NEWEST: Final = 5_000  # runs among which jobs are looked for that have ended

_LIVE: Final = (
    "SELECT {place}, 0, state, count(*), count(*)"
    " FROM (SELECT state FROM headbox_tasks WHERE job_id = :id{place} LIMIT :limit) AS counted GROUP BY state"
)
_ENDED: Final = (
    "SELECT {place}, 1, state, count(*), sum(CASE WHEN final THEN 1 ELSE 0 END) FROM"
    " (SELECT state, final FROM headbox_task_history WHERE job_id = :id{place} AND finish_time >= :since{place}"
    " ORDER BY finish_time DESC LIMIT :limit) AS counted GROUP BY state"
)


class Asked(NamedTuple):
    """A job of which what is incomplete is counted, and what has ended since a time."""

    id: str
    begin: Instant
    since: Instant
    finish_time: Instant | None = None


class Count:
    """What was counted of a job, with so many rows at most of either kind. A run that was lost is never a task's last:
    `reset` are those that wait to run again."""

    def __init__(self) -> None:
        self.rows = [0, 0]
        self.states: dict[str, int] = {}

    def add(self, kind: int, state: str, rows: int, tasks: int) -> None:
        """So many tasks in a state, of rows that are incomplete (0) or have ended (1)."""
        self.rows[kind] += rows
        if tasks:
            self.states[state] = tasks


def in_progress(tx: Transaction, current: Instant, limit: int, after: str) -> list[JobCounts]:
    """Those that have incomplete tasks, by id, from behind `after`. What ended since `current` always counts."""
    found = tx.all("jobs_in_progress", after=after, limit=limit)
    return counted(tx, [Asked(id, begin, min(begin, current)) for id, begin in found])


def ended(tx: Transaction, lifetime: Span, limit: int) -> list[JobCounts]:
    """Those of which everything has ended, the latest first."""
    found = tx.all("jobs_ended", newest=NEWEST, limit=limit)
    return counted(tx, [Asked(id, begin, min(begin, end - lifetime), end) for id, begin, end in found])


def counted(tx: Transaction, jobs: Sequence[Asked]) -> list[JobCounts]:
    """How far these jobs are."""
    limits = dict.fromkeys(jobs, LEAST)
    counts = count(tx, jobs, LEAST)
    large = [job for job in jobs if max(counts[job].rows) == LEAST]
    share = (COUNTED - sum(sum(each.rows) for each in counts.values())) // len(large) if large else 0
    if share > LEAST:
        counts |= count(tx, large, share)
        limits |= dict.fromkeys(large, share)
    return [
        JobCounts(job.id, job.begin, job.since, each.states, max(each.rows) < limits[job], job.finish_time)
        for job, each in ((job, counts[job]) for job in jobs)
    ]


def count(tx: Transaction, jobs: Sequence[Asked], limit: int) -> dict[Asked, Count]:
    """The states of their tasks, in one statement."""
    counts = {job: Count() for job in jobs}
    if jobs:
        parts = [part.format(place=place) for place in range(len(jobs)) for part in (_LIVE, _ENDED)]
        given: dict[str, Any] = {"limit": limit}
        for place, job in enumerate(jobs):
            given |= {f"id{place}": job.id, f"since{place}": job.since}
        for place, kind, state, rows, tasks in tx.select(" UNION ALL ".join(parts), given):
            counts[jobs[place]].add(kind, state, int(rows), int(tasks))
    return counts


def cancel(tx: Transaction, id: str, now: Instant, lifetime: Span, visible_to: str | None) -> JobCancellation:
    """What of a job was complete already, and what is canceled now. UnknownName if it has no current task."""
    job = reading.job(tx, now, lifetime, id, visible_to)
    canceled = lifecycle.cancel_all(tx, [task.id for task in job.tasks if task.finish_time is None], now)
    done = {task.id for task in canceled}
    return JobCancellation(id, [lifecycle.get(tx, task.id) for task in job.tasks if task.id not in done], canceled)
