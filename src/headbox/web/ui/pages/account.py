"""One's own account: the password, the tokens for programs, and all sessions at once."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import msgspec

from headbox.domain.task import DAY
from headbox.web.bodies import NewToken, UserChange
from headbox.web.operations import Operation
from headbox.web.problems import Problem
from headbox.web.query import Query
from headbox.web.replies import Reply
from headbox.web.request import Request
from headbox.web.routes.accounts import end_token, issue_token, own_or_any_token
from headbox.web.ui import session
from headbox.web.ui.layout import Layout
from headbox.web.ui.notice import lead_to
from headbox.web.ui.page import Page

LIFETIMES: Final = (("P30D", "30 days"), ("P90D", "90 days"), ("P365D", "a year"), ("", "until it is revoked"))


def load(request: Request) -> dict[str, Any]:
    """What the page shows; `trouble` by field, `secret` of a token that was made just now."""
    name = request.principal.name
    tokens = sorted(request.store.tokens(name), key=lambda token: -token.create_time)
    user = request.store.user(name)
    return {
        "user": user,
        "tokens": tokens,
        "lifetimes": LIFETIMES,
        "soon": request.now + 7 * DAY,
        "secret": "",
        "trouble": {},
        "token_name": "",
    }


PAGE: Final = Page(path="/ui/account/", title="Account", template="ui/account.html", load=load, need="caller")


def field(form: Query, name: str) -> str:
    """The value of a field; empty where it was not sent."""
    return form.get(name, [""])[-1]


async def change_password(layout: Layout, request: Request) -> Reply:
    """`POST /ui/account/password/`. Ends all sessions of the user, and begins this one anew."""
    form = await request.form()
    present, new, again = (field(form, name) for name in ("present", "new", "again"))
    user = await request.service.authenticator.login(request, request.principal.name, present)
    if user is None:
        return await _wrong(layout, request, "present", "This is not your present password.")
    if new != again:
        return await _wrong(layout, request, "again", "This differs from the new password above.")
    try:
        msgspec.convert({"password": new}, UserChange)
    except msgspec.ValidationError:
        return await _wrong(layout, request, "new", "Take 8 characters or more, 1,000 at most.")
    hashed = await request.service.authenticator.passwords.hash(new)
    user = await request.call(request.store.change_user, user.name, hashed, None)
    request.note = "password"
    cookie = await session.begin(request, user)
    return lead_to(
        request, PAGE.path, "The password is changed; whoever was logged in with the old one is out.", cookie
    )


async def create_token(layout: Layout, request: Request) -> Reply:
    """`POST /ui/account/tokens/`. The page that answers shows the secret, and none after it does."""
    form = await request.form()
    name, lifetime = field(form, "name").strip(), field(form, "lifetime")
    if lifetime not in dict(LIFETIMES):
        raise Problem(400, "choose one of the lifetimes that the page offers")
    try:
        body = msgspec.convert({"name": name, "lifetime": lifetime or None}, NewToken)
    except msgspec.ValidationError:
        return await _wrong(layout, request, "name", "Give it a name of 1 to 200 characters.", token_name=name[:200])
    _, secret = await issue_token(request, body)
    return await layout.show(request, PAGE, secret=secret)


async def revoke_token(request: Request) -> Reply:
    """`POST /ui/account/tokens/<id>/revoke/`."""
    token = await end_token(request, await own_or_any_token(request))
    return lead_to(request, PAGE.path, f"The token {token.name} is revoked.")


async def log_out_everywhere(request: Request) -> Reply:
    """`POST /ui/account/sessions/end/`."""
    await request.call(request.store.delete_sessions, request.principal.name)
    request.note = "logged out everywhere"
    return lead_to(request, "/ui/login/", "You are logged out everywhere.")


async def _wrong(layout: Layout, request: Request, name: str, trouble: str, **more: Any) -> Reply:
    return await layout.show(request, PAGE, 400, trouble={name: trouble}, **more)


def operations(layout: Layout) -> tuple[Operation, ...]:
    """The rows of the route table."""
    return (
        layout.operation(PAGE),
        *(
            Operation(method="POST", path=path, need="caller", summary="", handler=handler)
            for path, handler in (
                ("/ui/account/password/", partial(change_password, layout)),
                ("/ui/account/tokens/", partial(create_token, layout)),
                ("/ui/account/tokens/{id}/revoke/", revoke_token),
                ("/ui/account/sessions/end/", log_out_everywhere),
            )
        ),
    )
