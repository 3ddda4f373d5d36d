"""What is told to those who listen (Server-Sent Events): one look at the database serves them all, and nothing is
looked at while nobody listens. Who listens too slowly is cut, not waited for."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import Executor
from functools import partial
from typing import Any, Final

import msgspec

from headbox.domain.errors import StorageError
from headbox.domain.task import Instant, Task
from headbox.storage.feed import Changes, Feed
from headbox.storage.store import Store
from headbox.task_queue.figures import show_statistics
from headbox.web.crew import shown_workers
from headbox.web.problems import Problem
from headbox.web.representations import Show, encode
from headbox.web.waiting import Waiting

PER_USER: Final = 20  # streams of one user at a time
REST: Final = 0.25  # seconds between two looks
BEAT: Final = 1.0  # seconds after which it looks though it has heard of no change
LONGEST_GAP: Final = 5.0  # seconds between two looks, after which some changes may have been missed
LINGER: Final = 15.0  # seconds that it goes on for one who has lost the connection
KEPT: Final = 2000  # events that can be told again to one who comes back
KEPT_BYTES: Final = 8 << 20
PENDING: Final = 1000  # events that may wait for one who listens slowly
PENDING_BYTES: Final = 8 << 20
FIGURES_REST: Final = 1.0  # seconds between two events of statistics, and of workers

STATISTICS: Final = "statistics"
WORKERS: Final = "workers"

_log = logging.getLogger(__name__)


class Told(msgspec.Struct, frozen=True):
    """One event on a task, or the advice to read all anew."""

    number: int
    task: Task | None
    reason: str = ""


class Listener:
    """Somebody who listens: what for, and what is still to be told."""

    def __init__(self, user: str, concerns: Callable[[Task], bool], show: Show, figures: frozenset[str]) -> None:
        self.user = user
        self.concerns = concerns
        self.show = show
        self.figures = figures  # which of statistics and workers it listens for
        self.is_slow = False
        self._pending: deque[Told] = deque()
        self._pending_bytes = 0
        self._latest: dict[str, bytes] = {}
        self._woken = asyncio.Event()

    def offer(self, told: Told) -> None:
        """Something has happened. One for whom too much waits already is cut."""
        if told.task is not None and not self.concerns(told.task):
            return
        if len(self._pending) >= PENDING or self._pending_bytes >= PENDING_BYTES:
            self.is_slow = True
            self._pending.clear()
        else:
            self._pending.append(told)
            self._pending_bytes += _size(told)
        self._woken.set()

    def offer_figures(self, name: str, data: bytes) -> None:
        """The latest figures: those before them need not be told any more."""
        if name in self.figures:
            self._latest[name] = data
            self._woken.set()

    def wake(self) -> None:
        """Something about the stream itself has changed."""
        self._woken.set()

    async def wait(self, seconds: float) -> None:
        """Until there is something to tell, at most so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()

    def take(self, prefix: str) -> bytes:
        """All that there is to tell, as Server-Sent Events (the HTML standard, section 9.2)."""
        pending, self._pending, self._pending_bytes = self._pending, deque(), 0
        latest, self._latest = self._latest, {}
        parts = [self._event(prefix, told) for told in pending]
        parts += [event(name, data) for name, data in latest.items()]
        return b"".join(parts)

    def _event(self, prefix: str, told: Told) -> bytes:
        if told.task is None:
            return event("refresh", encode({"reason": told.reason}), f"{prefix}-{told.number}")
        return event("task", encode(self.show(told.task)), f"{prefix}-{told.number}")


def event(name: str, data: bytes, id: str | None = None) -> bytes:
    """One event; JSON has no line breaks of its own."""
    head = b"" if id is None else b"id: %s\n" % id.encode()
    return b"event: %s\n%sdata: %s\n\n" % (name.encode(), head, data)


