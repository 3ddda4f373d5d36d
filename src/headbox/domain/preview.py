"""What a schedule means, for people: its next times, and in words. Pure, as the schedulers are."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import islice

from headbox.domain.cron import explain
from headbox.domain.iso8601 import format_instant, instant_of
from headbox.domain.schedulers import AtScheduler, CronScheduler, IntervalScheduler, Scheduler
from headbox.domain.task import Instant


def upcoming(scheduler: Scheduler, now: Instant) -> Iterator[Instant]:
    """The times of a schedule that begins now, the runs that it is limited to and no more."""
    fixed = scheduler.fixed(now)
    first = fixed.first(now).time
    if first is not None:
        yield from islice(occurrences_from(fixed, first), fixed.runs)


def occurrences_from(scheduler: Scheduler, time: Instant) -> Iterator[Instant]:
    """An occurrence and all that follow it; the number of runs limits nothing here."""
    following: Instant | None = time
    while following is not None:
        yield following
        following = scheduler.following(following, following).time if scheduler.is_recurring else None


def describe(scheduler: Scheduler) -> str:
    """When it runs, in words: `every 6 h`, `At 02:30 every day, Europe/Paris`."""
    match scheduler:
        case IntervalScheduler(interval=interval):
            return f"every {_words(interval)}"
        case CronScheduler(cron=cron, timezone=timezone):
            return f"{explain(cron)}, {timezone}"
        case AtScheduler(time=time):
            return f"at {format_instant(instant_of(time))}"
        case _:
            return "at once"


def _words(interval: timedelta) -> str:
    left, parts = round(interval.total_seconds() * 1000), []
    for unit, milliseconds in _UNITS:
        count, left = divmod(left, milliseconds)
        parts += [f"{count} {unit}"] if count else []
    return " ".join(parts)


_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1))
