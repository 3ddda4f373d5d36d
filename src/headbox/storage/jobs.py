"""How far jobs are, at a bounded cost however many tasks they have: each is found by the index of jobs, and a reading
counts so many rows and no more."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Final

from headbox.domain.task import Instant, Span
from headbox.storage.database import Row, Transaction
from headbox.storage.records import JobCounts

COUNTED: Final = 100_000  # rows of all jobs together
LEAST: Final = 2_000  # rows of each, whatever those before it took
NEWEST: Final = 5_000  # runs among which jobs are looked for that have ended


class Count:
    """Counts the tasks of one job after the other, until so many rows are counted."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._left = COUNTED

    def of(self, id: str, begin: Instant, since: Instant, finish_time: Instant | None = None) -> JobCounts:
        """The states of what is incomplete, and of what has ended since."""
        limit = max(LEAST, self._left)
        live = self._tx.all("job_states", job_id=id, limit=limit)
        ends = self._tx.all("job_ends", job_id=id, since=since, limit=limit)
        rows = [sum(int(number) for _, number, *_ in each) for each in (live, ends)]
        self._left -= sum(rows)
        return JobCounts(id, begin, since, _counted(live, ends), max(rows) < limit, finish_time)


def _counted(live: Sequence[Row], ends: Sequence[Row]) -> dict[str, int]:
    """By state. A run that was lost is never a task's last: `reset` are those that wait to run again."""
    return {state: int(number) for state, number in live} | {state: int(final) for state, _, final in ends if final}


def in_progress(tx: Transaction, current: Instant, limit: int, after: str) -> list[JobCounts]:
    """Those that have incomplete tasks, by id, from behind `after`. What ended since `current` always counts."""
    count = Count(tx)
    found = []
    for (id,) in tx.all("jobs_in_progress", after=after, limit=limit):
        (begin,) = tx.one("job_begin", job_id=id) or (current,)
        found.append(count.of(id, begin, min(begin, current)))
    return found


def ended(tx: Transaction, lifetime: Span, limit: int) -> list[JobCounts]:
    """Those of which everything has ended, the latest first."""
    latest: dict[str, tuple[Instant, Instant]] = {}
    for id, enqueue_time, finish_time in tx.all("newest_of_jobs", limit=NEWEST):
        latest.setdefault(id, (enqueue_time, finish_time))
    over = (id for id in latest if tx.one("job_begin", job_id=id) is None)
    count = Count(tx)
    found = []
    for id in islice(over, limit):
        begin, finish_time = latest[id]
        found.append(count.of(id, begin, min(begin, finish_time - lifetime), finish_time))
    return found
