"""Where the ready tasks of each level begin. While somebody keeps a long transaction open, PostgreSQL cannot forget the
index entries of tasks that are gone, and a look from the start would step over all of them, each time more. So that is
done seldom then, and other looks begin where the level began when it was last looked at."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

FEW = 1000  # index entries that a look from the start may read without a second thought
SECONDS_PER_ENTRY: Final = (
    1.3e-6  # between two such looks: they cost a twentieth of the time at most (measured: 66 ns each)
)
LONGEST_REST: Final = 5.0
MOST_LEVELS: Final = 1000  # that are remembered after they were found empty


class Start(NamedTuple):
    """The first ready task of a level."""

    queue: str
    is_async: bool
    priority: int
    due_time: int
    id: str

    @property
    def level(self) -> tuple[str, bool, int]:
        return self[:3]


class Frontier:
    """What one process knows of where levels begin."""

    def __init__(self) -> None:
        self._starts: dict[str | None, dict[tuple[str, bool, int], Start]] = {}  # for each list of queues
        self._claimed: dict[tuple[str, bool, int], Start] = {}
        self._rest_until: dict[str | None, float] = {}
        self.snapshots: dict[str | None, str] = {}  # the server's at the latest look from the start

    def known(self, queues: str | None) -> list[Start] | None:
        """Where to begin, or None: look at everything from the start."""
        if time.monotonic() >= self._rest_until.get(queues, 0.0):
            return None
        return list(self._starts[queues].values())

    def note(
        self, queues: str | None, found: Iterable[Start], entries: int | None = None, snapshot: str | None = None
    ) -> None:
        """What a look found; of one from the start, how many index entries it has read, and the server's snapshot."""
        before = self._starts.get(queues, {})
        now = {start.level: start for start in found}
        if len(before) <= MOST_LEVELS:
            now = {level: max(start, self._claimed.get(level, start)) for level, start in before.items()} | now
        self._starts[queues] = now
        if snapshot is not None:
            self.snapshots[queues] = snapshot
        if entries is not None:
            rest = 0.0 if entries <= FEW else min(entries * SECONDS_PER_ENTRY, LONGEST_REST)
            self._rest_until[queues] = time.monotonic() + rest if rest else 0.0

    def look_from_the_start(self) -> None:
        """The next time: tasks have moved to before where levels began."""
        self._rest_until.clear()

    def note_claimed(self, level: tuple[str, bool, int], due_time: int, id: str) -> None:
        """The last task that was claimed of a level: once the level is empty, it begins there."""
        self._claimed[level] = Start(*level, due_time, id)


def as_starts(rows: Iterable[Any]) -> list[Start]:
    """Rows of `levels` or `known_levels`; a row without a level tells only what the look took."""
    return [Start(*row[:5]) for row in rows if row[0] is not None]
