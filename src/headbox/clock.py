"""The one place that knows what time it is. Everybody else is given `now`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from headbox.domain.task import Instant


class Clock(Protocol):
    """Gives instants (microseconds UTC)."""

    def now(self) -> Instant:
        """The present instant."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> Instant:
        return time.time_ns() // 1000


class SharedClock:
    """A clock that many hosts share: what `ask` said last (a database's time), plus the time that this machine has
    counted since, suspended or not. It never looks at the machine's own date."""

    AGE = 10_000_000_000  # ns after which it asks again

    def __init__(self, ask: Callable[[], Instant]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._asked_at: int | None = None
        self._offset = 0

    def now(self) -> Instant:
        """The present instant. Raises what `ask` raises, but only until it has answered once."""
        with self._lock:
            if self._asked_at is None or boot_time() - self._asked_at > self.AGE:
                self._synchronise()
            return boot_time() // 1000 + self._offset

    def learn(self, instant: Instant, asked_at: int) -> None:
        """Takes what the database said for another purpose, asked at `asked_at` by `boot_time`: no need to ask soon."""
        with self._lock:
            self._set(instant, asked_at)

    def _set(self, instant: Instant, asked_at: int) -> None:
        self._offset = instant - (asked_at + boot_time()) // 2000  # it was asked half-way there and back
        self._asked_at = asked_at

    def _synchronise(self) -> None:
        before = boot_time()
        try:
            instant = self._ask()
        except Exception:
            if self._asked_at is None:
                raise
            self._asked_at = before  # the answer of last time will do for another while
            return
        self._set(instant, before)


def boot_time() -> int:
    """Nanoseconds that this machine has counted since it started, suspended ones included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
