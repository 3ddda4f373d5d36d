"""The shortest readings: rows that are found by a key. They are data, so that whoever runs one decides how to wait for
the answer: in a transaction, or on an event loop that has others to serve."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from json import loads
from typing import Any, Generic, TypeVar

from headbox.domain.errors import UnknownTask
from headbox.domain.task import Instant, Task
from headbox.storage.database import Row, Transaction
from headbox.storage.records import User

T = TypeVar("T")


class Lookup(Generic[T]):
    """Named statements with the same parameters, of which the first counts that finds a row, and what is made of it.
    (Between two of them a task may change: what is found was so when the first had found nothing, or since.)"""

    def __init__(self, *names: str, make: Callable[[Row | None], T], **parameters: Any) -> None:
        self.names = names
        self.make = make
        self.parameters: Mapping[str, Any] = parameters

    def __call__(self, tx: Transaction) -> T:
        """What it gives in a transaction."""
        for name in self.names:
            row = tx.one(name, **self.parameters)
            if row is not None:
                return self.make(row)
        return self.make(None)


def task(id: str) -> Lookup[Task]:
    """The live task, or its last archived run; UnknownTask."""

    def make(row: Row | None) -> Task:
        if row is None:
            raise UnknownTask(f"no task has the id {id}; `GET /tasks/` lists those that exist")
        return Task(*row)

    return Lookup("live", "last_run", make=make, id=id)


def user(name: str) -> Lookup[User | None]:
    """The user of that name."""
    return Lookup("user", make=user_of, name=name)


def holder(secret_hash: bytes, now: Instant) -> Lookup[User | None]:
    """The user of the token with this secret that has not expired."""
    return Lookup("holder", make=user_of, secret_hash=secret_hash, now=now)


def user_of(row: Row | None) -> User | None:
    """The user that a row is."""
    if row is None:
        return None
    name, password_hash, roles, create_time = row
    return User(name=name, password_hash=password_hash, roles=tuple(loads(roles)), create_time=create_time)
