"""The one place that knows what time it is. Everybody else is given `now`."""

from __future__ import annotations

import time
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