class Events:
    """Looks for those who listen, and tells them. Lives in the event loop."""

    def __init__(
        self, store: Callable[[], Store], now: Callable[[], Instant], waiting: Waiting, threads: Executor
    ) -> None:
        self._store = store
        self._now = now
        self._waiting = waiting
        self._threads = threads
        self._listeners: set[Listener] = set()
        self._by_user: Counter[str] = Counter()
        self._prefix = secrets.token_hex(4)
        self._number = 0
        self._kept: deque[Told] = deque()
        self._kept_bytes = 0
        self._figures: dict[str, tuple[Any, bytes]] = {}
        self._looking: asyncio.Task[None] | None = None
        self.is_stopped = False

    # those who listen

    def stop(self) -> None:
        """Ends every stream: the server is about to stop."""
        self.is_stopped = True
        for listener in self._listeners:
            listener.wake()
        if self._looking is not None:
            self._looking.cancel()

    async def listen(
        self,
        listener: Listener,
        last_id: str | None,
        present: Callable[[], list[Task]],
        goes_on: Callable[[], Any],
        heartbeat: float,
    ) -> AsyncGenerator[bytes, None]:
        """The stream of a listener: what it has missed since `last_id`, the `present` tasks, then what happens, for as
        long as `goes_on` gives True, which is asked at least at each heartbeat."""
        self._listeners.add(listener)
        self._by_user[listener.user] += 1
        try:
            await self._begin()
            yield b"retry: 2000\nid: %s-%d\n\n" % (self._prefix.encode(), self._number)
            self._catch_up(listener, last_id)
            for task in await self._run(present):
                listener.offer(Told(self._number, task))
            for name in listener.figures:
                _, data = await self._run(partial(FIGURES[name], self._store(), self._now()))
                listener.offer_figures(name, data)
            while not (self.is_stopped or listener.is_slow) and await goes_on():
                yield listener.take(self._prefix) or b": heartbeat\n\n"
                await listener.wait(heartbeat)
        finally:
            self._listeners.discard(listener)
            self._by_user -= Counter([listener.user])

    def admit(self, user: str) -> None:
        """Problem 429 where the user has too many streams for another one."""
        if self._by_user[user] >= PER_USER:
            raise Problem(
                429, f"this user has {PER_USER} streams already; end some first", headers=[("Retry-After", "5")]
            )

    def _catch_up(self, listener: Listener, last_id: str | None) -> None:
        if last_id is None:
            return
        prefix, _, number = last_id.partition("-")
        first = self._kept[0].number if self._kept else self._number + 1
        if prefix == self._prefix and number.isdecimal() and first <= int(number) + 1 <= self._number + 1:
            for told in [told for told in self._kept if told.number > int(number)]:
                listener.offer(told)
        else:
            listener.offer(Told(self._number, None, "what has happened since Last-Event-ID is not known any more"))

    # looking

    async def _begin(self) -> None:
        """Makes sure that somebody looks, and has begun to: from then on nothing is missed."""
        if self._looking is None or self._looking.done():
            self._kept.clear()
            self._kept_bytes = 0
            self._prefix = secrets.token_hex(4)
            self._figures.clear()
            feed = self._store().feed()
            await self._run(partial(feed.look, self._now()))
            if self._looking is None or self._looking.done():  # nobody else was first meanwhile
                self._looking = asyncio.ensure_future(self._look(feed))

    async def _run(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def _look(self, feed: Feed) -> None:
        """Looks at each change until nobody has listened for a while."""
        looked_at = heard_at = told_at = time.monotonic()
        async for _ in self._waiting.ticks(rest=REST, beat=BEAT):
            now = time.monotonic()
            if self._listeners:
                heard_at = now
            elif now - heard_at > LINGER:
                return
            if now - looked_at > LONGEST_GAP:
                feed = self._store().feed()
                self._tell(None, "the database was away, and some changes may have been missed")
            try:
                changes: Changes = await self._run(partial(feed.look, self._now()))
                looked_at = time.monotonic()
                self._tell_of(changes)
                if now - told_at >= FIGURES_REST:
                    told_at = now
                    await self._tell_figures()
            except StorageError as error:
                _log.warning("cannot look for what has changed: %s", error)

    def _tell_of(self, changes: Changes) -> None:
        for task in changes.tasks:
            self._tell(task)
        if not changes.is_whole:
            self._tell(None, "more has changed than is told one by one")

    def _tell(self, task: Task | None, reason: str = "") -> None:
        self._number += 1
        told = Told(self._number, task, reason)
        self._kept.append(told)
        self._kept_bytes += _size(told)
        while len(self._kept) > KEPT or self._kept_bytes > KEPT_BYTES:
            self._kept_bytes -= _size(self._kept.popleft())
        for listener in self._listeners:
            listener.offer(told)

    async def _tell_figures(self) -> None:
        wanted = {name for listener in self._listeners for name in listener.figures}
        for name in wanted:
            sign, data = await self._run(partial(FIGURES[name], self._store(), self._now()))
            if name not in self._figures or self._figures[name][0] != sign:
                self._figures[name] = sign, data
                for listener in self._listeners:
                    listener.offer_figures(name, data)


def _size(told: Told) -> int:
    task = told.task
    if task is None:
        return 100
    parts = (task.args, task.kwargs, task.result, task.public_args, task.public_kwargs, task.public_result)
    return 1000 + sum(len(part) for part in (*parts, task.progress, task.exception, task.traceback) if part)


def _statistics(store: Store, now: Instant) -> tuple[Any, bytes]:
    """The statistics without what was told before, and what they are the same by."""
    statistics = store.statistics(now)
    brief = msgspec.structs.replace(statistics, minutes=statistics.minutes[-2:], days=statistics.days[-1:])
    sign = (brief.states, brief.total, [(queue.name, queue.suspend_time) for queue in brief.queues], brief.second)
    return (sign, brief.oldest_ready is not None and now // 1_000_000), encode(show_statistics(brief))


def _workers(store: Store, now: Instant) -> tuple[Any, bytes]:
    workers = shown_workers(store)
    still = [msgspec.structs.replace(worker, heartbeat_time=worker.start_time) for worker in workers]
    return (still, now // 5_000_000), encode(workers)


FIGURES: Final[Mapping[str, Callable[[Store, Instant], tuple[Any, bytes]]]] = {
    STATISTICS: _statistics,
    WORKERS: _workers,
}
