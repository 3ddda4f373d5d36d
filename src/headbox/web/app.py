"""Puts the API together: the route table becomes Starlette routes, and a gate before them turns away what no call may
be. Pure ASGI, so that it mounts in any other ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from itertools import groupby
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from headbox.config import Settings
from headbox.task_queue.queue import TaskQueue
from headbox.web import documentation, openapi
from headbox.web.doors import ApiDoor, Door
from headbox.web.operations import Operation
from headbox.web.problems import Problem, problem_of
from headbox.web.query import check_characters, check_encoding
from headbox.web.replies import Reply, SpooledReply, StreamReply, json_reply, problem_reply, send_reply
from headbox.web.request import Request
from headbox.web.routes import accounts, changes, events, jobs, queues, selections, snapshots, statistics, system, tasks
from headbox.web.service import Service
from headbox.web.ui.assets import Assets
from headbox.web.ui.dashboard import Dashboard

AnyReply = Reply | SpooledReply | StreamReply

# In the order in which paths are tried: exact ones before those with parameters.
CALLS: Final[tuple[Operation, ...]] = (
    *changes.OPERATIONS[:1],
    *selections.OPERATIONS,
    *events.OPERATIONS,
    *snapshots.OPERATIONS[:1],
    *tasks.OPERATIONS,
    *changes.OPERATIONS[1:],
    *snapshots.OPERATIONS[1:],
    *jobs.OPERATIONS,
    *system.OPERATIONS,
    *statistics.OPERATIONS,
    *queues.OPERATIONS,
    *accounts.OPERATIONS,
    *system.HEALTH,
)


def build(queue: TaskQueue, settings: Settings, assets: Assets | None = None) -> Api:
    """The API and the dashboard of a queue as an ASGI application; `assets` are those it came with unless given."""
    service = Service(queue, settings)
    return Api(service, (*CALLS, *_documentation(CALLS)), Dashboard(assets or Assets()))


class Api:
    """The ASGI application. `service` is what its calls share."""

    def __init__(self, service: Service, operations: Sequence[Operation], dashboard: Dashboard) -> None:
        self.service = service
        self._dashboard = dashboard
        self._api = ApiDoor()
        routes = [*_routes(service, operations, self._api), *_routes(service, dashboard.operations, dashboard.door)]
        self._router = Router(routes, redirect_slashes=False, default=self._no_path, lifespan=self._lifespan)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._router(scope, receive, send)
            return
        try:
            self.service.hosts.check(scope)
            _check_path(scope)
        except Problem as problem:
            await self._refuse(problem, scope, send)
            return
        await self._router(scope, receive, send)

    async def _no_path(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._refuse(_unknown_path(), scope, send)

    async def _refuse(self, problem: Problem, scope: Scope, send: Send) -> None:
        door: Door = self._dashboard.door if self._dashboard.has(scope) else self._api
        await send_reply(send, door.refuse(problem, scope, None), head=scope["method"] == "HEAD")

    @asynccontextmanager
    async def _lifespan(self, app: Any) -> AsyncIterator[None]:
        try:
            yield
        finally:
            self.service.close()


class Resource:
    """A path and the calls it takes. Answers 405 for every other method."""

    def __init__(self, service: Service, operations: Sequence[Operation], door: Door) -> None:
        self._service = service
        self._door = door
        self._operations = {operation.method: operation for operation in operations}
        if "GET" in self._operations:
            self._operations["HEAD"] = self._operations["GET"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reply = await self._reply(scope, receive)
        await send_reply(send, reply, head=scope["method"] == "HEAD", extensions=scope.get("extensions"))

    async def _reply(self, scope: Scope, receive: Receive) -> AnyReply:
        operation = self._operations.get(scope["method"])
        if operation is None:
            allow = ", ".join(sorted(self._operations))
            return self._door.refuse(Problem(405, f"this path takes {allow}", headers=[("Allow", allow)]), scope, None)
        request = None
        reply: AnyReply
        try:
            if operation.opens:
                await self._service.open()
            request = Request(self._service, operation, scope, receive)
            reply = await self._answer(request)
            status, detail = reply.status, request.note
        except Exception as error:  # noqa: BLE001 - whatever went wrong becomes a problem document
            problem = problem_of(error)
            reply, status, detail = self._door.refuse(problem, scope, request), problem.status, problem.detail
        if operation.is_audited and request is not None:
            await self._service.audit(request, status, detail)
        return reply

    async def _answer(self, request: Request) -> AnyReply:
        await self._door.admit(request)
        _ = request.query  # what is wrong with it is said before anything is done
        reply: AnyReply = await request.operation.handler(request)
        return reply


def _routes(service: Service, operations: Sequence[Operation], door: Door) -> list[Route]:
    """One route a path, in the order in which the paths first appear."""
    paths = list(dict.fromkeys(operation.path for operation in operations))
    by_path = sorted(operations, key=lambda operation: paths.index(operation.path))
    grouped = groupby(by_path, key=lambda operation: operation.path)
    return [Route(path, Resource(service, list(calls), door)) for path, calls in grouped]


def _check_path(scope: Scope) -> None:
    raw = scope.get("raw_path") or b""
    if b"%" in raw:
        check_encoding(raw, "path")
        try:
            unquote_to_bytes(raw).decode()
        except UnicodeDecodeError:
            raise Problem(400, "the path is not UTF-8; encode it as UTF-8, then with percent signs") from None
        check_characters(scope["path"], "path")


def _unknown_path() -> Problem:
    return Problem(404, "there is no such path; the trailing slash belongs to it, and GET /docs/ lists all")


def _documentation(calls: Sequence[Operation]) -> tuple[Operation, ...]:
    """The calls that describe all calls, themselves included."""

    async def get_document(request: Request) -> Reply:
        return json_reply(200, document())

    async def get_page(request: Request) -> Reply:
        return Reply(200, page(), b"text/html; charset=utf-8", documentation.POLICY)

    async def get_style(request: Request) -> Reply:
        return Reply(200, style, b"text/css; charset=utf-8", documentation.POLICY)

    async def get_root(request: Request) -> Reply:
        return Reply(307, b"", b"text/plain", ((b"location", request.link("/ui/").encode()),))

    described = tuple(
        Operation(method="GET", path=path, need="nobody", summary=summary, handler=handler)
        for path, summary, handler in (
            ("/openapi.json", "This document", get_document),
            ("/docs/", "The API, to browse", get_page),
        )
    )
    document = cache(lambda: openapi.document((*calls, *described)))
    page, style = cache(lambda: documentation.page(document())), documentation.style()
    hidden = tuple(
        Operation(method="GET", path=path, need="nobody", summary="", handler=handler)
        for path, handler in (("/docs/docs.css", get_style), ("/", get_root))
    )
    return described + hidden


def with_health_at_root(app: Api, prefix: str) -> ASGIApp:
    """The API under a prefix, its health probes at the root as well."""
    probes = {operation.path for operation in system.HEALTH}

    async def prefixed(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in probes:
            root = prefix + "/" if scope["path"] == "/" else scope["path"]
            scope = {**scope, "root_path": prefix, "path": root}
            if not root.startswith(f"{prefix}/"):
                await send_reply(send, problem_reply(_unknown_path()), head=scope["method"] == "HEAD")
                return
        await app(scope, receive, send)

    return prefixed
