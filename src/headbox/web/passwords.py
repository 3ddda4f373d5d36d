"""Passwords, hashed with argon2id as OWASP recommends (19 MiB, 2 passes, 1 lane), in a pool that bounds what hashing
may take. Successes are remembered under a keyed hash: a client that sends its password with each call is fast."""

from __future__ import annotations

import asyncio
import base64
import hmac
import secrets
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec
from argon2 import PasswordHasher, Type
from argon2.exceptions import Argon2Error, InvalidHashError

from headbox.web.problems import Problem

THREADS: Final = 2
WAITING: Final = 200  # verifications that may wait for a thread
REMEMBERED: Final = 10_000

PASSES, MEMORY, LANES = 2, 19456, 1  # memory in KiB

_hasher: Final = PasswordHasher(PASSES, MEMORY, LANES, hash_len=32, salt_len=16, type=Type.ID)


def hash_password(password: str) -> str:
    """The password's hash, with its parameters and salt. Takes some 30 ms of a core."""
    return _hasher.hash(password)


def matches(stored_hash: str, password: str) -> bool:
    """Whether the password is the one that was hashed."""
    try:
        return _hasher.verify(stored_hash, password)
    except (Argon2Error, InvalidHashError):
        return False


def impossible_hash() -> str:
    """What no password matches, though looking takes as long as for any other."""
    salt, digest = (base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (16, 32))
    return f"$argon2id$v=19$m={MEMORY},t={PASSES},p={LANES}${salt}${digest}"


class Passwords:
    """Verifies without blocking the event loop."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, "headbox-passwords")
        self._key = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._under_way: dict[bytes, asyncio.Future[bool]] = {}
        self._nobody = impossible_hash()

    def remembers(self, stored_hash: str | None, password: str) -> bool:
        """Whether this password was found right for this hash before."""
        return stored_hash is not None and self._digest(stored_hash, password) in self._right

    def is_verifying(self, stored_hash: str | None, password: str) -> bool:
        """Whether this very password is being looked at: asking along is no further guess."""
        return self._digest(stored_hash or self._nobody, password) in self._under_way

    async def verify(self, stored_hash: str | None, password: str) -> bool:
        """Whether the password is right; None, for a user that does not exist, takes as long and is False."""
        digest = self._digest(stored_hash or self._nobody, password)
        future = self._under_way.get(digest)
        if future is None:
            future = self._under_way[digest] = self._start(stored_hash or self._nobody, password)
            future.add_done_callback(lambda _: self._under_way.pop(digest, None))
        right = await asyncio.shield(future) and stored_hash is not None
        if right:
            self._right[digest] = None
            if len(self._right) > REMEMBERED:
                self._right.popitem(last=False)
        return right

    async def hash(self, password: str) -> str:
        """As `hash_password`, in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, hash_password, password)

    def close(self) -> None:
        """Ends the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _start(self, stored_hash: str, password: str) -> asyncio.Future[bool]:
        if len(self._under_way) >= WAITING:
            raise Problem(503, "too many logins at once; try again in a moment", headers=[("Retry-After", "1")])
        return asyncio.get_running_loop().run_in_executor(self._threads, matches, stored_hash, password)

    def _digest(self, stored_hash: str, password: str) -> bytes:
        return hmac.digest(self._key, msgspec.json.encode((stored_hash, password)), "sha256")
