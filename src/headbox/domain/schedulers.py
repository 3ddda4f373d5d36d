"""When a task runs: immediately, at a time, at intervals or by cron. Pure: `now` is always given.

Recurring schedules are grids that never drift: the next occurrence counts from the last scheduled time, and those
that were missed are skipped and counted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import islice, takewhile
from typing import ClassVar, NamedTuple

from headbox.domain.cron import find_zone, occurrences, read_fields
from headbox.domain.errors import InvalidSchedule
from headbox.domain.iso8601 import (
    MAX_INSTANT,
    MAX_SPAN,
    MICROSECOND,
    format_duration,
    format_instant,
    instant_of,
    parse_duration,
    parse_instant,
    parse_time,
    shown,
    time_of,
)
from headbox.domain.task import SECOND, Instant

__all__ = [
    "AtScheduler",
    "CronScheduler",
    "ImmediateScheduler",
    "IntervalScheduler",
    "Occurrence",
    "Scheduler",
    "format_duration",
    "format_instant",
    "parse_duration",
    "parse_instant",
    "parse_schedule",
]

MAX_RUNS = 999_999_999
MAX_SKIPPED = 1_000  # cron occurrences are counted one by one, so no further than this

_MAX_LENGTH = 200
_RUNS = re.compile(r"R(\d{0,9})", re.ASCII)
_CRON = re.compile(r"cron:(.*)", re.IGNORECASE | re.DOTALL)
_EXAMPLES = "R5/2026-12-01T00:00:00Z/PT5M, PT30S, 2026-12-01T06:00:00Z or cron: 30 2 * * * Europe/Paris"


class Occurrence(NamedTuple):
    """A time at which a task is scheduled and how many were passed over before it. `time` is None where a scheduler
    names none: the immediate one, and a recurring one past the end of the calendar."""

    time: Instant | None
    skipped: int = 0


NO_OCCURRENCE = Occurrence(None)


@dataclass(frozen=True)
class ImmediateScheduler:
    """Runs once, as soon as a worker is free."""

    kind: ClassVar = "immediate"
    is_recurring: ClassVar = False
    runs: ClassVar[int | None] = None

    def fixed(self, now: Instant) -> ImmediateScheduler:
        """The same scheduler: it has no start to be set."""
        return self

    def first(self, now: Instant) -> Occurrence:
        """No scheduled time."""
        return NO_OCCURRENCE

    def following(self, last: Instant, now: Instant) -> Occurrence:
        """None: it runs once."""
        return NO_OCCURRENCE

    def expression(self) -> str | None:
        """None: nothing need be said."""
        return None


@dataclass(frozen=True, init=False)
class AtScheduler:
    """Runs once, at `time` (an aware datetime); now, if that is past. InvalidSchedule for a naive one."""

    kind: ClassVar = "at"
    is_recurring: ClassVar = False
    runs: ClassVar[int | None] = None
    time: datetime

    def __init__(self, time: datetime) -> None:
        object.__setattr__(self, "time", _aware(time, "time"))

    def fixed(self, now: Instant) -> AtScheduler:
        """The same scheduler: its time is set."""
        return self

    def first(self, now: Instant) -> Occurrence:
        """Its time, past or not."""
        return Occurrence(instant_of(self.time))

    def following(self, last: Instant, now: Instant) -> Occurrence:
        """None: it runs once."""
        return NO_OCCURRENCE

    def expression(self) -> str | None:
        """Its instant: `2026-12-01T06:00:00Z`."""
        return format_instant(instant_of(self.time))


@dataclass(frozen=True, init=False)
class IntervalScheduler:
    """Runs every `interval` (a timedelta or seconds, 1 s to 36525 days) from `start_time` (an aware datetime; None:
    when it is enqueued), `runs` times (None: without end). InvalidSchedule for other values."""

    kind: ClassVar = "interval"
    is_recurring: ClassVar = True
    interval: timedelta
    start_time: datetime | None
    runs: int | None

    def __init__(
        self, interval: timedelta | float, start_time: datetime | None = None, runs: int | None = None
    ) -> None:
        object.__setattr__(self, "interval", _fixed_length(interval))
        object.__setattr__(self, "start_time", None if start_time is None else _aware(start_time, "start_time"))
        object.__setattr__(self, "runs", None if runs is None else _count(runs))

    def fixed(self, now: Instant) -> IntervalScheduler:
        """The same scheduler, with its start set: `now` where it had none."""
        return self if self.start_time else IntervalScheduler(self.interval, time_of(now), self.runs)

    def first(self, now: Instant) -> Occurrence:
        """Its start, or where that is past the next occurrence that is not."""
        start = now if self.start_time is None else instant_of(self.start_time)
        return self._on_grid(start, 0, now)

    def following(self, last: Instant, now: Instant) -> Occurrence:
        """The first occurrence after `last` that is not before `now`."""
        start = last if self.start_time is None else instant_of(self.start_time)
        return self._on_grid(start, max((last - start) // (self.interval // MICROSECOND) + 1, 0), now)

    def _on_grid(self, start: Instant, earliest: int, now: Instant) -> Occurrence:
        interval = self.interval // MICROSECOND
        number = max(earliest, -((start - now) // interval))  # rounds up
        time = start + number * interval
        return Occurrence(time, number - earliest) if time <= MAX_INSTANT else NO_OCCURRENCE

    def expression(self) -> str | None:
        """`2026-12-01T00:00:00Z/PT5M`, or `PT5M` without a start; the number of runs is kept apart."""
        duration = format_duration(self.interval // MICROSECOND)
        return f"{format_instant(instant_of(self.start_time))}/{duration}" if self.start_time else duration


@dataclass(frozen=True, init=False, repr=False)
class CronScheduler:
    """Runs by a cron expression of five fields (minute, hour, day of the month, month, day of the week, as in Debian's
    crontab(5)) on the wall clock of `timezone`. A job at set hours runs once on each day that has it, whatever summer
    time does. InvalidSchedule for an expression that cannot be read or never occurs, or an unknown time zone."""

    kind: ClassVar = "cron"
    is_recurring: ClassVar = True
    runs: ClassVar[int | None] = None
    cron: str
    timezone: str

    def __init__(self, expression: str, timezone: str | tzinfo = "UTC") -> None:
        object.__setattr__(self, "cron", read_fields(expression))
        object.__setattr__(self, "timezone", str(timezone))
        find_zone(self.timezone)

    def __repr__(self) -> str:
        return f"CronScheduler({self.cron!r}, {self.timezone!r})"

    def fixed(self, now: Instant) -> CronScheduler:
        """The same scheduler: the wall clock is its start."""
        return self

    def first(self, now: Instant) -> Occurrence:
        """The next occurrence after `now`."""
        return Occurrence(self._after(now))

    def following(self, last: Instant, now: Instant) -> Occurrence:
        """The first occurrence after `last` that is not before `now`; at most 1,000 skipped ones are counted."""
        time = self._after(last)
        if time is None or time >= now:
            return Occurrence(time)
        missed = takewhile(lambda occurrence: occurrence < now, self._occurrences(last))
        return Occurrence(self._after(now - 1), sum(1 for _ in islice(missed, MAX_SKIPPED)))

    def _after(self, instant: Instant) -> Instant | None:
        return next(self._occurrences(instant), None)

    def _occurrences(self, after: Instant) -> Iterator[Instant]:
        return occurrences(self.cron, find_zone(self.timezone), after)

    def expression(self) -> str | None:
        """`cron: 30 2 * * * Europe/Paris`."""
        return f"cron: {self.cron} {self.timezone}"


Scheduler = ImmediateScheduler | AtScheduler | IntervalScheduler | CronScheduler


@lru_cache(maxsize=4096)
def parse_schedule(text: str) -> Scheduler:
    """The scheduler that a schedule expression means: `[R<n>/]<start>/<duration>`, a duration alone (it starts when it
    is enqueued), an instant alone (*at*) or `cron: <five fields> [time zone]`. InvalidSchedule for anything else.

    Source: ISO 8601 repeating intervals, as Pulp wrote them; crontab(5).
    """
    if len(text) > _MAX_LENGTH or not text.isascii():
        raise _not_understood(text)
    if match := _CRON.fullmatch(text.strip()):
        return _parse_cron(match[1].strip(), text)
    match text.strip().upper().split("/"):
        case [time] if time[:1].isdigit():
            return AtScheduler(parse_time(time))
        case [duration] if duration.startswith("P"):
            return _interval(duration)
        case [runs, duration] if runs.startswith("R"):
            return _interval(duration, runs=_parse_runs(runs, text))
        case [start, duration]:
            return _interval(duration, parse_time(start))
        case [runs, start, duration]:
            return _interval(duration, parse_time(start), _parse_runs(runs, text))
    raise _not_understood(text)


def _parse_cron(fields: str, text: str) -> CronScheduler:
    match fields.split():
        case [_, _, _, _, _]:
            return CronScheduler(fields)
        case [*cron, zone] if len(cron) == 5 and zone[0].isalpha():
            return CronScheduler(" ".join(cron), zone)
    raise _not_understood(text)


def _parse_runs(runs: str, text: str) -> int | None:
    match = _RUNS.fullmatch(runs)
    if match is None:
        raise _not_understood(text)
    return _count(int(match[1])) if match[1] else None


def _interval(duration: str, start: datetime | None = None, runs: int | None = None) -> IntervalScheduler:
    if not duration.startswith("P"):
        raise InvalidSchedule(f"{shown(duration)} is not an ISO 8601 duration; write one such as PT5M or P1D")
    return IntervalScheduler(timedelta(microseconds=parse_duration(duration)), start, runs)


def _not_understood(text: str) -> InvalidSchedule:
    return InvalidSchedule(f"the schedule {shown(text)} cannot be understood; write one such as {_EXAMPLES}")


def _aware(time: datetime, name: str) -> datetime:
    if not isinstance(time, datetime):
        raise InvalidSchedule(f"{name} is not a datetime; give an aware one, such as datetime.now(UTC)")
    if time.utcoffset() is None:
        raise InvalidSchedule(f"{name} has no time zone; give an aware datetime, such as datetime.now(UTC)")
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise InvalidSchedule(f"{name} is outside the calendar; give one between the years 1 and 9999") from None


def _fixed_length(interval: timedelta | float) -> timedelta:
    try:
        span = interval if isinstance(interval, timedelta) else timedelta(seconds=interval)
    except (TypeError, ValueError, OverflowError):
        raise InvalidSchedule(
            "the interval is neither a timedelta nor seconds; give 300 or timedelta(minutes=5)"
        ) from None
    if not SECOND <= span // MICROSECOND <= MAX_SPAN:
        raise InvalidSchedule(f"the interval is {span}; it must be from 1 second (PT1S) to 36525 days")
    return span


def _count(runs: int) -> int:
    if type(runs) is not int or not 1 <= runs <= MAX_RUNS:
        raise InvalidSchedule(f"the number of runs must be a whole number from 1 (R1/…) to {MAX_RUNS}")
    return runs
