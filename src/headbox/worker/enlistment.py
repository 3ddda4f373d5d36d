"""A worker under one id: its row, its heartbeat, its watch on the database and its duties. Ids are used once; a worker
that was taken for lost enlists afresh."""

from __future__ import annotations

import logging
import os
import socket

from headbox.clock import Clock
from headbox.config import Settings
from headbox.domain.errors import StorageError
from headbox.identifiers import new_id
from headbox.storage.records import Callable, Release, Report, Worker
from headbox.storage.store import Store, open_store
from headbox.worker.heartbeat import Heartbeat
from headbox.worker.process import boot_id, process_start
from headbox.worker.protocol import Ready
from headbox.worker.upkeep import Upkeep

logger = logging.getLogger(__name__)


class Enlistment:
    """Made by registering; ended by `leave`, or by `drop` where others have taken over already."""

    def __init__(self, store: Store, settings: Settings, ready: Ready | None, clock: Clock) -> None:
        self.id = new_id()
        self._store = store
        self._clock = clock
        now = clock.now()
        callables = ready.callables if ready else []
        self.upkeep = Upkeep(store, settings, self.id)
        self.upkeep.rescue(now)
        worker = Worker(
            id=self.id,
            host=socket.gethostname(),
            boot_id=boot_id(),
            pid=os.getpid(),
            process_start=process_start(os.getpid()) or 0,
            app=settings.app,
            queues=settings.queues,
            concurrency=settings.concurrency,
            start_time=now,
            heartbeat_time=now,
            lease=settings.lease,
            names=names(callables),
            declares=tuple(ready.schedule_names) if ready else (),
        )
        store.register(worker, callables, ready.declarations if ready else [], now)
        self.watch = store.watch(self.id, settings.queues)
        self._heartbeat = Heartbeat(open_store(store.url, settings.finished_lifetime), self.id, settings.lease, clock)
        self._heartbeat.start()

    @property
    def is_superseded(self) -> bool:
        """Whether a heartbeat found the worker's row gone."""
        return self._heartbeat.superseded

    def drop(self) -> None:
        """Ends what this side has of it."""
        self._heartbeat.stop()
        self.watch.close()

    def leave(self) -> None:
        """Gives back what is left, a culling that was begun say, and deletes the row."""
        self.drop()
        try:
            left = [Release(id, run) for id, run in self._store.held_by(self.id)]
            if left:
                self._store.exchange(self.id, Report(releases=left), None, self._clock.now())
            self._store.deregister(self.id, self._clock.now())
        except StorageError as error:  # its lease ends, or its lock: others see that it is gone
            logger.error("%s; the worker could not sign off", error)


def names(callables: list[Callable]) -> tuple[str, ...]:
    """Every name and alias of callables."""
    return tuple(sorted(name for published in callables for name in (published.name, *published.aliases)))
