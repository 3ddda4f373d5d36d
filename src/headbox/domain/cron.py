"""Cron expressions on the wall clock of a time zone, as occurrences in UTC. Only this room knows cronsim, and imports
it when it is asked: with what it brings along it takes 0.8 MB of every process."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, tzinfo

from headbox.domain.errors import InvalidSchedule
from headbox.domain.iso8601 import EPOCH, instant_of, shown, time_of
from headbox.domain.task import Instant

_MAX_LENGTH = 200
_ZONE = re.compile(r"[A-Za-z][\w+-]*(/[A-Za-z][\w+-]*){0,3}", re.ASCII)


def read_fields(expression: str) -> str:
    """The five fields in capitals, one space between them. InvalidSchedule for others, or what never occurs."""
    from cronsim import CronSim, CronSimError

    fields = expression.upper().split() if len(expression) <= _MAX_LENGTH and expression.isascii() else []
    try:
        if len(fields) != 5:
            raise CronSimError("it needs five fields")
        if next(CronSim(" ".join(fields), EPOCH), None) is None:
            raise CronSimError("it never occurs")
    except CronSimError as error:
        reason = str(error).lower()
        raise InvalidSchedule(f"cron {shown(expression)}: {reason}; write one such as 30 2 * * *") from None
    return " ".join(fields)


def explain(fields: str) -> str:
    """What the expression means, in English."""
    from cronsim import CronSim

    return str(CronSim(fields, EPOCH).explain())


def find_zone(name: str) -> tzinfo:
    """The time zone of this IANA name; InvalidSchedule where there is none."""
    from zoneinfo import ZoneInfo

    if name == "UTC":
        return UTC  # cronsim is quick where nothing can shift
    try:
        if _ZONE.fullmatch(name) and name != "localtime":  # that one means another on each machine
            return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        pass
    raise InvalidSchedule(f"the time zone {shown(name)} is unknown; name one such as Europe/Paris or UTC")


def occurrences(fields: str, zone: tzinfo, after: Instant) -> Iterator[Instant]:
    """The occurrences after an instant, in order, to the end of the calendar."""
    from cronsim import CronSim

    last = after
    try:
        for time in CronSim(fields, time_of(after).astimezone(zone)):
            # In an hour that comes twice, cronsim may begin at its first passage though `after` is in the second.
            if (instant := instant_of(time)) > last:
                yield instant
                last = instant
    except (OverflowError, ValueError):  # the year 9999 has ended
        return
