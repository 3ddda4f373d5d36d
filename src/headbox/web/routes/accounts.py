"""The calls on users, their roles and API tokens: a super user's, or on one's own."""

from __future__ import annotations

from typing import Final

import msgspec

from headbox.domain.errors import InvalidSchedule, UnknownName
from headbox.domain.iso8601 import parse_duration, time_of
from headbox.domain.task import Instant
from headbox.identifiers import new_id
from headbox.storage import lookups
from headbox.storage.records import Token, User
from headbox.web.accounts import new_secret
from headbox.web.auth import secret_hash
from headbox.web.bodies import NewToken, NewUser, UserChange, invalid, read_body, read_nothing, wrong
from headbox.web.operations import Operation
from headbox.web.permissions import ROLES, SUPER_USERS
from headbox.web.problems import Problem
from headbox.web.replies import Reply, json_reply
from headbox.web.representations import ShownToken, ShownUser
from headbox.web.request import Request


def show_user(user: User) -> ShownUser:
    """The user without its password."""
    return ShownUser(user.name, list(user.roles), time_of(user.create_time))


def show_token(token: Token, secret: str | msgspec.UnsetType = msgspec.UNSET) -> ShownToken:
    """The token; with its secret only when it was made just now."""
    expires = None if token.expire_time is None else time_of(token.expire_time)
    return ShownToken(token.id, token.user, token.name, time_of(token.create_time), expires, secret)


async def list_users(request: Request) -> Reply:
    """`GET /users/`."""
    return json_reply(200, [show_user(user) for user in await request.call(request.store.users)])


async def create_user(request: Request) -> Reply:
    """`POST /users/`."""
    user = await add_user(request, read_body(await request.body(), NewUser))
    return json_reply(201, show_user(user), (b"location", request.link(f"/users/{user.name}/").encode()))


async def add_user(request: Request, body: NewUser) -> User:
    """A new user; 409 where the name is taken."""
    _check_roles(body.roles)
    user = User(
        name=body.name,
        password_hash=await request.service.authenticator.passwords.hash(body.password),
        roles=tuple(dict.fromkeys(body.roles)),
        create_time=request.now,
    )
    if not await request.call(request.store.create_user, user):
        raise Problem(409, f"there is a user {user.name!r} already; choose another name, or PATCH /users/{user.name}/")
    request.note = f"user {user.name}, roles: {', '.join(user.roles) or 'none'}"
    return user


async def get_user(request: Request) -> Reply:
    """`GET /users/<name>/`."""
    return json_reply(200, show_user(await own_or_any_user(request)))


async def change_user(request: Request) -> Reply:
    """`PATCH /users/<name>/`."""
    user = await own_or_any_user(request)
    return json_reply(200, show_user(await alter_user(request, user, read_body(await request.body(), UserChange))))


async def alter_user(request: Request, user: User, body: UserChange) -> User:
    """The user with another password, other roles, or both; 403 for who may not, 409 for the last super user."""
    me = request.principal
    if body.roles is not None:
        if not me.is_super:
            raise Problem(403, "only super users may change roles")
        _check_roles(body.roles)
        await _keep_a_super_user(request, user, body.roles)
    if body.password is not None and not me.is_super and not me.by_password:
        raise Problem(403, "a token may not change its user's password; send the present password with HTTP Basic")
    hashed = None if body.password is None else await request.service.authenticator.passwords.hash(body.password)
    roles = None if body.roles is None else tuple(dict.fromkeys(body.roles))
    changes = ["password"] if hashed else []
    changes += [] if roles is None else [f"roles: {', '.join(roles) or 'none'}"]
    request.note = "; ".join(changes)
    return await request.call(request.store.change_user, user.name, hashed, roles)


async def delete_user(request: Request) -> Reply:
    """`DELETE /users/<name>/`."""
    user = await own_or_any_user(request)
    read_nothing(await request.body())
    await end_user(request, user)
    return json_reply(200, show_user(user))


async def end_user(request: Request, user: User) -> None:
    """Deletes the user with its tokens and sessions; 409 for the last super user."""
    await _keep_a_super_user(request, user, ())
    await request.call(request.store.delete_user, user.name)


async def own_or_any_user(request: Request) -> User:
    """The user that the path names: oneself, or for super users anybody. 404 otherwise: names stay private."""
    name = request.path["name"]
    user = await request.look_up(lookups.user(name))
    if user is None or not (request.principal.is_super or name == request.principal.name):
        raise Problem(404, "there is no such user; GET /users/ lists them for super users")
    return user


async def _keep_a_super_user(request: Request, user: User, roles: tuple[str, ...] | list[str]) -> None:
    if SUPER_USERS not in user.roles or SUPER_USERS in roles:
        return
    others = [other for other in await request.call(request.store.users) if other.name != user.name]
    if not any(SUPER_USERS in other.roles for other in others):
        raise Problem(409, f"{user.name} is the last super user; make another one first")


