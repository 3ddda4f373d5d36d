"""One sentence that the next page shows: what became of what was asked. It travels in a cookie, since a form is
answered by leading to a page."""

from __future__ import annotations

import base64
import binascii
from typing import Final

from starlette.types import Scope

from headbox.domain.task import MINUTE
from headbox.web.replies import Header, Reply
from headbox.web.request import Request
from headbox.web.ui import session

NOTICE: Final = "headbox_notice"
LONGEST: Final = 500  # characters


def lead_to(request: Request, path: str, notice: str = "", *headers: Header) -> Reply:
    """Sends the browser to a page of the dashboard, which shows the notice."""
    said = (_cookie(request.scope, notice[:LONGEST]),) if notice else ()
    return Reply(303, b"", b"text/plain", ((b"location", request.link(path).encode()), *said, *headers))


def read_notice(scope: Scope) -> str | None:
    """What the page before left to be said."""
    value = session.cookie(scope, NOTICE)
    try:
        return None if value is None else base64.urlsafe_b64decode(value.encode()).decode()
    except (binascii.Error, ValueError):
        return None


def forget_notice(scope: Scope) -> tuple[Header, ...]:
    """The header after which it is said no more, where there is one."""
    return () if session.cookie(scope, NOTICE) is None else (session.set_cookie(scope, NOTICE, "", 0),)


def _cookie(scope: Scope, notice: str) -> Header:
    return session.set_cookie(scope, NOTICE, base64.urlsafe_b64encode(notice.encode()).decode(), MINUTE)
