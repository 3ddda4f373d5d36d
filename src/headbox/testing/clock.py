"""A clock that stands still until a test moves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from headbox.domain.iso8601 import instant_of, time_of
from headbox.domain.task import SECOND, Instant

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class FakeClock:
    """A Clock for tests: it starts at `time` (an aware datetime) and moves only by `advance`."""

    def __init__(self, time: datetime = NOON) -> None:
        if time.utcoffset() is None:
            raise ValueError("the clock's time has no time zone: give an aware datetime")
        self._now = instant_of(time)

    def now(self) -> Instant:
        """The present instant."""
        return self._now

    @property
    def time(self) -> datetime:
        """The present time."""
        return time_of(self._now)

    def advance(self, by: float | timedelta) -> datetime:
        """Moves the clock on by seconds or a timedelta, and returns the new time. ValueError for a step back."""
        span = by // timedelta(microseconds=1) if isinstance(by, timedelta) else round(by * SECOND)
        if span < 0:
            raise ValueError("a clock does not go back: advance by 0 or more")
        self._now += span
        return self.time
