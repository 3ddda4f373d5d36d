"""A person's session with a browser: the cookie, who it stands for, and the token that forms carry so that no other
page can send them. A session ends with its user's password, by logging out, unused for a day, or after thirty."""

from __future__ import annotations

import base64
import hmac
import secrets
from typing import Final
from urllib.parse import quote

import msgspec
from starlette.types import Scope

from headbox.domain.errors import UnknownName
from headbox.domain.task import DAY, HOUR, SECOND, Span
from headbox.storage import lookups
from headbox.storage.records import Session, User
from headbox.web.auth import secret_hash
from headbox.web.origin import split_authority
from headbox.web.permissions import Principal, principal
from headbox.web.problems import Problem
from headbox.web.replies import Header
from headbox.web.request import Request

IDLE: Final = DAY
LONGEST: Final = 30 * DAY
RENEWAL: Final = HOUR  # a session that is used is written no more often than that
SECRET_BYTES: Final = 32
FIELD: Final = "form_token"

SESSION: Final = "headbox_session"
LOGIN: Final = "headbox_login"  # of somebody who has no session yet: binds the login form to this browser
LOGIN_TIME: Final = HOUR


class Visit(msgspec.Struct, frozen=True):
    """A session in use: of whom, and the secret of its cookie."""

    session: Session
    secret: str
    principal: Principal

    @property
    def form_token(self) -> str:
        """What forms of this session carry."""
        return form_token(self.secret)


def form_token(secret: str) -> str:
    """A token that only who holds the cookie's secret can make; it tells nothing of the secret."""
    digest = hmac.digest(secret.encode(), b"headbox form", "sha256")
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


async def check_form(request: Request, secret: str | None) -> None:
    """Raises 403 where the form was not made for the holder of the secret."""
    given = (await request.form()).get(FIELD, [""])[-1]
    if secret is None or not hmac.compare_digest(given.encode(), form_token(secret).encode()):
        raise Problem(403, "this form is out of date, or was not ours; go back, load the page anew and send it again")


async def recognise(request: Request) -> Visit | None:
    """The visit that the cookie stands for, if it still does. Keeps a session that is used alive."""
    secret = cookie(request.scope, SESSION)
    if secret is None:
        return None
    now = request.now
    session = await request.read(request.store.session, secret_hash(secret), now)
    user = await request.look_up(lookups.user(session.user)) if session else None
    if session is None or user is None:
        return None
    until = min(now + IDLE, session.create_time + LONGEST)
    if until - session.expire_time > RENEWAL:
        await request.call(request.store.extend_session, session.secret_hash, until)
    return Visit(session, secret, principal(user, by_password=True))


async def begin(request: Request, user: User) -> Header:
    """Starts a session for a user that has just proved who it is. Gives the cookie."""
    secret, now = secrets.token_urlsafe(SECRET_BYTES), request.now
    session = Session(secret_hash=secret_hash(secret), user=user.name, create_time=now, expire_time=now + IDLE)
    try:
        await request.call(request.store.create_session, session)
    except UnknownName:
        raise Problem(403, "this user was deleted just now") from None
    return set_cookie(request.scope, SESSION, secret, LONGEST)


async def end(request: Request, visit: Visit) -> Header:
    """Ends this session. Gives the header that takes the cookie away."""
    await request.call(request.store.delete_session, visit.session.secret_hash)
    return set_cookie(request.scope, SESSION, "", 0)


def cookie(scope: Scope, name: str) -> str | None:
    """The value of a cookie of ours; None where there is none."""
    wanted = cookie_name(scope, name)
    for key, value in scope["headers"]:
        if key == b"cookie":
            for pair in value.decode("latin-1").split(";"):
                found, _, content = pair.strip().partition("=")
                if found == wanted and content:
                    return str(content)
    return None


def set_cookie(scope: Scope, name: str, value: str, age: Span, *, to_scripts: bool = False) -> Header:
    """The header that keeps a value in the browser for so long, only for this application, and from scripts."""
    attributes = [f"Path={quote(scope.get('root_path', ''))}/", f"Max-Age={age // SECOND}", "SameSite=Strict"]
    attributes += [] if to_scripts else ["HttpOnly"]
    attributes += ["Secure"] if scope["scheme"] == "https" else []
    return b"set-cookie", f"{cookie_name(scope, name)}={value}; {'; '.join(attributes)}".encode()


def cookie_name(scope: Scope, name: str) -> str:
    """Browsers don't tell ports apart: two services of one host would log each other's people out."""
    host = next((value for key, value in scope["headers"] if key == b"host"), b"")
    parts = split_authority(host.decode("latin-1"))
    port = parts[1] if parts else None
    return f"{name}_{port}" if port else name
