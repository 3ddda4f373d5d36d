"""One call under way: what was asked, by whom, and how its handler reaches the store without blocking the others."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar
from urllib.parse import quote

from starlette.types import Receive, Scope

from headbox.domain.errors import OutcomeUnknown, StorageUnavailable
from headbox.domain.task import Instant
from headbox.storage.lookups import Lookup
from headbox.storage.store import Store
from headbox.web.problems import Problem
from headbox.web.query import Query, parse_form, parse_query

if TYPE_CHECKING:
    from headbox.web.operations import Operation
    from headbox.web.permissions import Principal
    from headbox.web.service import Service
    from headbox.web.ui.session import Visit

MAX_BODY: Final = 1024 * 1024
BODY_TIME: Final = 30.0  # seconds that a body may take to arrive
RETRY_TIME: Final = 5.0  # seconds that a call is retried while the database is away
FIRST_PAUSE: Final = 0.05

P = ParamSpec("P")
R = TypeVar("R")


class Request:
    """One call. `path` has the path's parameters, `principal` the caller once it is known; `note` is what the audit log
    is to keep of what was done. `visit` is the browser's session, at the dashboard alone."""

    __slots__ = (
        "_deadline",
        "_form",
        "_query",
        "_receive",
        "note",
        "operation",
        "path",
        "principal",
        "scope",
        "service",
        "visit",
    )

    principal: Principal

    def __init__(self, service: Service, operation: Operation, scope: Scope, receive: Receive) -> None:
        self.service = service
        self.operation = operation
        self.scope = scope
        self.path: dict[str, str] = scope["path_params"]
        self.note: str | None = None
        self.visit: Visit | None = None
        self._form: Query | None = None
        self._receive = receive
        self._query: Query | None = None
        self._deadline: float | None = None

    @property
    def store(self) -> Store:
        """Where the tasks are; the service has opened it before."""
        return self.service.queue.store

    @property
    def now(self) -> Instant:
        """The instant by the queue's clock."""
        now: Instant = self.service.queue.clock.now()
        return now

    @property
    def query(self) -> Query:
        """The query, checked against the operation's parameters."""
        if self._query is None:
            self._query = parse_query(self.scope["query_string"], self.operation.parameters)
        return self._query

    @property
    def asked(self) -> str:
        """The path with its query."""
        query = self.scope["query_string"].decode("latin-1")
        return f"{self.scope['path']}?{query}" if query else str(self.scope["path"])

    @property
    def route(self) -> str:
        """The path without what this application is mounted under."""
        return str(self.scope["path"]).removeprefix(self.scope.get("root_path", ""))

    @property
    def address(self) -> str | None:
        """Where the call comes from."""
        client = self.scope.get("client")
        return client[0] if client else None

    def header(self, name: bytes) -> bytes | None:
        """The value of a header; 400 where it is given twice."""
        values = [value for key, value in self.scope["headers"] if key == name]
        if len(values) > 1:
            raise Problem(400, f"the header {name.decode()} is there {len(values)} times; give it once")
        return values[0] if values else None

    def link(self, path: str) -> str:
        """The path as a client reaches it, under whatever this application is mounted."""
        return quote(self.scope.get("root_path", "")) + path

    async def read(self, verb: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What a single-row reading gives; on the event loop, unless it has to wait for a network: for such short ones
        a thread costs more than it saves."""
        if self.store.is_remote:
            return await self.call(verb, *args, **kwargs)
        try:
            return verb(*args, **kwargs)
        except StorageUnavailable:
            return await self.call(verb, *args, **kwargs)

    async def look_up(self, lookup: Lookup[R]) -> R:
        """What a lookup gives, on the event loop, so that no thread has to be woken for the answer and this one again;
        where that cannot be, in a thread, where it can be waited for."""
        begun = time.monotonic()
        async with self.service.lookups:
            try:
                return await self.store.look_up_on_loop(lookup)
            except StorageUnavailable:
                if time.monotonic() - begun > RETRY_TIME:
                    raise
        return await self.call(self.store.look_up, lookup)

    async def call(self, verb: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What the verb gives, in a thread; while the database is away it is retried where that is safe, as often as
        the call has time for an attempt like the last: a store may have waited by itself."""
        pause = FIRST_PAUSE
        while True:
            begun = time.monotonic()
            try:
                return await self.run(verb, *args, **kwargs)
            except OutcomeUnknown:
                raise
            except StorageUnavailable:
                self._deadline = self._deadline or begun + RETRY_TIME
                now = time.monotonic()
                if now + pause + (now - begun) > self._deadline:
                    raise
                await asyncio.sleep(pause)
                pause = min(2 * pause, 1.0)

    async def run(self, verb: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What the verb gives, in a thread, tried once."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.service.threads, partial(verb, *args, **kwargs))

    async def body(self) -> bytes:
        """The body, of at most 1 MiB. A body, where there is one, is JSON."""
        body = await self._receive_in_time()
        if body:
            self._check_content_type()
        return body

    async def form(self) -> Query:
        """The fields of a form that a browser sends, each with its values."""
        if self._form is None:
            content_type = (self.header(b"content-type") or b"").partition(b";")[0].strip().lower()
            if content_type != b"application/x-www-form-urlencoded":
                raise Problem(415, "this takes what a form of the dashboard sends; programs call the API instead")
            self._form = parse_form(await self._receive_in_time())
        return self._form

    async def leaving(self) -> None:
        """Ends when the client has hung up; only for a call whose body is not asked for."""
        message: Any = None
        while message is None or message["type"] != "http.disconnect":
            message = await self._receive()

    async def _receive_in_time(self) -> bytes:
        try:
            async with asyncio.timeout(BODY_TIME):
                return await self._receive_body()
        except TimeoutError:
            raise Problem(408, f"the body did not arrive within {BODY_TIME:.0f} s; send it at once") from None

    async def _receive_body(self) -> bytes:
        length = self.header(b"content-length")
        if length is not None and not length.isdigit():
            raise Problem(400, "the Content-Length is no whole number; leave it to your HTTP library")
        if length is not None and int(length) > MAX_BODY:
            raise _too_large()
        parts: list[bytes] = []
        size = 0
        while True:
            message: Any = await self._receive()
            if message["type"] == "http.disconnect":
                raise Problem(400, "the connection ended before the body did")
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > MAX_BODY:
                raise _too_large()
            if not message.get("more_body", False):
                return b"".join(parts)

    def _check_content_type(self) -> None:
        content_type = (self.header(b"content-type") or b"").decode("latin-1").lower()
        if not re.fullmatch(r'application/json\s*(;\s*charset\s*=\s*"?utf-?8"?\s*)?', content_type):
            raise Problem(415, "the body must be JSON; send Content-Type: application/json")
        if self.header(b"content-encoding") not in (None, b"identity"):
            raise Problem(
                415, "the body must not be compressed; send it as it is", headers=[("Accept-Encoding", "identity")]
            )


def _too_large() -> Problem:
    return Problem(413, f"the body is larger than {MAX_BODY:,} bytes; keep the data elsewhere and pass where it is")
