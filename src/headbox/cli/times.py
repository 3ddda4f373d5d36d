"""Times as people read them: `in 3 min`, `2 h ago`, and how long something took. Pure, but for `local_now`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

# The largest unit of which there are at least two is the one that people say.
UNITS: Final = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
FAR: Final = 60 * 86400  # seconds from which on a date says more than a number of days
BESIDES: Final = (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1))


def local_now() -> datetime:
    """The present time in the machine's time zone."""
    return datetime.now(UTC).astimezone()


def seconds_between(start: str | datetime, end: str | datetime) -> float:
    """Seconds from one instant to another."""
    first, last = (datetime.fromisoformat(time) if isinstance(time, str) else time for time in (start, end))
    return (last - first).total_seconds()


def show_time(text: str | None, now: datetime, *, utc: bool = False) -> str:
    """An instant of the API as people read it: how far from `now`, or its date if that is far. `utc`: as it is."""
    time = None if text is None or utc else in_zone(text, now)
    if time is None:
        return text or ""
    seconds = (time - now).total_seconds()
    return relative(seconds) if abs(seconds) < FAR else f"{time:%d %b %Y}"


def show_both(text: str | None, now: datetime, *, utc: bool = False) -> str:
    """An instant on the local clock, and how far it is from `now`. `utc`: as it is."""
    time = None if text is None or utc else in_zone(text, now)
    if time is None:
        return text or ""
    return f"{time:%a %d %b %Y %H:%M:%S} ({relative((time - now).total_seconds())})"


def in_zone(text: str, now: datetime) -> datetime | None:
    """The instant in the time zone of `now`; None where it is none, or the calendar of that zone has ended by then."""
    try:
        time = datetime.fromisoformat(text)
        return time.astimezone(now.tzinfo) if time.tzinfo else None
    except (ValueError, OverflowError):
        return None


def relative(seconds: float) -> str:
    """How far away a time is: `now`, `in 3 min`, `2 h ago`."""
    if abs(seconds) < 1:
        return "now"
    return f"in {coarse(seconds)}" if seconds > 0 else f"{coarse(-seconds)} ago"


def coarse(seconds: float) -> str:
    """A span in the one unit that says it best: `59 s`, `119 s`, `2 min`, `47 h`, `2 d`."""
    whole = int(seconds)
    for unit, size in UNITS[:-1]:
        if whole >= 2 * size:
            return f"{whole // size} {unit}"
    return f"{whole} s"


def show_span(seconds: float) -> str:
    """A span as people say it: `< 1 ms`, `30 ms`, `2.5 s`, `12 s`, `3 min 5 s`, `2 h 10 min`, `4 d 3 h`."""
    if 0 < seconds < 0.0005:
        return "< 1 ms"
    if seconds < 10:
        return f"{seconds:.1f} s" if seconds >= 0.9995 else f"{max(seconds, 0) * 1000:.0f} ms"
    whole = int(seconds)
    for unit, size, smaller, smaller_size in BESIDES:
        if whole >= size:
            rest = whole % size // smaller_size
            return f"{whole // size} {unit} {rest} {smaller}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"
