"""Says that a worker is alive, on a thread and a connection of its own: however busy the loop is, this goes on."""

from __future__ import annotations

import logging
import threading

from headbox.clock import Clock
from headbox.domain.errors import StorageError
from headbox.domain.task import Span
from headbox.storage.store import Store

BEATS = 3  # in one lease

logger = logging.getLogger(__name__)


class Heartbeat:
    """Renews one worker's lease until it is stopped; `superseded` once the worker's row was found gone."""

    def __init__(self, store: Store, worker: str, lease: Span, clock: Clock) -> None:
        self._store = store
        self._worker = worker
        self._seconds = lease / 1e6 / BEATS
        self._clock = clock
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="headbox-heartbeat", daemon=True)
        self.superseded = False

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def _beat(self) -> None:
        while not self._stopped.wait(self._seconds):
            try:
                if not self._store.heartbeat(self._worker, self._clock.now()):
                    self.superseded = True
                    return
            except StorageError as error:
                logger.warning("heartbeat failed: %s", error)

    def stop(self) -> None:
        """Ends the thread and closes its connection."""
        self._stopped.set()
        self._thread.join()
        self._store.close()
