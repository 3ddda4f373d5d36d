"""The users, for super users: who there is, what each may do, and all that the API does with them."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import msgspec

from headbox.web.bodies import NewUser, UserChange
from headbox.web.operations import Need, Operation
from headbox.web.permissions import ROLES
from headbox.web.problems import Problem
from headbox.web.replies import Reply
from headbox.web.request import Request
from headbox.web.routes.accounts import add_user, alter_user, end_user, own_or_any_user
from headbox.web.ui.layout import Layout
from headbox.web.ui.notice import lead_to
from headbox.web.ui.page import Page
from headbox.web.ui.pages.account import field

NEED: Final[Need] = "super user"
MEANINGS: Final = {
    "super-users": "may do everything, and decides who else may",
    "operators": "sends, sees and changes all tasks",
    "readers": "sees all tasks",
}
NAME: Final = "Take letters, digits and any of . _ @ + - for it, 100 at most."
PASSWORD: Final = "Take 8 characters or more, 1,000 at most."  # noqa: S105 - what is said of one


def load(request: Request) -> dict[str, Any]:
    """All of them, and the form for another one; `trouble` by field."""
    return {
        "users": sorted(request.store.users(), key=lambda user: user.name),
        "roles": {role: MEANINGS.get(role, "") for role in ROLES},
        "trouble": {},
        "given_name": "",
        "given_roles": [],
    }


def load_one(request: Request) -> dict[str, Any]:
    """One of them; 404."""
    user = request.store.user(request.path["name"])
    if user is None:
        raise Problem(404, "there is no such user; the page Users lists all")
    return {
        "title": user.name,
        "user": user,
        "roles": {role: MEANINGS.get(role, "") for role in ROLES},
        "trouble": {},
    }


PAGE: Final = Page(path="/ui/users/", title="Users", template="ui/users.html", load=load, need=NEED)
ONE: Final = Page(path="/ui/users/{name}/", title="User", template="ui/user.html", load=load_one, need=NEED)


async def add(layout: Layout, request: Request) -> Reply:
    """`POST /ui/users/`."""
    form = await request.form()
    name, roles = field(form, "name").strip(), list(form.get("role", ()))
    given = {"given_name": name[:100], "given_roles": roles}
    try:
        body = msgspec.convert({"name": name, "password": field(form, "password"), "roles": roles}, NewUser)
    except msgspec.ValidationError as error:
        trouble = {"password": PASSWORD} if "$.password" in str(error) else {"name": NAME}
        return await layout.show(request, PAGE, 400, trouble=trouble, **given)
    try:
        user = await add_user(request, body)
    except Problem as problem:
        if problem.status != 409:
            raise
        request.note = problem.detail
        trouble = {"name": "There is a user of this name already."}
        return await layout.show(request, PAGE, 409, trouble=trouble, **given)
    return lead_to(request, PAGE.path, f"{user.name} may log in now.")


async def change_roles(layout: Layout, request: Request) -> Reply:
    """`POST /ui/users/<name>/roles/`."""
    roles = list((await request.form()).get("role", ()))
    try:
        body = msgspec.convert({"roles": roles}, UserChange)
    except msgspec.ValidationError:
        raise Problem(400, "choose among the roles that the page offers") from None
    user = await own_or_any_user(request)
    try:
        changed = await alter_user(request, user, body)
    except Problem as problem:
        return await _refused(layout, request, problem, "roles")
    said = f"{user.name} has other roles now." if set(changed.roles) != set(user.roles) else "Nothing has changed."
    may_stay = user.name != request.principal.name or "super-users" in changed.roles
    return lead_to(request, f"/ui/users/{user.name}/" if may_stay else "/ui/account/", said)


async def change_password(layout: Layout, request: Request) -> Reply:
    """`POST /ui/users/<name>/password/`: for who has forgotten it. It ends the sessions of that user."""
    form = await request.form()
    user = await own_or_any_user(request)
    try:
        body = msgspec.convert({"password": field(form, "password")}, UserChange)
    except msgspec.ValidationError:
        return await layout.show(request, ONE, 400, trouble={"password": PASSWORD})
    await alter_user(request, user, body)
    return lead_to(
        request, f"/ui/users/{user.name}/", f"{user.name} has another password, and is logged out everywhere."
    )


async def remove(layout: Layout, request: Request) -> Reply:
    """`POST /ui/users/<name>/remove/`."""
    user = await own_or_any_user(request)
    try:
        await end_user(request, user)
    except Problem as problem:
        return await _refused(layout, request, problem, "remove")
    return lead_to(request, PAGE.path, f"{user.name} is removed.")


async def _refused(layout: Layout, request: Request, problem: Problem, name: str) -> Reply:
    """The user's page again, where it is the last super user."""
    if problem.status != 409:
        raise problem
    request.note = problem.detail
    return await layout.show(request, ONE, 409, trouble={name: f"{problem.detail}."})


def operations(layout: Layout) -> tuple[Operation, ...]:
    """The rows of the route table."""
    return (
        layout.operation(PAGE),
        layout.operation(ONE),
        *(
            Operation(method="POST", path=path, need=NEED, summary="", handler=partial(handler, layout))
            for path, handler in (
                (PAGE.path, add),
                (f"{ONE.path}roles/", change_roles),
                (f"{ONE.path}password/", change_password),
                (f"{ONE.path}remove/", remove),
            )
        ),
    )