def _check_roles(roles: list[str]) -> None:
    errors = [
        wrong("roles", f"there is no role {role!r}; valid are {', '.join(ROLES)}")
        for role in roles
        if role not in ROLES
    ]
    if errors:
        raise invalid(errors)


async def list_tokens(request: Request) -> Reply:
    """`GET /tokens/`."""
    whose = None if request.principal.is_super else request.principal.name
    return json_reply(200, [show_token(token) for token in await request.call(request.store.tokens, whose)])


async def create_token(request: Request) -> Reply:
    """`POST /tokens/`."""
    token, secret = await issue_token(request, read_body(await request.body(), NewToken))
    return json_reply(201, show_token(token, secret), (b"location", request.link(f"/tokens/{token.id}/").encode()))


async def issue_token(request: Request, body: NewToken) -> tuple[Token, str]:
    """A new token and its secret, which is kept nowhere."""
    me = request.principal
    user = body.user or me.name
    if user != me.name and not me.is_super:
        raise Problem(403, "only super users may make tokens for others")
    secret = new_secret()
    now = request.now
    token = Token(
        id=new_id(),
        user=user,
        name=body.name,
        secret_hash=secret_hash(secret),
        create_time=now,
        expire_time=_expire_time(body.lifetime, now),
    )
    try:
        await request.call(request.store.create_token, token)
    except UnknownName:
        raise invalid([wrong("user", f"there is no user {user!r}")]) from None
    request.note = f"token {token.id} of {user}"
    return token, secret


def _expire_time(lifetime: str | None, now: Instant) -> Instant | None:
    if lifetime is None:
        return None
    try:
        return now + parse_duration(lifetime)
    except InvalidSchedule as error:
        raise invalid([wrong("lifetime", str(error))]) from None


async def get_token(request: Request) -> Reply:
    """`GET /tokens/<id>/`."""
    return json_reply(200, show_token(await own_or_any_token(request)))


async def revoke_token(request: Request) -> Reply:
    """`DELETE /tokens/<id>/`."""
    token = await own_or_any_token(request)
    read_nothing(await request.body())
    return json_reply(200, show_token(await end_token(request, token)))


async def end_token(request: Request, token: Token) -> Token:
    """The token as it was."""
    request.note = f"token {token.id} of {token.user}"
    return await request.call(request.store.delete_token, token.id)


async def own_or_any_token(request: Request) -> Token:
    """The token that the path names: one's own, or for super users anybody's. 404 otherwise."""
    whose = None if request.principal.is_super else request.principal.name
    for token in await request.call(request.store.tokens, whose):
        if token.id == request.path["id"]:
            return token
    raise Problem(404, "there is no such token; GET /tokens/ lists them")


OPERATIONS: Final = (
    Operation(
        method="GET", path="/users/", need="super user", summary="List users", handler=list_users, answer="[User]"
    ),
    Operation(
        method="POST",
        path="/users/",
        need="super user",
        summary="Create a user",
        handler=create_user,
        body=NewUser,
        status=201,
        answer="User",
        problems=(409,),
    ),
    Operation(
        method="GET",
        path="/users/{name}/",
        need="caller",
        summary="Get a user: oneself, or for super users anybody",
        handler=get_user,
        answer="User",
        problems=(404,),
    ),
    Operation(
        method="PATCH",
        path="/users/{name}/",
        need="caller",
        summary="Change a password (one's own, or for super users anybody's) or, for super users, roles",
        handler=change_user,
        body=UserChange,
        answer="User",
        problems=(404, 409),
    ),
    Operation(
        method="DELETE",
        path="/users/{name}/",
        need="super user",
        summary="Delete a user and its tokens",
        handler=delete_user,
        answer="User",
        problems=(404, 409),
    ),
    Operation(
        method="GET",
        path="/tokens/",
        need="caller",
        summary="List one's tokens, or for super users all",
        handler=list_tokens,
        answer="[Token]",
    ),
    Operation(
        method="POST",
        path="/tokens/",
        need="caller",
        summary="Create a token; its secret is in this answer and nowhere else",
        handler=create_token,
        body=NewToken,
        status=201,
        answer="Token",
    ),
    Operation(
        method="GET",
        path="/tokens/{id}/",
        need="caller",
        summary="Get a token",
        handler=get_token,
        answer="Token",
        problems=(404,),
    ),
    Operation(
        method="DELETE",
        path="/tokens/{id}/",
        need="caller",
        summary="Revoke a token",
        handler=revoke_token,
        answer="Token",
        problems=(404,),
    ),
)
