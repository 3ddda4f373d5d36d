"""How many tasks there are and what has happened, as values: made from counted rows by pure functions (storage reads
the rows, the API and the terminal show the values)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from headbox.domain.states import COMPLETE, INCOMPLETE, RESET
from headbox.domain.task import DAY, HOUR, MINUTE, SECOND, Instant, Span

FINE: Span = 10 * SECOND  # the shortest period that is told apart
COARSE: Span = DAY
EVER: Span = 0
MINUTES: Final = 60  # that are told
DAYS: Final = 90

ENQUEUED: Final = "enqueued"
LATE: Final = "late"
LATENESS: Final = "lateness "  # what is counted of a scheduled start: this and its class
OUTCOMES: Final = (*COMPLETE, RESET)  # as runs end; `reset`: it was lost


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """What has happened from `start_time` on for some time. `lateness`: scheduled starts, by class."""

    start_time: Instant
    enqueued: int = 0
    finished: int = 0
    error: int = 0
    timed_out: int = 0
    canceled: int = 0
    reset: int = 0  # runs that were lost
    late: int = 0  # starts later than their schedule_threshold
    lateness: Mapping[Span, int] = {}

    @property
    def starts(self) -> int:
        """How many scheduled tasks have started."""
        return sum(self.lateness.values())

    def percentile(self, share: float) -> Span | None:
        """How late that share of the scheduled starts was at most, by class; None if there was none."""
        left = share * self.starts
        for bound, number in sorted(self.lateness.items()):
            left -= number
            if left <= 0:
                return bound
        return None

    def outcomes(self) -> dict[str, int]:
        """How many runs have ended, by how they did."""
        return {outcome: getattr(self, outcome) for outcome in OUTCOMES}


class QueueCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The incomplete tasks of one queue."""

    name: str
    waiting: int = 0
    running: int = 0
    reset: int = 0
    suspended: int = 0
    oldest_ready: Span | None = None  # how long the oldest ready task has been due
    suspend_time: Instant | None = None  # since when nothing of it is claimed
    workers: int | None = None  # that serve it; None: nobody has asked


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """The system at one instant: incomplete tasks by state and queue, and what has happened lately and ever."""

    time: Instant
    states: Mapping[str, int]
    queues: tuple[QueueCounts, ...]
    oldest_ready: Span | None
    second: Mapping[str, float]  # runs that ended in a second, by outcome: the mean of the last 10 to 20
    minute: Period  # the last one, up to now
    hour: Period
    total: Period
    minutes: tuple[Period, ...]  # the last 60, the present one included, oldest first
    days: tuple[Period, ...]  # of the last 90 those on which something has happened, oldest first


def lateness_class(span: Span) -> Span:
    """The smallest of 1 ms, 2 ms, 5 ms, 10 ms, … that a lateness does not exceed, in microseconds."""
    decade = 1000
    while span > 5 * decade:
        decade *= 10
    return next(decade * step for step in (1, 2, 5) if span <= decade * step)


def summarise(
    now: Instant,
    counts: Iterable[tuple[str, str, int]],
    happened: Iterable[tuple[Span, Instant, str, int]],
    ready: Iterable[tuple[str, Instant]],
    suspended: Mapping[str, Instant] = MappingProxyType({}),
) -> Statistics:
    """The statistics from rows: (queue, state, number), (span, start of the period, what, how often) and (queue, due
    time of its first ready task); and suspended queues, since when. Rows that say the same add up."""
    happening = _add_up(happened)
    fine = {start: counter for (span, start), counter in happening.items() if span == FINE and start <= now}
    queues = _queues(now, counts, ready, suspended)
    oldest = [queue.oldest_ready for queue in queues if queue.oldest_ready is not None]
    return Statistics(
        time=now,
        states={state: sum(getattr(queue, state) for queue in queues) for state in INCOMPLETE},
        queues=queues,
        oldest_ready=max(oldest, default=None),
        second=_rates(fine, now),
        minute=_since(fine, now - MINUTE),
        hour=_since(fine, now - HOUR),
        total=_period(0, happening.get((EVER, 0), Counter())),
        minutes=tuple(_minute(fine, now - now % MINUTE - ago * MINUTE) for ago in reversed(range(MINUTES))),
        days=tuple(_days(happening, now - DAYS * DAY)),
    )


def summarise_days(happened: Iterable[tuple[Span, Instant, str, int]], since: Instant) -> list[Period]:
    """The UTC days since then on which something has happened, oldest first, from rows as for `summarise`."""
    return list(_days(_add_up(happened), since))


def _days(happening: Mapping[tuple[Span, Instant], Counter[str]], since: Instant) -> Iterator[Period]:
    for (span, start), counter in sorted(happening.items()):
        if span == COARSE and start > since:
            yield _period(start, counter)


def _add_up(happened: Iterable[tuple[Span, Instant, str, int]]) -> dict[tuple[Span, Instant], Counter[str]]:
    happening: dict[tuple[Span, Instant], Counter[str]] = {}
    for span, start, what, number in happened:
        happening.setdefault((span, start), Counter())[what] += number
    return happening


def _queues(
    now: Instant,
    counts: Iterable[tuple[str, str, int]],
    ready: Iterable[tuple[str, Instant]],
    suspended: Mapping[str, Instant],
) -> tuple[QueueCounts, ...]:
    found: dict[str, dict[str, int]] = {}
    for queue, state, number in counts:
        found.setdefault(queue, {})[state] = number
    due: dict[str, Instant] = {}
    for queue, time in ready:
        if time <= now:
            due[queue] = min(time, due.get(queue, time))
    return tuple(
        QueueCounts(
            name=name,
            oldest_ready=now - due[name] if name in due else None,
            suspend_time=suspended.get(name),
            **found.get(name, {}),
        )
        for name in sorted(found.keys() | due.keys() | suspended.keys())
    )


def _rates(fine: Mapping[Instant, Counter[str]], now: Instant) -> dict[str, float]:
    present = now - now % FINE
    seconds = (now - present + FINE) / SECOND
    both = fine.get(present, Counter()) + fine.get(present - FINE, Counter())
    return {outcome: both[outcome] / seconds for outcome in OUTCOMES}


def _since(fine: Mapping[Instant, Counter[str]], begin: Instant) -> Period:
    return _period(begin, sum((counter for start, counter in fine.items() if start > begin), Counter()))


def _minute(fine: Mapping[Instant, Counter[str]], begin: Instant) -> Period:
    within = (fine[start] for start in range(begin, begin + MINUTE, FINE) if start in fine)
    return _period(begin, sum(within, Counter()))


def _period(start: Instant, counter: Counter[str]) -> Period:
    lateness = {int(what.removeprefix(LATENESS)): n for what, n in counter.items() if what.startswith(LATENESS)}
    known = {what: n for what, n in counter.items() if what in (ENQUEUED, LATE, *OUTCOMES)}
    return Period(start_time=start, lateness=lateness, **known)
