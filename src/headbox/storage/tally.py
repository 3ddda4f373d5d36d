"""What one transaction changes in how many tasks there are. It is written in the same transaction, as rows of its own:
so the counts hold whatever happens, and nobody waits for a shared row."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from headbox.domain.states import State

CHANGE: Final = ("time", "queue", "was", "became", "counted", "number", "task_id")
MANY: Final = ""  # the `task_id` of a change of more tasks than are told one by one
SINGLY: Final = 100

Move = tuple[str, str | None, str | None, str | None, str | None]  # queue, was, became, counted, task_id


class Tally:
    """Moves from state to state, and what else is counted (`enqueued`, how runs ended, late starts)."""

    def __init__(self) -> None:
        self._moves: dict[Move, int] = defaultdict(int)

    def move(
        self,
        queue: str,
        was: State | None,
        became: State | None,
        number: int = 1,
        *,
        counted: str | None = None,
        task_id: str | None = None,
    ) -> None:
        """`number` tasks of the queue were in one live state and are now in another (None: in none). `task_id`: nothing
        else in the database tells that this task has changed."""
        self._moves[queue, was, became, counted, task_id] += number

    def count(self, counted: str, number: int = 1) -> None:
        """Something happened so often."""
        self._moves["", None, None, counted, None] += number

    def touch(self, task_id: str) -> None:
        """A task has changed, and nothing else in the database tells."""
        self._moves["", None, None, None, task_id] += 0

    def rows(self, time: int) -> list[tuple[int | str | None, ...]]:
        """As rows of `headbox_changes`."""
        return [(time, *move[:4], number, move[4]) for move, number in _bounded(self._moves).items()]


def _bounded(moves: dict[Move, int]) -> dict[Move, int]:
    if len(moves) <= SINGLY:
        return moves
    together: dict[Move, int] = defaultdict(int)
    for move, number in moves.items():
        together[*move[:4], None if move[4] is None else MANY] += number
    return together
