"""The schedule builder: what is chosen in a form, as the expression that the API takes, and what it means."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from itertools import islice
from typing import Final

import msgspec

from headbox.domain.errors import InvalidSchedule
from headbox.domain.preview import describe, upcoming
from headbox.domain.schedulers import ImmediateScheduler, Scheduler, parse_schedule
from headbox.domain.task import Instant

WHENS: Final = {"now": "Now", "at": "At a time", "every": "Every so often", "cron": "By the calendar"}
UNITS: Final = {"S": "seconds", "M": "minutes", "H": "hours", "D": "days"}
NAMES: Final = ("when", "at", "every", "unit", "start", "runs", "cron", "zone")
TIMES: Final = 10


class Built(msgspec.Struct, frozen=True):
    """A schedule that was built: as an expression (None: at once), in words, its next times; or what is wrong."""

    expression: str | None = None
    words: str = ""
    times: tuple[Instant, ...] = ()
    wrong: str | None = None


def build(given: Mapping[str, str], now: Instant) -> Built:
    """What the form's fields mean."""
    expression = _expression({name: given.get(name, "").strip() for name in NAMES})
    try:
        scheduler: Scheduler = ImmediateScheduler() if expression is None else parse_schedule(expression)
        times = tuple(islice(upcoming(scheduler, now), TIMES))
    except InvalidSchedule as error:
        return Built(expression, wrong=str(error))
    return Built(expression, describe(scheduler), times)


def _expression(given: Mapping[str, str]) -> str | None:
    """As the API takes it. What cannot be is left to the parser to refuse, in its words."""
    match given["when"]:
        case "at":
            return _instant(given["at"])
        case "every":
            unit = given["unit"] if given["unit"] in UNITS else "M"
            span = f"P{'' if unit == 'D' else 'T'}{given['every'] or 1}{unit}"
            start = f"{_instant(given['start'])}/" if given["start"] else ""
            return (f"R{given['runs']}/" if given["runs"] else "") + start + span
        case "cron":
            return f"cron: {given['cron']} {given['zone'] or 'UTC'}"
    return None


def _instant(text: str) -> str:
    """A browser's local time, read as UTC; anything else as it is."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{time.isoformat()}Z" if time.tzinfo is None else text
