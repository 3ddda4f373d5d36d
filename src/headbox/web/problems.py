"""What goes wrong, as `application/problem+json` (RFC 9457). No traceback leaves; what nobody foresaw is logged."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from headbox.domain.errors import (
    HeadboxError,
    InvalidFilter,
    InvalidSchedule,
    InvalidTask,
    NonUniqueTask,
    PayloadRefused,
    StateConflict,
    StorageError,
    UnknownName,
    UnknownTask,
)

CONTENT_TYPE = b"application/problem+json"
RETRY_AFTER = 5  # seconds

_log = logging.getLogger(__name__)


class Problem(Exception):
    """An answer that says what was wrong and what would be right. `errors` where several things were."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Sequence[tuple[str, str]] = (),
        **members: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors
        self.headers = headers
        self.members = members

    def document(self) -> bytes:
        """The body (RFC 9457, section 3)."""
        title = HTTPStatus(self.status).phrase
        body = {"type": "about:blank", "title": title, "status": self.status, "detail": self.detail, **self.members}
        return msgspec.json.encode(body | ({"errors": self.errors} if self.errors else {}))


def unknown_task() -> Problem:
    """The same for a task that does not exist and for one that the caller may not see."""
    return Problem(404, "neither the tasking system nor its history knows a task with this id; GET /tasks/ lists them")


def too_deep() -> Problem:
    """JSON that no decoder would follow to its end."""
    return Problem(400, "the body is nested too deeply; keep JSON to a few hundred levels")


def problem_of(error: Exception) -> Problem:
    """The answer to an error: those that Headbox raises on purpose say it themselves, any other is logged and a 500."""
    match error:
        case Problem():
            return error
        case UnknownTask():
            return unknown_task()
        case UnknownName():
            return Problem(404, str(error))
        case NonUniqueTask():
            return Problem(409, str(error), task_id=error.task_id)
        case StateConflict():
            return Problem(409, str(error))
        case InvalidFilter() | InvalidSchedule() | InvalidTask() | PayloadRefused():
            return Problem(400, str(error))
        case StorageError():
            _log.error("the database could not be used: %s", error)
            return Problem(
                503, f"the database cannot be used now: {error}", headers=[("Retry-After", str(RETRY_AFTER))]
            )
        case HeadboxError():
            return Problem(400, str(error))
        case _:
            _log.error("a call failed", exc_info=error)
            return Problem(500, "this call failed for a reason nobody foresaw; the server's log has it")
