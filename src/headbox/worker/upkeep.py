"""What every worker does for the whole system beside its tasks: rescue, checkpoints, culling, the end of schedules that
nobody declares any more. Each duty is a method; the supervisor's loop calls `tick`."""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import socket
from collections.abc import Callable, Iterator

from headbox.config import Settings
from headbox.domain.outcomes import Outcome
from headbox.domain.task import HOUSEKEEPING, SYSTEM_QUEUE, Instant, Task
from headbox.storage.records import ClaimRequest, Report, Worker
from headbox.storage.store import Store
from headbox.worker.process import boot_id, process_start

TICK = 5_000_000_000  # ns between two rounds of duties
BATCH = 1000  # rows that one culling transaction deletes

logger = logging.getLogger(__name__)


class Upkeep:
    """The duties of one worker."""

    def __init__(self, store: Store, settings: Settings, worker: str, selector: selectors.BaseSelector) -> None:
        self._store = store
        self._settings = settings
        self._worker = worker
        self._selector = selector
        self._neighbours: dict[str, int] = {}  # other workers of this machine: a descriptor that tells their end
        self._culling: list[tuple[Task, Instant, Iterator[int]]] = []
        self._next = 0

    @property
    def next_time(self) -> int:
        """When there is something to do: nanoseconds of CLOCK_MONOTONIC; 0 = at once."""
        return 0 if self._culling else self._next

    def tick(self, now: Instant, monotonic: int) -> list[Outcome]:
        """Does what is due. Returns the ends of housekeeping tasks."""
        if monotonic >= self._next:
            self._next = monotonic + TICK
            self.rescue(now)
            if self._settings.app is not None:
                self._end_undeclared(now)
            self._claim(now)
            self._store.checkpoint()
        return self._cull(now)

    def rescue(self, now: Instant) -> None:
        """Resets what dead workers left, and listens for the death of those that live on this machine."""
        for task in self._store.rescue(now):
            logger.warning("task %s (%s): %s", task.id, task.method_name, task.exception)
        self._watch_neighbours(self._store.workers())

    def _watch_neighbours(self, workers: list[Worker]) -> None:
        here = (socket.gethostname(), boot_id())
        present = {worker.id: worker for worker in workers if (worker.host, worker.boot_id) == here}
        present.pop(self._worker, None)
        for id in self._neighbours.keys() - present.keys():
            self._forget(id)
        for id in present.keys() - self._neighbours.keys():
            if process_start(present[id].pid) == present[id].process_start:
                self._watch(id, present[id].pid)

    def _watch(self, id: str, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):  # it died just now: the next round finds it dead
            self._neighbours[id] = os.pidfd_open(pid)
            self._selector.register(self._neighbours[id], selectors.EVENT_READ, lambda: self._neighbour_died(id))

    def _neighbour_died(self, id: str) -> None:
        self._forget(id)
        self._next = 0

    def _forget(self, id: str) -> None:
        descriptor = self._neighbours.pop(id)
        self._selector.unregister(descriptor)
        os.close(descriptor)

    def _end_undeclared(self, now: Instant) -> None:
        for task in self._store.end_undeclared(now):
            logger.info("the schedule %s ends: no worker of its application declares it any more", task.schedule_name)

    # housekeeping tasks

    def _claim(self, now: Instant) -> None:
        request = ClaimRequest(queues=(SYSTEM_QUEUE,), limit=len(HOUSEKEEPING))
        first = self._store.ready(request, now)
        if first is None or first > now:
            return
        claims = self._store.exchange(self._worker, Report(), request, now).claims
        for task in claims.tasks if claims else ():
            self._start(task, now)

    def _start(self, task: Task, now: Instant) -> None:
        duties: dict[str, Callable[[Instant], Iterator[int]]] = {
            "cull_history": self._cull_history,
            "cull_audited_events": self._cull_audited_events,
        }
        self._culling.append((task, now, duties[task.method_name](now)))

    def _cull(self, now: Instant) -> list[Outcome]:
        """One batch of the task in front, so that the loop is never held up for long."""
        if not self._culling:
            return []
        task, started, batches = self._culling[0]
        if next(batches, None) is not None:
            return []
        self._culling.pop(0)
        return [Outcome(task.id, task.run, "succeed", now, started)]

    def _cull_history(self, now: Instant) -> Iterator[int]:
        before = now - self._settings.history_lifetime
        return _until_none(lambda: self._store.cull_history(before, self._settings.history_runs, BATCH))

    def _cull_audited_events(self, now: Instant) -> Iterator[int]:
        before = now - self._settings.audit_lifetime
        return _until_none(lambda: self._store.cull_audited_events(before, BATCH))

    def in_hand(self) -> list[Task]:
        """The housekeeping tasks that it works on."""
        return [task for task, _, _ in self._culling]

    def forget(self) -> None:
        """The housekeeping tasks are nobody's business any more."""
        self._culling.clear()

    def close(self) -> None:
        """Stops listening."""
        for id in list(self._neighbours):
            self._forget(id)


def _until_none(cull: Callable[[], int]) -> Iterator[int]:
    while culled := cull():
        yield culled
