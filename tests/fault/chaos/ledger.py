"""What the clients know of what they have asked for: accepted, refused, or unknown where the answer was lost."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable
from typing import Final

ACCEPTED: Final = "accepted"
UNKNOWN: Final = "unknown"
REFUSED: Final = "refused"


class Ledger:
    """A line for each token that a client has sent: what it was, and what came of it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.entries: dict[str, tuple[str, str]] = {}  # token: (kind of task, what the client knows)
        self.times: dict[str, int] = {}  # token: when the client knew, in microseconds UTC
        self.canceled: dict[str, int] = {}  # token: the run that was canceled before it began
        self.odd: list[str] = []  # answers that no fault explains

    def note(self, tokens: Iterable[tuple[str, str]], what: str) -> None:
        """Writes down what the client knows of (token, kind)s."""
        with self._lock:
            noted = dict(tokens)
            self.entries.update((token, (kind, what)) for token, kind in noted.items())
            self.times.update(dict.fromkeys(noted, time.time_ns() // 1000))

    def note_canceled(self, token: str, run: int) -> None:
        """The answer to a cancel was that this run is canceled, at once: nobody had it."""
        with self._lock:
            self.canceled[token] = run

    def note_odd(self, what: str) -> None:
        """An answer that is wrong whatever has befallen the service."""
        with self._lock:
            self.odd.append(what)

    def counts(self) -> Counter[str]:
        """How many tokens are accepted, unknown and refused."""
        with self._lock:
            return Counter(what for _, what in self.entries.values())

    def __len__(self) -> int:
        return len(self.entries)
