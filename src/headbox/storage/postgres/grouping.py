"""Enqueues of several threads in one transaction: whoever finds nobody at it takes along all that wait by then. A
thread alone waits for nobody, and nobody waits long for another's."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from headbox.domain.errors import StorageUnavailable
from headbox.domain.task import Instant, Task
from headbox.forks import forget_in_forks

MOST = 100  # callers that share a transaction
HOLD_UP = 0.05  # seconds after which a caller goes alone: the server is away, or slow


class _Waiting:
    """What one caller wants to enqueue."""

    def __init__(self, tasks: Sequence[Task], now: Instant) -> None:
        self.tasks = tasks
        self.now = now
        self.is_over = False  # one way or the other
        self.goes_alone = False
        self.error: Exception | None = None
        self._asleep = threading.Lock()
        self._asleep.acquire()

    def sleep(self) -> bool:
        """Until it is woken; False if that has not happened for a while."""
        return self._asleep.acquire(timeout=HOLD_UP)

    def wake(self) -> None:
        """Lets its caller look again."""
        with suppress(RuntimeError):  # it was awake
            self._asleep.release()


class Grouping:
    """Calls `enqueue` with one caller's tasks, or those of many."""

    def __init__(self, enqueue: Callable[[Sequence[Task], Instant], object]) -> None:
        self._enqueue = enqueue
        self._start_afresh()
        forget_in_forks(self)

    def after_fork(self) -> None:
        """What the parent's threads were at is not ours."""
        if self._pid != os.getpid():
            self._start_afresh()

    def _start_afresh(self) -> None:
        self._pid = os.getpid()
        self._queue: deque[_Waiting] = deque()
        self._lock = threading.Lock()

    def enqueue(self, tasks: Sequence[Task], now: Instant) -> None:
        """Returns when they are accepted. Raises what `enqueue` raises for these tasks."""
        self.after_fork()
        if not self._queue and self._lock.acquire(blocking=False):
            try:
                self._enqueue(tasks, now)
            finally:
                self._lock.release()
        else:
            self._enqueue_with_others(tasks, now)

    def _enqueue_with_others(self, tasks: Sequence[Task], now: Instant) -> None:
        mine = _Waiting(tasks, now)
        self._queue.append(mine)
        if not self._is_first(mine):
            mine.sleep()
        if not mine.is_over:
            self._take_part(mine)
        if mine.goes_alone:
            self._enqueue(tasks, now)
        elif mine.error is not None:
            raise mine.error

    def _is_first(self, waiting: _Waiting) -> bool:
        try:
            return self._queue[0] is waiting
        except IndexError:  # somebody has just taken it along
            return False

    def _take_part(self, mine: _Waiting) -> None:
        """Of one that is the first in the queue, or was held up."""
        if self._lock.acquire(timeout=HOLD_UP):
            try:
                while not (mine.is_over or self._is_orphan(mine)):
                    self._enqueue_waiting()
            finally:
                self._lock.release()
        elif self._withdraw(mine):
            mine.goes_alone = True
        else:
            self._wait_for_others(mine)

    def _wait_for_others(self, mine: _Waiting) -> None:
        while not (mine.is_over or mine.goes_alone):
            if not mine.sleep() and self._lock.acquire(blocking=False):
                try:
                    if not mine.is_over:
                        self._is_orphan(mine)
                finally:
                    self._lock.release()

    def _is_orphan(self, mine: _Waiting) -> bool:
        """Whether the thread that took it along was interrupted before it began; then it goes alone. Under the lock."""
        mine.goes_alone = mine.goes_alone or mine not in self._queue
        return mine.goes_alone

    def _withdraw(self, mine: _Waiting) -> bool:
        """Whether nobody had taken it along yet."""
        try:
            self._queue.remove(mine)
        except ValueError:
            return False
        return True

    def _enqueue_waiting(self) -> None:
        group = self._take()
        try:
            now = max(waiting.now for waiting in group)
            self._enqueue([task for waiting in group for task in waiting.tasks], now)
        except Exception as error:  # noqa: BLE001 - it is raised again in each caller's own thread
            for waiting in group:
                if len(group) == 1 or isinstance(error, StorageUnavailable):
                    waiting.error = error
                else:
                    waiting.goes_alone = True  # whose fault it is they find out each for itself
        except BaseException:  # an interrupt of this thread
            for waiting in group:
                waiting.goes_alone = True
            raise
        finally:
            for waiting in group:
                waiting.is_over = True
                waiting.wake()
            self._wake_first()

    def _wake_first(self) -> None:
        with suppress(IndexError):  # nobody has come meanwhile
            self._queue[0].wake()

    def _take(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        while self._queue and len(group) < MOST:
            try:
                group.append(self._queue.popleft())
            except IndexError:  # it was withdrawn
                break
        return group
