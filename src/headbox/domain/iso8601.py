"""Instants and durations as text (ISO 8601, RFC 3339). Strict: what is not plainly one is refused in a sentence."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Final

from headbox.domain.errors import InvalidSchedule
from headbox.domain.task import DAY, HOUR, MINUTE, SECOND, Instant, Span

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
MAX_SPAN: Final[Span] = 36_525 * DAY  # a century: sums of instants and spans stay far inside 64 bits
MAX_INSTANT: Final[Instant] = (datetime.max.replace(tzinfo=UTC) - EPOCH) // MICROSECOND
MIN_INSTANT: Final[Instant] = (datetime.min.replace(tzinfo=UTC) - EPOCH) // MICROSECOND

_MAX_LENGTH = 64
_BARE_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - its isoformat() has no offset to cut off
_NUMBER = r"(\d{1,20}(?:[.,]\d{1,20})?)"
_SECONDS = re.compile(_NUMBER, re.ASCII)
_DURATION = re.compile(
    rf"P(?=\d|T\d)(?:{_NUMBER}Y)?(?:{_NUMBER}M)?(?:{_NUMBER}W)?(?:{_NUMBER}D)?"
    rf"(?:T(?=\d)(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:{_NUMBER}S)?)?",
    re.ASCII,
)
_UNITS = (7 * DAY, DAY, HOUR, MINUTE, SECOND)  # of the groups after the years and months
_INSTANT = re.compile(
    r"(?:\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?|\d{8}T\d{4}(?:\d\d(?:[.,]\d{1,9})?)?)"
    r"(Z|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)


def parse_duration(text: str) -> Span:
    """Microseconds of seconds (`90`, `1.5`) or an ISO 8601 duration of fixed length (`PT30M`, `P1DT2H`, `PT0.25S`).

    InvalidSchedule for anything else: years and months too, since their length varies.
    """
    duration = _plain(text)
    if _SECONDS.fullmatch(duration):
        return _span(text, [(duration, SECOND)])
    match = _DURATION.fullmatch(duration)
    if match is None:
        raise InvalidSchedule(
            f"{shown(text)} is not a duration; write seconds or ISO 8601, such as 90, PT30M or P1DT2H"
        )
    years, months, *fixed = match.groups()
    if years or months:
        raise InvalidSchedule(
            f"{shown(text)} has no fixed length; write days (P30D), or a schedule such as cron: 0 0 1 * * for months"
        )
    return _span(text, [(number, unit) for number, unit in zip(fixed, _UNITS, strict=True) if number])


def _span(text: str, parts: list[tuple[str, Span]]) -> Span:
    span = round(sum(Fraction(number.replace(",", ".")) * unit for number, unit in parts))
    if span > MAX_SPAN:
        raise InvalidSchedule(f"{shown(text)} is too long; a duration is at most 36525 days, such as P365D")
    return span


def format_duration(span: Span) -> str:
    """ISO 8601 of so many microseconds, in days, hours, minutes and seconds: `PT30M`, `P1DT2H`, `PT0.25S`, `PT0S`."""
    days, rest = divmod(span, DAY)
    hours, rest = divmod(rest, HOUR)
    minutes, rest = divmod(rest, MINUTE)
    seconds = f"{rest // SECOND}.{rest % SECOND:06}".rstrip("0").rstrip(".")
    time = "".join(
        f"{value}{unit}" for value, unit in ((hours, "H"), (minutes, "M"), (seconds, "S")) if value not in (0, "0")
    )
    date = f"{days}D" if days else ""
    return f"P{date}T{time}" if time else f"P{date or 'T0S'}"


def parse_instant(text: str) -> Instant:
    """Microseconds UTC of an ISO 8601 date and time that says its offset: `2012-01-05T06:00:00Z`, `…T07:00:00.5+01:00`.

    InvalidSchedule for anything else, a time without an offset included.
    """
    return instant_of(parse_time(text))


def parse_time(text: str) -> datetime:
    """The same as an aware datetime."""
    match = _INSTANT.fullmatch(_plain(text))
    if match is None:
        raise InvalidSchedule(f"{shown(text)} is not a date and time; write one such as 2026-12-01T06:00:00Z")
    if match[1] is None:
        raise InvalidSchedule(
            f"{shown(text)} has no time zone; add Z for UTC or an offset, such as 2026-12-01T06:00:00Z"
        )
    try:
        return datetime.fromisoformat(match[0]).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidSchedule(f"{shown(text)} is not in the calendar; write one such as 2026-12-01T06:00:00Z") from None


def format_instant(instant: Instant) -> str:
    """`2012-01-05T06:00:00Z`; a fraction of six digits only where it is not zero (`…:00.250000Z`)."""
    return (_BARE_EPOCH + timedelta(0, 0, instant)).isoformat() + "Z"


def instant_of(time: datetime) -> Instant:
    """Microseconds UTC of an aware datetime."""
    return (time - EPOCH) // MICROSECOND


def time_of(instant: Instant) -> datetime:
    """The aware datetime, in UTC, of an instant."""
    return EPOCH + timedelta(0, 0, instant)


def _plain(text: str) -> str:
    return text.strip().upper() if len(text) <= _MAX_LENGTH and text.isascii() else ""


def shown(text: str) -> str:
    """What the user typed, quoted and short enough for an error message."""
    return repr(text if len(text) <= _MAX_LENGTH else f"{text[:_MAX_LENGTH]}…")
