"""The one place that knows what time it is. Everybody else is given `now`."""

from __future__ import annotations

import time
from typing import Protocol

from headbox.domain.task import Instant, Span


class Clock(Protocol):
    """Gives instants (microseconds UTC)."""

    def now(self) -> Instant:
        """The present instant."""
        ...

    def offset(self) -> Span:
        """What is to be added to the machine's monotonic clock (in microseconds) to give an instant."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> Instant:
        return time.time_ns() // 1000

    def offset(self) -> Span:
        return self.now() - time.monotonic_ns() // 1000
