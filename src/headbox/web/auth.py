"""Who is asking: HTTP Basic (RFC 7617) or a bearer token (RFC 6750). Whoever cannot be identified gets a 401."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Final

from headbox.storage import lookups
from headbox.storage.records import User
from headbox.web.passwords import Passwords
from headbox.web.permissions import Principal, principal
from headbox.web.problems import Problem
from headbox.web.request import Request
from headbox.web.throttle import Throttle

CHALLENGES: Final = (
    ("WWW-Authenticate", 'Basic realm="Headbox", charset="UTF-8"'),
    ("WWW-Authenticate", 'Bearer realm="Headbox"'),
)


def secret_hash(secret: str) -> bytes:
    """What is kept of a token. It has 256 random bits, so a plain hash is enough."""
    return hashlib.sha256(secret.encode()).digest()


class Authenticator:
    """Identifies callers by what the store knows of users and tokens at this moment."""

    def __init__(self) -> None:
        self.passwords = Passwords()
        self._throttle = Throttle()

    async def identify(self, request: Request) -> Principal:
        """The caller; 401 without credentials or with wrong ones, 429 where a user fails too often from one address."""
        header = request.header(b"authorization")
        if header is None:
            raise refused("this call needs credentials")
        scheme, _, credentials = header.strip().partition(b" ")
        match scheme.lower():
            case b"bearer":
                return await self._by_token(request, credentials.strip())
            case b"basic":
                return await self._by_password(request, credentials.strip())
            case _:
                raise refused("only the schemes Basic and Bearer are known")

    async def _by_token(self, request: Request, credentials: bytes) -> Principal:
        secret = credentials.decode("latin-1")
        user = await request.look_up(lookups.holder(secret_hash(secret), request.now))
        if user is None:
            raise refused("the token is unknown, revoked or expired")
        return principal(user, by_password=False)

    async def _by_password(self, request: Request, credentials: bytes) -> Principal:
        user = await self.login(request, *_decode_basic(credentials))
        if user is None:
            raise refused("the user or the password is wrong")
        return principal(user, by_password=True)

    async def login(self, request: Request, name: str, password: str) -> User | None:
        """The user, if the password is right; 429 where a user fails too often from one address."""
        user = await request.look_up(lookups.user(name))
        return user if await self._is_right(request, name, user, password) else None

    async def _is_right(self, request: Request, name: str, user: User | None, password: str) -> bool:
        pair = (name, request.address)
        pause = self._throttle.pause(pair)
        if pause:
            raise Problem(
                429, f"too many wrong passwords for this user; wait {pause} s", headers=[("Retry-After", str(pause))]
            )
        stored_hash = user.password_hash if user else None
        if self.passwords.remembers(stored_hash, password):
            return True
        if not self.passwords.is_verifying(stored_hash, password):
            self._throttle.fail(pair)
        if not await self.passwords.verify(stored_hash, password):
            return False
        self._throttle.succeed(pair)
        return True


def refused(why: str) -> Problem:
    """A 401 that says how to do it right."""
    detail = f"{why}; send a user and password (HTTP Basic) or Authorization: Bearer <token>"
    return Problem(401, detail, headers=CHALLENGES)


def _decode_basic(credentials: bytes) -> tuple[str, str]:
    try:
        name, colon, password = base64.b64decode(credentials, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        colon = ""
    if not colon or "\0" in name:
        raise refused("the credentials are not base64 of user:password in UTF-8")
    return name, password
