"""Which tasks have changed since the last look: derived from indexes that exist (running rows, ids, finish times) and
from the changes that wait to be folded. Nothing is kept for it in the database, and a look never costs more than its
limits; what is beyond them is not told one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from typing import Any, Final

import msgspec

from headbox.domain.task import FIELDS, SECOND, Instant, Span, Task
from headbox.storage.database import Transaction
from headbox.storage.tally import MANY

LOOKED_AT: Final = 2000  # rows of each kind
TOLD: Final = 200  # tasks in one look
OVERLAP: Span = 2 * SECOND  # for how long what is being committed may be seen after what began later

_TASKS: Final = ", ".join(FIELDS)


class Changes(msgspec.Struct, frozen=True):
    """The tasks that have changed, as they are now. `is_whole`: there are no others."""

    tasks: list[Task]
    is_whole: bool


class Feed:
    """Remembers what it has seen. The first look only does that."""

    def __init__(self, read: Callable[[Callable[[Transaction], Any]], Any]) -> None:
        self._read = read
        self._is_fresh = True
        self._running: dict[str, Any] = {}
        self._end_time: Instant = 0
        self._ended: frozenset[tuple[str, int]] = frozenset()
        self._last_id = ""
        self._added: frozenset[str] = frozenset()
        self._position = "0"
        self._touched: frozenset[int] = frozenset()

    def look(self, now: Instant) -> Changes:
        """What has changed since the last look."""
        seen: Feed
        changes: Changes
        seen, changes = self._read(lambda tx: self._try(tx, now))
        self.__dict__ |= seen.__dict__
        return changes

    def _try(self, tx: Transaction, now: Instant) -> tuple[Feed, Changes]:
        """A reading may have to be done again: only one that came to its end counts as seen."""
        seen = copy(self)
        return seen, seen._look(tx, now)

    def _look(self, tx: Transaction, now: Instant) -> Changes:
        was_fresh, self._is_fresh = self._is_fresh, False
        if was_fresh:
            ((self._end_time, self._last_id),) = tx.all("latest")
            (self._position,) = tx.one("change_position") or ("0",)
        parts = [self._look_at_running(tx), self._look_at_ends(tx, now), self._look_at_added(tx)]
        parts.append(self._look_at_touched(tx))
        if was_fresh:
            return Changes([], True)
        ids = list(dict.fromkeys(id for part, _ in parts for id in part))
        tasks = _tasks(tx, ids[:TOLD])
        return Changes(tasks, all(whole for _, whole in parts) and len(ids) <= TOLD)

    def _look_at_running(self, tx: Transaction) -> tuple[list[str], bool]:
        """Those that run, report, or do not run any more."""
        rows = tx.all("running_now", limit=LOOKED_AT + 1)
        before, self._running = self._running, {row[0]: row[1:] for row in rows}
        changed = [id for id, row in self._running.items() if before.get(id) != row]
        return [*changed, *(before.keys() - self._running.keys())], len(rows) <= LOOKED_AT

    def _look_at_ends(self, tx: Transaction, now: Instant) -> tuple[list[str], bool]:
        since = min(self._end_time, now) - OVERLAP
        rows = tx.all("ended_since", since=since, limit=LOOKED_AT + 1)
        before, self._ended = self._ended, frozenset((id, run) for id, run, _ in rows)
        self._end_time = max([time for _, _, time in rows], default=self._end_time)
        fresh = [id for id, run in self._ended - before]
        return fresh, len(rows) <= LOOKED_AT or not fresh

    def _look_at_added(self, tx: Transaction) -> tuple[list[str], bool]:
        ids = [id for (id,) in tx.all("added_since", id=_a_while_before(self._last_id), limit=LOOKED_AT + 1)]
        before, self._added = self._added, frozenset(ids)
        self._last_id = max(ids, default=self._last_id)
        fresh = [id for id in ids if id not in before]
        return fresh, len(ids) <= LOOKED_AT or not fresh

    def _look_at_touched(self, tx: Transaction) -> tuple[list[str], bool]:
        rows = tx.all("touched", since=self._position)
        (self._position,) = tx.one("change_position") or ("0",)
        before, self._touched = self._touched, frozenset(id for id, _ in rows)
        ids = [task_id for id, task_id in rows if id not in before]
        return [id for id in ids if id != MANY], MANY not in ids


def _a_while_before(id: str) -> str:
    """The first id of a moment earlier; of one that tells no time, itself."""
    try:
        millisecond = int(id[:8] + id[9:13], 16)
    except ValueError:
        return id
    text = f"{max(0, millisecond - OVERLAP // 1000):012x}"
    return f"{text[:8]}-{text[8:]}" if len(id) == 36 else id


def _tasks(tx: Transaction, ids: Iterable[str]) -> list[Task]:
    """The tasks as `get` gives them; those that are gone are left out."""
    parameters = {f"p{number}": id for number, id in enumerate(ids)}
    if not parameters:
        return []
    names = ", ".join(f":{name}" for name in parameters)
    found: dict[str, Task] = {}
    for table in ("headbox_task_history", "headbox_tasks"):  # the live one comes last, and so is the one that is kept
        rows = tx.select(f"SELECT {_TASKS} FROM {table} WHERE id IN ({names}) ORDER BY id, run", parameters)  # noqa: S608
        found |= {task.id: task for task in (Task(*row) for row in rows)}
    return [found[id] for id in parameters.values() if id in found]
