"""Says that a worker is alive, on a thread and a connection of its own: however busy the loop is, this goes on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from headbox.clock import Clock, SharedClock, boot_time
from headbox.domain.errors import StorageError
from headbox.domain.task import Span
from headbox.storage.store import Store

BEATS = 3  # in one lease

logger = logging.getLogger(__name__)


class Heartbeat:
    """Renews one worker's lease until it is stopped; `superseded` once the worker's row was found gone.

    `deadline` is when the lease runs out (nanoseconds by `boot_time`; 0: there is none), counted from before it was
    asked for: nobody else can take the lease to have ended earlier. `extended` is told each new one.
    """

    def __init__(self, store: Store, worker: str, lease: Span, clock: Clock, extended: Callable[[int], None]) -> None:
        self._store = store
        self._worker = worker
        self._lease = lease if store.has_leases else None
        self._seconds = lease / 1e6 / BEATS
        self._clock = clock
        self._extended = extended
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="headbox-heartbeat", daemon=True)
        self.superseded = False
        self.deadline = 0

    def start(self, asked_at: int) -> None:
        """Starts the thread. `asked_at`: from before the worker was registered."""
        self._extend(asked_at)
        self._thread.start()

    def _extend(self, asked_at: int) -> None:
        if self._lease is not None:
            self.deadline = asked_at + self._lease * 1000
            self._extended(self.deadline)

    def _beat(self) -> None:
        while not self._stopped.wait(self._seconds):
            asked_at = boot_time()
            try:
                time = self._store.heartbeat(self._worker, self._clock.now())
            except StorageError as error:
                logger.warning("heartbeat failed: %s", error)
                continue
            if time is None:
                self.superseded = True
                return
            self._extend(asked_at)
            if isinstance(self._clock, SharedClock):
                self._clock.learn(time, asked_at)

    def stop(self) -> None:
        """Ends the thread and closes its connection."""
        self._stopped.set()
        self._thread.join()
        self._store.close()
