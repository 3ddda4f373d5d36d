"""The first super user and the local token of a running service: what a start makes so that somebody can log in."""

from __future__ import annotations

import secrets
from typing import Final

from headbox.domain.task import Span
from headbox.identifiers import new_id
from headbox.storage.records import Token, User
from headbox.task_queue.queue import TaskQueue
from headbox.web.auth import secret_hash
from headbox.web.passwords import hash_password
from headbox.web.permissions import SUPER_USERS

ADMIN: Final = "admin"
TOKEN_PREFIX: Final = "headbox_"  # noqa: S105 - what a secret begins with, so that scanners find leaked ones
SECRET_BYTES: Final = 32


def new_secret() -> str:
    """A token's secret, with 256 random bits."""
    return TOKEN_PREFIX + secrets.token_urlsafe(SECRET_BYTES)


def ensure_admin(queue: TaskQueue, password: str | None) -> str | None:
    """Creates the super user `admin` where there are no users yet, with `password` or else a random one.

    Returns the random password if this call made one: of two starts at once only the one that won does.
    """
    if queue.store.users():
        return None
    chosen = password or secrets.token_urlsafe(12)
    user = User(name=ADMIN, password_hash=hash_password(chosen), roles=(SUPER_USERS,), create_time=queue.clock.now())
    is_created = queue.store.create_user(user)
    return chosen if is_created and not password else None


def issue_local_token(queue: TaskQueue, lifetime: Span) -> tuple[str, str] | None:
    """A new token (id, secret) of a super user, that expires after `lifetime` unless it is revoked; None where there
    is no super user. Renewal is another one: the old one is good until it expires, so nobody falls between the two."""
    users = [user for user in queue.store.users() if SUPER_USERS in user.roles]
    if not users:
        return None
    user = next((user for user in users if user.name == ADMIN), users[0])
    now = queue.clock.now()
    secret = new_secret()
    token = Token(
        id=new_id(),
        user=user.name,
        name="local service",
        secret_hash=secret_hash(secret),
        create_time=now,
        expire_time=now + lifetime,
    )
    queue.store.create_token(token)
    return token.id, secret


def revoke_token(queue: TaskQueue, token_id: str) -> None:
    """Ends a token. UnknownName if it is gone already."""
    queue.store.delete_token(token_id)
