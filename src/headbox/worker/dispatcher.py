"""Which run goes to which child, what is taken back, interrupted or given up. Knows no store and no clock: it is told
the time (nanoseconds of CLOCK_MONOTONIC) and says what it wants to claim."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator
from math import ceil

import msgspec

from headbox.config import Settings
from headbox.domain.task import Instant, Work
from headbox.worker.children import REPEAT, Child, Interruption
from headbox.worker.pace import AHEAD, MOST_AHEAD, Pace
from headbox.worker.protocol import Reason

MILLISECOND = 1_000_000
SECOND = 1_000_000_000
CHUNK = 64  # runs in one message
FEW = 4  # runs of a child that are looked at one by one; behind more stand only short ones
SHELF_LIFE = 100 * MILLISECOND  # how long a claimed run may lie about before another worker may have it
MOST_BYTES = 8 << 20  # of arguments in hand, beyond which only children that have nothing to do get more
PATIENCE = 5 * SECOND  # after which a task that was passed over reserves the worker


class Room(msgspec.Struct, frozen=True):
    """What the worker could start now, beside what it has."""

    runs: int
    async_runs: int
    max_weight: int | None  # None: any

    @property
    def is_any(self) -> bool:
        """Whether there is some at all."""
        return bool(self.runs or self.async_runs)


class Shelved(msgspec.Struct):
    """A claimed run that no child has yet. `since`: from when on one may have it, which may be still to come."""

    task: Work
    since: int


class Dispatcher:
    """The children and the runs in hand."""

    def __init__(self, settings: Settings) -> None:
        self.concurrency = settings.concurrency
        self.async_concurrency = settings.async_concurrency
        self.cancel_grace = settings.cancel_grace * 1000
        self.child_runs = settings.child_runs
        self.children: dict[int, Child] = {}
        self.async_names: Collection[str] = frozenset()
        self.pace = Pace()
        self.async_pace = Pace()
        self._shelf: deque[Shelved] = deque()
        self._passed: tuple[str, int, int] | None = None  # id, weight, since

    # what it has

    @property
    def weight(self) -> int:
        """Of the runs in progress."""
        return sum(child.weight for child in self.children.values())

    @property
    def runs_in_hand(self) -> int:
        """Runs that are claimed and have not ended."""
        return len(self._shelf) + sum(len(child.runs) for child in self.children.values())

    def in_hand(self) -> Iterator[Work]:
        """The tasks of those runs."""
        yield from (shelved.task for shelved in self._shelf)
        for child in self.children.values():
            yield from child.runs.values()

    @property
    def has_async_work(self) -> bool:
        """Whether a task waits for an event loop."""
        return bool(self.async_names) and any(self.is_async(shelved.task) for shelved in self._shelf)

    def is_async(self, task: Work) -> bool:
        """Whether the task runs on an event loop."""
        return task.callable in self.async_names

    # what it wants

    def room(self, now: int) -> Room:
        """How much to claim."""
        weight = self.weight
        reserved = self.reserved(now)
        if reserved and not self._fits(reserved, weight):  # what weighs nothing may start all the same
            return Room(0, self._async_room() if self.async_names else 0, 0)
        rooms = {child: room for child, room in self._rooms(now).items() if room >= self._most(child) // 2}
        waiting = sum(1 for shelved in self._shelf if not self.is_async(shelved.task))
        room = sum(rooms.values()) - waiting
        idle = any(not child.runs for child in rooms)
        heaviest = max((child.weight for child in rooms if child.runs), default=0)
        max_weight = None if weight == 0 else max(self.concurrency - weight if idle else 0, heaviest)
        room = max(room, 0)
        if room and self._bytes_in_hand() >= MOST_BYTES:
            room = min(room, max(0, sum(1 for child in rooms if not child.runs) - waiting))
        # What was async when it was enqueued may be synchronous in this application, and the other way round.
        return Room(room, self._async_room() if self.async_names else room, max_weight)

    def _bytes_in_hand(self) -> int:
        """Of the arguments of all runs in hand."""
        return sum(len(task.args or b"") + len(task.kwargs or b"") for task in self.in_hand())

    def _async_room(self) -> int:
        running = sum(len(child.runs) for child in self.children.values() if not child.is_sync)
        waiting = sum(1 for shelved in self._shelf if self.is_async(shelved.task))
        return max(0, self.async_concurrency + self._async_ahead() - running - waiting)

    def _async_ahead(self) -> int:
        """How many runs an event loop can be given beyond those that it may have in progress: at most as many
        as all sync children together."""
        mean, most = self.async_pace.mean, self.concurrency * MOST_AHEAD
        return 0 if mean is None else min(most, int(self.async_concurrency * AHEAD / (mean + 1)))

    def note_passed_over(self, id: str | None, weight: int, now: int) -> None:
        """A claim passed over this task as too heavy; None: no task."""
        if id is None:
            self._passed = None
        elif self._passed is None or self._passed[0] != id:
            self._passed = (id, weight, now)

    def reserved(self, now: int) -> int:
        """The weight for which the worker is reserved; 0 if it is not."""
        if self._passed is not None and now - self._passed[2] >= PATIENCE:
            return self._passed[1]
        return 0

    def _fits(self, weight: int, in_progress: int) -> bool:
        """Whether a run of this weight may start beside others. One heavier than the worker can bear runs alone."""
        return weight == 0 or in_progress + weight <= self.concurrency or in_progress == 0

    # handing out

    def shelve(self, tasks: Collection[Work], now: int, *, instant: Instant | None = None, first: bool = False) -> None:
        """Takes claimed runs: behind those it has, or before them. `instant` is what `now` is by the clock that
        tasks are due by, or a little less; None: all are due."""
        shelved = [
            Shelved(task, now)
            if instant is None or task.due_time <= instant
            else Shelved(task, now + (task.due_time - instant) * 1000)
            for task in tasks
        ]
        if first:
            self._shelf.extendleft(reversed(shelved))
        else:
            self._shelf.extend(shelved)

    def hand_out(self, now: int) -> None:
        """Gives runs to children, as far as they have room: an even share to each."""
        due = sum(shelved.since <= now for shelved in self._shelf)
        if not due:
            return
        chunks: dict[int, list[Work]] = {}
        left: deque[Shelved] = deque()
        rooms = self._rooms(now)
        share = ceil(due / max(1, len(rooms)))
        rooms = {child: min(share, room) for child, room in rooms.items()}
        for shelved in self._shelf:
            child = self._choose(shelved.task, rooms) if shelved.since <= now else None
            if child is None:
                left.append(shelved)
            else:
                chunks.setdefault(child.link.number, []).append(shelved.task)
        self._shelf = left
        for number, tasks in chunks.items():
            for at in range(0, len(tasks), CHUNK):
                self._hand(self.children[number], tasks[at : at + CHUNK])

    def _rooms(self, now: int) -> dict[Child, int]:
        """How many runs each sync child could get so that they start in time, the emptiest child first."""
        children = [child for child in self.children.values() if child.is_sync and child.may_get_runs]
        children.sort(key=lambda child: len(child.runs))
        rooms = {child: self._most(child) - len(child.runs) for child in children if self._is_quick(child, now)}
        return {child: room for child, room in rooms.items() if room > 0}

    def _most(self, child: Child) -> int:
        """How many runs the child can have, for their number and for its own time."""
        left = MOST_AHEAD if self.child_runs is None else self.child_runs - child.ended
        return min(self.pace.ahead, left)

    def _is_quick(self, child: Child, now: int) -> bool:
        """Whether the child will have done what it has in time for more."""
        if len(child.runs) > FEW:
            return True
        expected = 0.0
        for task in child.runs.values():
            expected += self.pace.expected(task.callable) or AHEAD
        late = any(now - started_at > AHEAD for _, started_at in child.in_progress())
        return expected < AHEAD and not late

    def _choose(self, task: Work, rooms: dict[Child, int]) -> Child | None:
        if self.is_async(task):
            return self._choose_async(task)
        alone = task.losses > 0 or task.callable not in self.pace.means
        for child, room in rooms.items():
            if child.runs and (alone or task.weight > child.weight):
                continue
            if task.weight > child.weight and not self._fits(task.weight, self.weight - child.weight):
                continue
            self._place(child, task)
            child.solitary = task.losses > 0
            if alone or room <= 1:
                del rooms[child]
            else:
                rooms[child] = room - 1
            return child
        return None

    def _choose_async(self, task: Work) -> Child | None:
        if task.weight and not self._fits(task.weight, self.weight):
            return None
        for child in self.children.values():
            if not child.is_sync and child.may_get_runs and not (task.losses and child.runs):
                self._place(child, task)
                child.solitary = task.losses > 0
                return child
        return None

    def _place(self, child: Child, task: Work) -> None:
        child.add(child.link.last_seq + 1 + child.pending, task)
        child.pending += 1

    def _hand(self, child: Child, tasks: list[Work]) -> None:
        child.link.hand(tasks)
        child.pending -= len(tasks)

    # taking back

    def take_back(self, now: int) -> None:
        """Puts runs that a child has not started in time, behind a long one, back on the shelf."""
        for child in self.children.values():
            in_progress = child.in_progress()
            if len(child.runs) > len(in_progress) and any(now - started_at > AHEAD for _, started_at in in_progress):
                self.take_back_from(child, now)

    def take_back_all(self, now: int) -> None:
        """Puts every run that has not started back on the shelf."""
        for child in self.children.values():
            if child.runs:
                self.take_back_from(child, now)

    def take_back_from(self, child: Child, now: int) -> None:
        last_started = child.link.take_back()
        unstarted = [seq for seq in child.runs if seq > last_started]
        self.shelve([task for seq in unstarted if (task := child.drop(seq))], now, first=True)

    def take_from_shelf(self, asked: Collection[tuple[str, int]]) -> list[Work]:
        """Takes these runs, by (id, run), off the shelf."""
        taken = [shelved.task for shelved in self._shelf if (shelved.task.id, shelved.task.run) in asked]
        if taken:
            self._shelf = deque(shelved for shelved in self._shelf if shelved.task not in taken)
        return taken

    def clear_shelf(self, now: int | None = None) -> list[Work]:
        """Runs that have lain about too long (None: all): they are to be released."""
        if now is None:
            stale = list(self._shelf)
            self._shelf.clear()
        else:
            stale = [shelved for shelved in self._shelf if now - shelved.since > SHELF_LIFE]
            if stale:
                self._shelf = deque(shelved for shelved in self._shelf if now - shelved.since <= SHELF_LIFE)
        return [shelved.task for shelved in stale]

    # interrupting

    def interrupt(self, child: Child, seq: int, reason: Reason, now: int) -> None:
        """Tells a run to end; again each second, and with SIGKILL after the grace (see `overdue`)."""
        if seq in child.runs and seq not in child.interruptions:
            child.interruptions[seq] = Interruption(reason, now, now + REPEAT)
            child.link.interrupt(seq, reason)

    def expire(self, now: int) -> None:
        """Interrupts the runs that have lasted longer than their timeout."""
        for child in self.children.values():
            for seq, started_at in child.in_progress():
                timeout = child.runs[seq].timeout
                if timeout is not None and now >= started_at + timeout * 1000:
                    self.interrupt(child, seq, Reason.TIMEOUT, now)

    def overdue(self, now: int) -> list[Child]:
        """Repeats interrupts that had no effect; returns the children that have to be killed for it."""
        doomed = []
        for child in self.children.values():
            for seq, interruption in child.interruptions.items():
                if now >= interruption.since + self.cancel_grace and not child.killed:
                    doomed.append(child)
                    break
                if now >= interruption.repeat_at:
                    interruption.repeat_at = now + REPEAT
                    child.link.interrupt(seq, interruption.reason)
        return doomed

    # time

    def next_time(self, now: int) -> int | None:
        """When something will be due here."""
        times: list[int] = []
        for child in self.children.values():
            for interruption in child.interruptions.values() if not child.killed else ():
                times += (interruption.repeat_at, interruption.since + self.cancel_grace)
            in_progress = child.in_progress()
            if child.runs and not in_progress:  # it is about to begin: then there is something to be timed
                times.append(now + AHEAD)
            for seq, started_at in in_progress:
                task = child.runs[seq]
                if seq not in child.recorded:  # by then, what stands behind it is taken back, too
                    times.append(started_at + AHEAD)
                if task.timeout is not None and seq not in child.interruptions:
                    times.append(started_at + task.timeout * 1000)
        for shelved in self._shelf:
            times.append(shelved.since if shelved.since > now else shelved.since + SHELF_LIFE)
        return min(times, default=None)
