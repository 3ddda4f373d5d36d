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
from headbox.web.operations import Operation
from headbox.web.origin import check_same_origin
from headbox.web.permissions import Permission
from headbox.web.problems import Problem, problem_of
from headbox.web.query import check_characters, check_encoding
from headbox.web.replies import Reply, SpooledReply, json_reply, problem_reply, send_reply
from headbox.web.request import Request
from headbox.web.routes import accounts, changes, jobs, snapshots, system, tasks
from headbox.web.service import Service

# In the order in which paths are tried: exact ones before those with parameters.
CALLS: Final[tuple[Operation, ...]] = (
    *changes.OPERATIONS[:2],
    *snapshots.OPERATIONS[:1],
    *tasks.OPERATIONS,
    *changes.OPERATIONS[2:],
    *snapshots.OPERATIONS[1:],
    *jobs.OPERATIONS,
    *system.OPERATIONS,
    *accounts.OPERATIONS,
    *system.HEALTH,
)


def build(queue: TaskQueue, settings: Settings) -> Api:
    """The API of a queue as an ASGI application."""
    service = Service(queue, settings)
    return Api(service, (*CALLS, *_documentation(CALLS)))


class Api:
    """The ASGI application. `service` is what its calls share."""

    def __init__(self, service: Service, operations: Sequence[Operation]) -> None:
        self.service = service
        self._router = Router(
            _routes(service, operations), redirect_slashes=False, default=_no_path, lifespan=self._lifespan
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._router(scope, receive, send)
            return
        try:
            self.service.hosts.check(scope)
            _check_path(scope)
        except Problem as problem:
            await send_reply(send, problem_reply(problem), head=scope["method"] == "HEAD")
            return
        await self._router(scope, receive, send)

    @asynccontextmanager
    async def _lifespan(self, app: Any) -> AsyncIterator[None]:
        try:
            yield
        finally:
            self.service.close()


class Resource:
    """A path and the calls it takes. Answers 405 for every other method."""

    def __init__(self, service: Service, operations: Sequence[Operation]) -> None:
        self._service = service
        self._operations = {operation.method: operation for operation in operations}
        if "GET" in self._operations:
            self._operations["HEAD"] = self._operations["GET"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reply = await self._reply(scope, receive)
        await send_reply(send, reply, head=scope["method"] == "HEAD")

    async def _reply(self, scope: Scope, receive: Receive) -> Reply | SpooledReply:
        operation = self._operations.get(scope["method"])
        if operation is None:
            allow = ", ".join(sorted(self._operations))
            return problem_reply(Problem(405, f"this path takes {allow}", headers=[("Allow", allow)]))
        request = None
        reply: Reply | SpooledReply
        try:
            request = Request(self._service, operation, scope, receive)
            reply = await _answer(request)
            status, detail = reply.status, request.note
        except Exception as error:  # noqa: BLE001 - whatever went wrong becomes a problem document
            problem = problem_of(error)
            reply, status, detail = problem_reply(problem), problem.status, problem.detail
        if operation.is_audited and request is not None:
            await self._service.audit(request, status, detail)
        return reply


async def _answer(request: Request) -> Reply | SpooledReply:
    operation = request.operation
    if operation.is_unsafe:
        check_same_origin(request.scope)
    if operation.need != "nobody":
        request.principal = await request.service.authenticator.identify(request)
        _check_permission(request)
    _ = request.query  # what is wrong with it is said before anything is done
    reply: Reply | SpooledReply = await operation.handler(request)
    return reply


def _check_permission(request: Request) -> None:
    need, me = request.operation.need, request.principal
    if need == "super user" and not me.is_super:
        raise Problem(403, "this call is for super users")
    if isinstance(need, Permission) and not request.operation.owner_too and not me.may(need):
        raise Problem(403, f"this call takes the permission {need}; a super user can give you a role that has it")


def _routes(service: Service, operations: Sequence[Operation]) -> list[Route]:
    """One route a path, in the order in which the paths first appear."""
    paths = list(dict.fromkeys(operation.path for operation in operations))
    by_path = sorted(operations, key=lambda operation: paths.index(operation.path))
    grouped = groupby(by_path, key=lambda operation: operation.path)
    return [Route(path, Resource(service, list(calls))) for path, calls in grouped]


def _check_path(scope: Scope) -> None:
    raw = scope.get("raw_path") or b""
    if b"%" in raw:
        check_encoding(raw, "path")
        try:
            unquote_to_bytes(raw).decode()
        except UnicodeDecodeError:
            raise Problem(400, "the path is not UTF-8; encode it as UTF-8, then with percent signs") from None
        check_characters(scope["path"], "path")


async def _no_path(scope: Scope, receive: Receive, send: Send) -> None:
    problem = Problem(404, "there is no such path; the trailing slash belongs to it, and GET /docs/ lists all")
    await send_reply(send, problem_reply(problem), head=scope["method"] == "HEAD")


def _documentation(calls: Sequence[Operation]) -> tuple[Operation, ...]:
    """The calls that describe all calls, themselves included."""

    async def get_document(request: Request) -> Reply:
        return json_reply(200, document)

    async def get_page(request: Request) -> Reply:
        return Reply(200, page(), b"text/html; charset=utf-8", documentation.POLICY)

    async def get_style(request: Request) -> Reply:
        return Reply(200, style, b"text/css; charset=utf-8", documentation.POLICY)

    async def get_root(request: Request) -> Reply:
        return Reply(307, b"", b"text/plain", ((b"location", request.link("/docs/").encode()),))

    described = tuple(
        Operation(method="GET", path=path, need="nobody", summary=summary, handler=handler)
        for path, summary, handler in (
            ("/openapi.json", "This document", get_document),
            ("/docs/", "The API, to browse", get_page),
        )
    )
    document = openapi.document((*calls, *described))
    page, style = cache(lambda: documentation.page(document)), documentation.style()
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
                await _no_path(scope, receive, send)
                return
        await app(scope, receive, send)

    return prefixed
