"""How pages stay up to date: a stream for each viewer, on which the parts of its page that have changed are sent anew,
at most once a second. Viewers with the same rights who look at the same page share one rendering."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, Final

from headbox.domain.errors import StorageError
from headbox.web.permissions import Permission
from headbox.web.problems import Problem, problem_of
from headbox.web.replies import StreamReply
from headbox.web.request import Request
from headbox.web.ui import session

REST: Final = 1.0  # seconds between two renderings
BEAT: Final = 5.0  # seconds after which a page is rendered anew though nothing was written: time has passed
SHARE: Final = 9  # a page is rendered for at most a tenth of the time, however many look at it and however much changes
RECHECK: Final = 60.0  # seconds after which it is looked again whether the viewer may still see this
RETRY: Final = 2000  # milliseconds after which a browser connects again

SIGNED_OUT: Final = "signed-out"
TROUBLE: Final = "trouble"
ALIVE: Final = b": alive\n\n"

Fragments = Mapping[str, str]


def wants_events(request: Request) -> bool:
    """Whether the page is asked for as a stream: both have the same address."""
    return b"text/event-stream" in (request.header(b"accept") or b"")


def event(name: str, data: str = "") -> bytes:
    """A Server-Sent Event (the HTML standard, section 9.2)."""
    lines = "".join(f"data: {line}\n" for line in data.splitlines() or [""])
    return f"event: {name}\n{lines}\n".encode()


async def single_event(name: str) -> AsyncGenerator[bytes, None]:
    """A stream of one event."""
    yield event(name)


class Rendering:
    """One rendering of a page's fragments, when it began, and when there may be another."""

    def __init__(self, render: Callable[[], Awaitable[Fragments]]) -> None:
        self._loop = asyncio.get_running_loop()
        self.began = self._loop.time()
        self._rests_until = float("inf")
        self.task = asyncio.ensure_future(self._run(render))

    async def rest(self) -> None:
        """Waits until there may be another: what takes long is done the more rarely."""
        await asyncio.wait({self.task})
        await asyncio.sleep(self._rests_until - self._loop.time())

    def is_old(self) -> bool:
        """Whether nobody looks at it any more."""
        return self._loop.time() > self._rests_until + 2 * BEAT

    async def _run(self, render: Callable[[], Awaitable[Fragments]]) -> Fragments:
        try:
            return await render()
        finally:
            now = self._loop.time()
            self._rests_until = now + max(REST / 2, SHARE * (now - self.began))


class Renderings:
    """The fragments of pages as they were rendered last, shared among those who look at the same."""

    def __init__(self) -> None:
        self._latest: dict[Any, Rendering] = {}

    async def get(self, key: Any, render: Callable[[], Awaitable[Fragments]], since: float) -> Fragments:
        """What `render` gives, or gave somebody else who began after `since`, an instant of the loop."""
        while (latest := self._latest.get(key)) is not None and latest.began < since:
            await latest.rest()
            if self._latest.get(key) is latest:
                del self._latest[key]
        if latest is None:
            self._latest = {each: rendering for each, rendering in self._latest.items() if not rendering.is_old()}
            latest = self._latest[key] = Rendering(render)
        return await asyncio.shield(latest.task)


def stream(request: Request, renderings: Renderings, render: Callable[[], Awaitable[Fragments]]) -> StreamReply:
    """The page's fragments as events, each when it differs from what was sent before."""
    return StreamReply(_events(request, renderings, render))


async def _events(
    request: Request, renderings: Renderings, render: Callable[[], Awaitable[Fragments]]
) -> AsyncGenerator[bytes, None]:
    yield f"retry: {RETRY}\n\n".encode()
    sent: dict[str, str] = {}
    changes = request.service.waiting.changes(request.principal.name, request.leaving, rest=REST, beat=BEAT)
    welcome_until = time.monotonic() + RECHECK
    try:
        async with aclosing(changes):
            async for since in changes:
                if time.monotonic() > welcome_until:
                    if not await _is_still_welcome(request):
                        yield event(SIGNED_OUT)
                        return
                    welcome_until = time.monotonic() + RECHECK
                fragments = await _look(request, renderings, render, since)
                changed = {name: html for name, html in fragments.items() if sent.get(name) != html}
                sent |= changed
                yield b"".join(event(name, html) for name, html in changed.items()) or ALIVE
    except Problem as problem:  # this user has too many streams already
        yield event(TROUBLE, problem.detail)


async def _look(
    request: Request, renderings: Renderings, render: Callable[[], Awaitable[Fragments]], since: float
) -> Fragments:
    """The fragments as they were after `since`, or what keeps them from being shown: it may pass."""
    me = request.principal
    sees_and_may_change_any = me.may(Permission.READ) and me.may(Permission.UPDATE)
    key = (request.asked, me.permissions, me.is_super, None if sees_and_may_change_any else me.name)
    try:
        return {TROUBLE: "", **await renderings.get(key, render, since)}
    except Exception as error:  # noqa: BLE001 - whatever it is, the page says so
        return {TROUBLE: problem_of(error).detail}


async def _is_still_welcome(request: Request) -> bool:
    try:
        visit = await session.recognise(request)
    except StorageError:
        return True  # it is not known; what the viewer sees needs the database too
    return visit is not None and visit.principal == request.principal
