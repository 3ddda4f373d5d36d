"""What stands before the dashboard: the session's cookie says who is calling, each form proves that it is ours, and
whoever is turned away sees a page, or the login."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, urlencode

from starlette.types import Scope

from headbox.web.doors import check_permission
from headbox.web.origin import check_same_origin
from headbox.web.problems import Problem
from headbox.web.replies import Reply, StreamReply
from headbox.web.request import Request
from headbox.web.ui import session
from headbox.web.ui.layout import Layout
from headbox.web.ui.live import SIGNED_OUT, single_event, wants_events

ROOT: Final = "/ui/"
LOGIN: Final = "/ui/login/"


class NotLoggedIn(Problem):
    """Nobody is known by this browser's cookie."""

    def __init__(self) -> None:
        super().__init__(401, "log in first")


class DashboardDoor:
    """Lets in who has a session."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    async def admit(self, request: Request) -> None:
        if request.operation.is_unsafe:
            check_same_origin(request.scope)
        request.visit = await session.recognise(request)
        if request.visit is not None:
            request.principal = request.visit.principal
        elif request.operation.need != "nobody":
            raise NotLoggedIn
        if request.operation.is_unsafe:
            visit = request.visit
            secret = visit.secret if visit else session.cookie(request.scope, session.LOGIN)
            await session.check_form(request, secret)
        if request.operation.need != "nobody":
            check_permission(request)

    def refuse(self, problem: Problem, scope: Scope, request: Request | None) -> Reply | StreamReply:
        if not isinstance(problem, NotLoggedIn):
            return self._layout.problem(problem, scope, request)
        if request is not None and wants_events(request):
            return StreamReply(single_event(SIGNED_OUT))
        return _to_login(scope, request)


def _to_login(scope: Scope, request: Request | None) -> Reply:
    """A page that was asked for is shown after the login; a form that was sent is not sent again."""
    target = quote(scope.get("root_path", "")) + LOGIN
    if request is not None and not request.operation.is_unsafe:
        asked = request.asked.removeprefix(scope.get("root_path", ""))
        target += "?" + urlencode({"next": asked}) if asked != ROOT else ""
    return Reply(303, b"", b"text/plain", ((b"location", target.encode()),))
