"""One table row per call of the API: what routes it, guards it, checks its parameters and describes it in OpenAPI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from headbox.web.permissions import Permission

if TYPE_CHECKING:
    from headbox.web.replies import Reply, SpooledReply
    from headbox.web.request import Request

    Handler = Callable[[Request], Awaitable[Reply | SpooledReply]]

Need = Permission | Literal["super user", "caller", "nobody"]
"""What a call asks of the caller. `caller`: only to prove who it is; `nobody`: not even that."""

SAFE_METHODS = ("GET", "HEAD")


class Parameter(msgspec.Struct, frozen=True):
    """A query parameter."""

    name: str
    schema: dict[str, Any]
    description: str
    repeated: bool = False


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """A call: `path` is exact. With `owner_too` its handler lets owners of a task pass without the permission.

    `answer` names the schema of the body, `[Name]` for a list; None where it is no JSON.
    """

    method: str
    path: str
    need: Need
    summary: str
    handler: Any  # a Handler; msgspec cannot name a type that is imported for checking only
    owner_too: bool = False
    parameters: tuple[Parameter, ...] = ()
    body: type[msgspec.Struct] | None = None
    status: int = 200
    answer: str | None = None
    problems: tuple[int, ...] = ()
    audited: bool | None = None  # None: if it is unsafe
    opens: bool = True  # the database, before it is answered

    @property
    def is_unsafe(self) -> bool:
        """Whether it changes something."""
        return self.method not in SAFE_METHODS

    @property
    def is_audited(self) -> bool:
        """Whether the audit log gets to know of it."""
        return self.is_unsafe if self.audited is None else self.audited
