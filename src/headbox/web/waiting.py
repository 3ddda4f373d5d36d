"""How calls wait for a task: one watch of the database, read by the event loop, wakes all who wait. Nothing polls."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from headbox.domain.errors import StorageError
from headbox.storage.store import Watch
from headbox.web.problems import Problem

PER_USER: Final = 100  # calls of one user that may wait at a time
REST: Final = 0.010  # seconds between wake-ups, so that many who wait cannot take the loop for themselves

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Waiting:
    """Calls that wait until something in the database is as they want it."""

    def __init__(self, open_watch: Callable[[], Watch]) -> None:
        self._open_watch = open_watch
        self._by_user: Counter[str] = Counter()
        self._watch: _Watcher | None = None
        self._stopped = False

    async def until(
        self,
        user: str,
        look: Callable[[], Awaitable[T | None]],
        seconds: float,
        leaving: Callable[[], Coroutine[Any, Any, None]],
    ) -> T | None:
        """What `look` gives once it is not None, or None after so many seconds; 429 where the user waits too often.

        `leaving` ends when the client has hung up: nobody waits then.
        """
        with self._counted(user), self._watching() as watcher:
            gone = asyncio.ensure_future(leaving())
            try:
                return await self._until(watcher, look, watcher.loop.time() + seconds, gone)
            finally:
                gone.cancel()

    async def changes(
        self, user: str, leaving: Callable[[], Coroutine[Any, Any, None]], *, rest: float, beat: float
    ) -> AsyncGenerator[float, None]:
        """Since when, by the loop's clock, what was looked up is out of date: one at once, then one after each change
        of the database, but at most once in `rest` seconds, and after `beat` seconds without one. Ends when the client
        has hung up or the server stops."""
        with self._counted(user), self._watching() as watcher:
            gone = asyncio.ensure_future(leaving())
            try:
                since = watcher.loop.time()
                while not self._stopped and not gone.done():
                    changed = watcher.changed
                    yield since
                    await asyncio.wait({gone}, timeout=rest)
                    await asyncio.wait({changed, gone}, timeout=beat - rest, return_when=asyncio.FIRST_COMPLETED)
                    since = watcher.changed_time if changed.done() else watcher.loop.time() - rest / 2
            finally:
                gone.cancel()

    async def ticks(self, *, rest: float, beat: float) -> AsyncGenerator[None, None]:
        """One at once, then one after each change of the database, but at most once in `rest` seconds and at least once
        in `beat`. Ends when the server stops. For one who looks on behalf of all."""
        with self._watching() as watcher:
            while not self._stopped:
                changed = watcher.changed
                yield
                await asyncio.sleep(rest)
                await asyncio.wait({changed}, timeout=beat - rest)

    async def _until(
        self, watcher: _Watcher, look: Callable[[], Awaitable[T | None]], end: float, gone: asyncio.Future[None]
    ) -> T | None:
        while True:
            changed = watcher.changed  # before looking, so that no change falls between the two
            found = await look()
            left = end - watcher.loop.time()
            if found is not None or left <= 0 or self._stopped or gone.done():
                return found
            await asyncio.wait({changed, gone}, timeout=left, return_when=asyncio.FIRST_COMPLETED)

    def stop(self) -> None:
        """Lets all who wait answer at once with what there is: the server is about to stop."""
        self._stopped = True
        if self._watch is not None:
            self._watch.wake()

    @contextmanager
    def _counted(self, user: str) -> Iterator[None]:
        if self._by_user[user] >= PER_USER:
            raise Problem(
                429, f"this user has {PER_USER} calls waiting already; end some first", headers=[("Retry-After", "1")]
            )
        self._by_user[user] += 1
        try:
            yield
        finally:
            self._by_user[user] -= 1
            if not self._by_user[user]:
                del self._by_user[user]

    @contextmanager
    def _watching(self) -> Iterator[_Watcher]:
        """The one watcher; it lives for as long as somebody waits."""
        if self._watch is None:
            self._watch = _Watcher(self._open_watch())
        watcher = self._watch
        watcher.users += 1
        try:
            yield watcher
        finally:
            watcher.users -= 1
            if not watcher.users:
                self._close(watcher)

    def _close(self, watcher: _Watcher) -> None:
        watcher.close()
        self._watch = None


class _Watcher:
    """A watch in the event loop. The future `changed` is done, and replaced by a new one, at each change, whose instant
    by the loop's clock is `changed_time`."""

    def __init__(self, watch: Watch) -> None:
        self.loop = asyncio.get_running_loop()
        self.changed: asyncio.Future[None] = self.loop.create_future()
        self.changed_time = self.loop.time()
        self.users = 0
        self._watch = watch
        self._rests_until = 0.0
        self._is_to_wake = False
        self._next_look: asyncio.TimerHandle | None = None
        self.loop.add_reader(watch.fileno(), self._look)
        self._look_later()

    def wake(self) -> None:
        """Wakes all who wait for a change."""
        self.changed_time = self.loop.time()
        self._rests_until = self.changed_time + REST
        self._is_to_wake = False
        self.changed.set_result(None)
        self.changed = self.loop.create_future()

    def close(self) -> None:
        """Ends the watch."""
        self.loop.remove_reader(self._watch.fileno())
        if self._next_look is not None:
            self._next_look.cancel()
        self._watch.close()

    def _look(self) -> None:
        try:
            is_changed = self._watch.changed()
        except StorageError as error:
            _log.warning("cannot look for changes: %s", error)
            is_changed = True  # whoever waits finds out for itself
        if is_changed and not self._is_to_wake:
            self._is_to_wake = True
            self.loop.call_at(self._rests_until, self.wake)  # at once, unless it rests
        self._look_later()

    def _look_later(self) -> None:
        if self._next_look is not None:
            self._next_look.cancel()
        self._next_look = self.loop.call_later(self._watch.pause(), self._look)
