"""What stands before every call: it lets the caller in, or turns it away. The API has this door; the dashboard, whose
callers are people with a browser, has another (ui/door.py)."""

from __future__ import annotations

from typing import Protocol

from starlette.types import Scope

from headbox.web.origin import check_same_origin
from headbox.web.permissions import Permission
from headbox.web.problems import Problem
from headbox.web.replies import Reply, StreamReply, problem_reply
from headbox.web.request import Request


class Door(Protocol):
    """One for the API, one for the dashboard."""

    async def admit(self, request: Request) -> None:
        """Makes out who is calling, and sets `request.principal`; Problem for who may not make this call."""
        ...

    def refuse(self, problem: Problem, scope: Scope, request: Request | None) -> Reply | StreamReply:
        """The problem as an answer; without a request where it came to none."""
        ...


class ApiDoor:
    """Callers prove who they are with each call, by HTTP Basic or a token; problems are JSON (RFC 9457)."""

    async def admit(self, request: Request) -> None:
        if request.operation.is_unsafe:
            check_same_origin(request.scope)
        if request.operation.need != "nobody":
            request.principal = await request.service.authenticator.identify(request)
            check_permission(request)

    def refuse(self, problem: Problem, scope: Scope, request: Request | None) -> Reply | StreamReply:
        return problem_reply(problem)


def check_permission(request: Request) -> None:
    """Raises 403 where the call asks for more than the caller has."""
    need, me = request.operation.need, request.principal
    if need == "super user" and not me.is_super:
        raise Problem(403, "this call is for super users")
    if isinstance(need, Permission) and not request.operation.owner_too and not me.may(need):
        raise Problem(403, f"this call takes the permission {need}; a super user can give you a role that has it")
