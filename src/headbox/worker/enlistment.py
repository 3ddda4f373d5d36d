"""A worker under one id: its row, its heartbeat, its watch on the database and its duties. Ids are used once; a worker
that was taken for lost enlists afresh."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable

from headbox.clock import Clock, boot_time
from headbox.config import Settings
from headbox.domain.errors import StorageError
from headbox.identifiers import new_id
from headbox.storage.records import Callable as Published
from headbox.storage.records import Release, Report, Worker
from headbox.storage.store import Store, open_store
from headbox.worker.heartbeat import Heartbeat
from headbox.worker.process import boot_id, process_start
from headbox.worker.protocol import Ready
from headbox.worker.upkeep import Upkeep

logger = logging.getLogger(__name__)


class Enlistment:
    """Made by registering; ended by `leave`, or by `drop` where others have taken over already."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        ready: Ready | None,
        clock: Clock,
        extended: Callable[[int], None],
        previous: str | None = None,
    ) -> None:
        """`extended` is told when the lease is renewed; `previous` is the id under which this worker was superseded or
        ran out of time: what it held is lost by no fault of its runs."""
        self.id = new_id()
        self._store = store
        self._clock = clock
        if previous is not None:
            store.rescue(clock.now(), [previous], by_itself=False)
        callables = ready.callables if ready else []
        self.upkeep = Upkeep(store, settings, self.id)
        self.upkeep.rescue(clock.now())
        asked_at, now = boot_time(), clock.now()  # the lease counts from here: a rescue can take long
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
        try:
            self.watch = store.watch(self.id, settings.queues)
        except BaseException:  # or it would be alive for ever, and never work
            store.deregister(self.id, now)
            raise
        own_store = open_store(store.url, settings.finished_lifetime)
        self._heartbeat = Heartbeat(own_store, self.id, settings.lease, clock, extended)
        self._heartbeat.start(asked_at)

    @property
    def is_superseded(self) -> bool:
        """Whether others have taken over, or may have: a heartbeat found the worker's row gone, or none came through
        for a whole lease."""
        return self._heartbeat.superseded or bool(self.deadline and boot_time() > self.deadline)

    @property
    def deadline(self) -> int:
        """When the lease runs out: nanoseconds by `boot_time`; 0: there is none."""
        return self._heartbeat.deadline

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


def names(callables: list[Published]) -> tuple[str, ...]:
    """Every name and alias of callables."""
    return tuple(sorted(name for published in callables for name in (published.name, *published.aliases)))
