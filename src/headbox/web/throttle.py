"""Slows down whoever guesses passwords: per pair of user and address, so that nobody can lock somebody else out."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from math import ceil
from typing import Final

FREE_ATTEMPTS: Final = 5
LONGEST_PAUSE: Final = 60.0  # seconds
FORGIVEN_AFTER: Final = 900.0  # seconds without an attempt
PAIRS: Final = 10_000  # remembered at most

Pair = tuple[str, str | None]


class Throttle:
    """Counts failed attempts. `monotonic` gives seconds."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._failures: OrderedDict[Pair, tuple[int, float]] = OrderedDict()  # how many, the last one's time

    def pause(self, pair: Pair) -> int:
        """Seconds until the pair may try again; 0: now."""
        count, last = self._failures.get(pair, (0, 0.0))
        since = self._monotonic() - last
        if count < FREE_ATTEMPTS or since > FORGIVEN_AFTER:
            return 0
        return max(0, ceil(min(2.0 ** (count - FREE_ATTEMPTS), LONGEST_PAUSE) - since))

    def fail(self, pair: Pair) -> None:
        """Counts a failure. Count it before the password is looked at, so that many at once do not slip through."""
        count, last = self._failures.pop(pair, (0, 0.0))
        now = self._monotonic()
        self._failures[pair] = (1 if now - last > FORGIVEN_AFTER else count + 1, now)
        if len(self._failures) > PAIRS:
            self._failures.popitem(last=False)

    def succeed(self, pair: Pair) -> None:
        """Forgets the pair's failures."""
        self._failures.pop(pair, None)
