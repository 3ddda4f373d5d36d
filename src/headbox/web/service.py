"""What all calls share: the queue, the threads that talk to its store, who is asking, who waits, what is audited."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from headbox.config import Settings
from headbox.domain.errors import StorageError
from headbox.domain.iso8601 import format_instant
from headbox.storage.records import Event
from headbox.task_queue.queue import TaskQueue
from headbox.web.auth import Authenticator
from headbox.web.events import Events
from headbox.web.origin import Hosts
from headbox.web.request import Request
from headbox.web.waiting import Waiting

THREADS: Final = 32  # most wait for a commit that they share
LOOKUPS: Final = 8  # at a time: connections are left for what takes longer
SPOOLS: Final = 4  # long lists that are read at a time
DETAIL: Final = 500  # characters of an audited event's detail

_log = logging.getLogger(__name__)


class Service:
    """The shared parts. Nothing is opened before first use."""

    def __init__(self, queue: TaskQueue, settings: Settings) -> None:
        self.queue = queue
        self.settings = settings
        self.threads = ThreadPoolExecutor(THREADS, "headbox-api")
        self._is_open = False
        self._opening: asyncio.Future[None] | None = None
        self.lookups = asyncio.Semaphore(LOOKUPS)
        self.spools = asyncio.Semaphore(SPOOLS)
        self.hosts = Hosts((settings.host, *settings.allowed_hosts))
        self.authenticator = Authenticator()
        self.waiting = Waiting(lambda: queue.store.watch())
        self.events = Events(lambda: queue.store, lambda: queue.clock.now(), self.waiting, self.threads)

    async def open(self) -> None:
        """Opens the database at the first call, in a thread, on which all wait that come meanwhile: it may take long,
        and the event loop may be another application's. What has failed is tried again by the next call."""
        if not self._is_open:
            if self._opening is None:
                self._opening = asyncio.get_running_loop().run_in_executor(self.threads, self._open)
                self._opening.add_done_callback(self._forget_opening)
            await asyncio.shield(self._opening)

    def _open(self) -> None:
        self.queue.store  # noqa: B018 - the property does it
        self.queue.clock.now()
        self._is_open = True

    def _forget_opening(self, opening: asyncio.Future[None]) -> None:
        self._opening = None
        if not opening.cancelled():
            opening.exception()  # whoever asked has been told; or nobody is there any more

    async def audit(self, request: Request, status: int, detail: str | None) -> None:
        """Records the call before it is answered. What cannot be recorded is logged; so is a call of nobody known, or
        else whoever reaches the port could fill the database."""
        principal = getattr(request, "principal", None)
        event = Event(
            time=request.now,
            user=principal.name if principal is not None else None,
            address=request.address,
            method=request.scope["method"],
            path=request.asked[:DETAIL],
            status=status,
            detail=detail[:DETAIL] if detail else None,
        )
        if principal is None:
            _log.warning("refused: %s", sentence(event))
            return
        try:
            if status == 503:
                raise StorageError("the database was away during the call itself")
            await request.call(request.store.record, event)
        except StorageError as error:
            _log.error("an event could not be recorded (%s): %s", error, sentence(event))

    def stop_waiting(self) -> None:
        """Lets all who wait or listen go: the server is about to stop."""
        self.events.stop()
        self.waiting.stop()

    def close(self) -> None:
        """Ends the threads and lets all who wait go."""
        self.stop_waiting()
        self.threads.shutdown(wait=False, cancel_futures=True)
        self.authenticator.passwords.close()


def sentence(event: Event) -> str:
    """The event for the log, in one line: what comes from a client is escaped where it is not plain text."""
    caller = f"{event.user or 'nobody known'} at {event.address or 'an unknown address'}"
    text = f"{event.method} {event.path} by {caller}, {format_instant(event.time)}: {event.status}"
    return ascii(f"{text}, {event.detail}" if event.detail else text)[1:-1]
