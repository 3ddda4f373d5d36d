"""The frame around every page: navigation, who is logged in, the token that forms carry; and the rules under which a
browser shows it (nothing inline, nothing from any other host)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.types import Scope

from headbox.web.operations import Operation
from headbox.web.problems import Problem
from headbox.web.replies import Header, Reply, StreamReply
from headbox.web.request import Request
from headbox.web.ui import description, session, wording
from headbox.web.ui.assets import Assets
from headbox.web.ui.live import Renderings, stream, wants_events
from headbox.web.ui.notice import forget_notice, read_notice
from headbox.web.ui.page import NAVIGATION, Page

HTML: Final = b"text/html; charset=utf-8"
ALLOWED: Final = (
    b"default-src 'none'", b"script-src 'self'", b"style-src 'self'", b"img-src 'self'", b"connect-src 'self'",
    b"form-action 'self'", b"frame-ancestors 'none'", b"base-uri 'none'",
)  # fmt: skip
POLICY: Final[tuple[Header, ...]] = (
    (b"content-security-policy", b"; ".join(ALLOWED)),
    (b"referrer-policy", b"same-origin"),  # under no-referrer a form's Origin is null, which no check could pass
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"vary", b"accept, cookie"),
)
THEME: Final = "headbox_theme"
THEMES: Final = ("light", "dark")
MISSING: Final = (
    "This installation lacks what the dashboard's pages load: install Headbox from a released wheel, or run"
    " `make install` where its source is; the API works without."
)


@cache  # they take longer to compile than a page to render, and are the same for every dashboard of a process
def templates() -> Environment:
    """The templates of all pages."""
    environment = Environment(
        loader=PackageLoader("headbox.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {**wording.FILTERS, **description.FILTERS}
    environment.globals |= {"version": version("headbox")}
    return environment


class Layout:
    """Renders pages and keeps them up to date."""

    def __init__(self, assets: Assets) -> None:
        self._assets = assets
        self._renderings = Renderings()

    def operation(self, page: Page) -> Operation:
        """The call that answers with this page, or with the stream that keeps it up to date."""

        async def get(request: Request) -> Reply | StreamReply:
            if page.fragments and wants_events(request):
                return stream(request, self._renderings, lambda: request.call(self._fragments, request, page))
            return await self.show(request, page)

        return Operation(
            method="GET",
            path=page.path,
            need=page.need,
            owner_too=page.owner_too,
            summary=page.title,
            handler=get,
            parameters=page.parameters,
        )

    async def show(self, request: Request, page: Page, status: int = 200, *headers: Header, **more: Any) -> Reply:
        """The page as an answer; `more` is shown beside what it loads."""
        if self._assets.missing:
            raise Problem(503, MISSING)
        html = await request.call(self._render, request, page, more)
        return Reply(status, html, HTML, (*POLICY, *forget_notice(request.scope), *headers))

    def problem(self, problem: Problem, scope: Scope, request: Request | None) -> Reply:
        """The page that says what was wrong."""
        if self._assets.missing:
            html = templates().get_template("ui/missing.html").render(sentence=MISSING)
            return Reply(503, html.encode(), HTML, POLICY)
        title = HTTPStatus(problem.status).phrase
        context = self._context(scope, request, is_live=False) | {"title": title, "problem": problem, "is_live": False}
        html = templates().get_template("ui/problem.html").render(context)
        headers = tuple((name.lower().encode(), value.encode()) for name, value in problem.headers)
        return Reply(problem.status, html.encode(), HTML, (*POLICY, *headers))

    def _render(self, request: Request, page: Page, more: Mapping[str, Any]) -> bytes:
        loaded = {"title": page.title, **page.load(request), **more}
        context = self._context(request.scope, request, is_live=False) | {"is_live": bool(page.fragments)}
        return templates().get_template(page.template).render(context | loaded).encode()

    def _fragments(self, request: Request, page: Page) -> dict[str, str]:
        loaded = page.load(request)
        template = templates().get_template(page.template)
        context = template.new_context(self._context(request.scope, request, is_live=True) | loaded)
        return {name: "".join(template.blocks[name](context)) for name in page.fragments}

    def _context(self, scope: Scope, request: Request | None, *, is_live: bool) -> dict[str, Any]:
        """What every template may use. What is of one session alone is left out of what is live."""
        visit = request.visit if request is not None else None
        me = visit.principal if visit is not None else None
        root = scope.get("root_path", "")
        route = scope["path"].removeprefix(root)
        link = _linking(quote(root))
        query = scope["query_string"].decode("latin-1")
        theme = session.cookie(scope, THEME)
        context: dict[str, Any] = {
            "me": me,
            "form_token": visit.form_token if visit is not None and not is_live else "",
            "navigation": [entry for entry in NAVIGATION if me is not None and entry.is_for(me)],
            "route": route,
            "here": link(quote(route)) + (f"?{query}" if query else ""),
            "theme": theme if theme in THEMES else "",
            "theme_cookie": session.cookie_name(scope, THEME),
            "notice": None if is_live else read_notice(scope),
            "link": link,
            "asset": lambda name: link(self._assets.address(name)),
            "times": wording.Times(request.now if request is not None else 0, is_live=is_live),
        }
        macros: Any = templates().get_template("ui/macros.html").make_module(context)
        return context | {"ui": macros}


def _linking(root: str) -> Callable[[str], str]:
    return lambda path: root + path
