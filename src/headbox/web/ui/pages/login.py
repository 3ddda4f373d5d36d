"""Logging in and out. Where a person wanted to go comes along, and can only be a page of the dashboard."""

from __future__ import annotations

import re
import secrets
from functools import partial
from typing import Any, Final

from headbox.domain.task import HOUR
from headbox.web.operations import Operation, Parameter
from headbox.web.permissions import principal
from headbox.web.problems import Problem
from headbox.web.query import single
from headbox.web.replies import Reply
from headbox.web.request import Request
from headbox.web.ui import session
from headbox.web.ui.layout import Layout
from headbox.web.ui.notice import lead_to
from headbox.web.ui.page import Page

NEXT: Final = Parameter("next", {"type": "string"}, "the page to show then")
START: Final = "/ui/"
OWN_PAGE: Final = re.compile(r"/ui/[!-~]*", re.ASCII)
BEGUN: Final = HOUR  # how long the login page may stand open


def load(request: Request) -> dict[str, Any]:
    """What the form is filled with."""
    return {"name": "", "trouble": "", "next": wanted_page(single(request.query, "next"))}


PAGE: Final = Page(
    path="/ui/login/",
    title="Log in",
    template="ui/login.html",
    load=load,
    need="nobody",
    parameters=(NEXT,),
)


def wanted_page(text: str | None) -> str:
    """The page that is asked for, if it is one of ours: the start otherwise. What it gives begins with `/ui/`."""
    return text if text is not None and OWN_PAGE.fullmatch(text) and "\\" not in text else START


async def show(layout: Layout, request: Request, status: int = 200, **more: Any) -> Reply:
    """`GET /ui/login/`, and the same page again when something was wrong."""
    if request.visit is not None:
        return lead_to(request, wanted_page(single(request.query, "next")))
    secret = session.cookie(request.scope, session.LOGIN) or secrets.token_urlsafe(session.SECRET_BYTES)
    cookie = session.set_cookie(request.scope, session.LOGIN, secret, BEGUN)
    return await layout.show(request, PAGE, status, cookie, form_token=session.form_token(secret), **more)


async def log_in(layout: Layout, request: Request) -> Reply:
    """`POST /ui/login/`. A guess counts as one over the API does."""
    form = await request.form()
    name, password = (form.get(field, [""])[-1] for field in ("name", "password"))
    shown = {"name": name, "next": wanted_page(form.get("next", [""])[-1])}
    try:
        user = await request.service.authenticator.login(request, name, password)
    except Problem as problem:
        if problem.status != 429:
            raise
        return await show(layout, request, 429, trouble=problem.detail, **shown)
    if user is None:
        return await show(layout, request, 403, trouble="The user or the password is wrong.", **shown)
    request.principal = principal(user, by_password=True)
    request.note = "logged in"
    return lead_to(request, shown["next"], "", await session.begin(request, user), _forget(request))


async def log_out(request: Request) -> Reply:
    """`POST /ui/logout/`."""
    if request.visit is None:
        return lead_to(request, PAGE.path)
    request.note = "logged out"
    return lead_to(request, PAGE.path, "You are logged out.", await session.end(request, request.visit))


def _forget(request: Request) -> tuple[bytes, bytes]:
    return session.set_cookie(request.scope, session.LOGIN, "", 0)


def operations(layout: Layout) -> tuple[Operation, ...]:
    """The rows of the route table."""
    return (
        Operation(
            method="GET", path=PAGE.path, need="nobody", summary="", handler=partial(show, layout), parameters=(NEXT,)
        ),
        Operation(method="POST", path=PAGE.path, need="nobody", summary="", handler=partial(log_in, layout)),
        Operation(method="POST", path="/ui/logout/", need="caller", summary="", handler=log_out),
    )
