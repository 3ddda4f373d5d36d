"""Waiting for changes on an event loop: one watch for all that wait there, however many, since a system has few of them
to give."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary

from headbox.storage.store import Watch


class Changes:
    """The changes of one database, for any event loop. `open_watch` may block."""

    def __init__(self, open_watch: Callable[[], Watch]) -> None:
        self._open_watch = open_watch
        self._listeners: WeakKeyDictionary[asyncio.AbstractEventLoop, _Listener] = WeakKeyDictionary()

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[Callable[[], asyncio.Event]]:
        """Gives a function whose event, at each call, is the one that the next change sets."""
        listener = self._listeners.setdefault(asyncio.get_running_loop(), _Listener(self._open_watch))
        listener.waiting += 1
        try:
            await listener.start()
            yield lambda: listener.next_change
        finally:
            listener.waiting -= 1
            await listener.stop_if_idle()


class _Listener:
    """One event loop's watch, while anybody waits."""

    def __init__(self, open_watch: Callable[[], Watch]) -> None:
        self.waiting = 0
        self.next_change = asyncio.Event()
        self._open_watch = open_watch
        self._listening: asyncio.Task[None] | None = None
        self._started: asyncio.Future[None] | None = None

    async def start(self) -> None:
        """Returns once changes are heard."""
        if self._listening is None:
            self._started = asyncio.get_running_loop().create_future()
            self._listening = asyncio.create_task(self._listen(self._started))
        assert self._started is not None
        await asyncio.shield(self._started)

    async def stop_if_idle(self) -> None:
        """Closes the watch behind the last one that waited."""
        if self.waiting == 0 and self._listening is not None:
            listening, self._listening = self._listening, None
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listening

    async def _listen(self, started: asyncio.Future[None]) -> None:
        try:
            watch = await asyncio.to_thread(self._open_watch)
        except Exception as error:  # noqa: BLE001 - it is raised in each that waits
            started.set_exception(error)
            return
        readable = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(watch.fileno(), readable.set)
        try:
            started.set_result(None)
            while True:
                readable.clear()
                if watch.changed():
                    self.next_change.set()
                    self.next_change = asyncio.Event()
                await wait_for(readable, watch.pause())
        finally:
            loop.remove_reader(watch.fileno())
            watch.close()


async def wait_for(event: asyncio.Event, seconds: float) -> None:
    """Waits for an event at most so long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
