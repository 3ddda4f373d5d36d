"""Bodies of calls: what they may hold, as types, and how they are read so that all that is wrong is said at once."""

from __future__ import annotations

import re
from functools import cache
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta
from msgspec.structs import FieldInfo, fields

from headbox.web.problems import Problem, too_deep

Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
QueueName = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\s,\x00-\x1f\x7f]*$")]
UserName = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._@+-]+$")]
Password = Annotated[str, Meta(min_length=8, max_length=1000)]
Count = Annotated[int, Meta(ge=1, le=1_000_000_000)]
Duration = Annotated[str, Meta(max_length=100, examples=["PT30M"], description="an ISO 8601 duration of fixed length")]
Schedule = Annotated[
    str,
    Meta(
        max_length=300,
        examples=["R5/2026-12-01T00:00:00Z/PT5M", "cron: 30 2 * * * Europe/Paris"],
        description="`[R<n>/]<start>/<duration>`, `<duration>`, `<instant>` or `cron: <five fields> [<time zone>]`",
    ),
]

# A surrogate that is escaped without its other half (RFC 8259, section 8.2); the backslash is not itself escaped.
HALF_PAIR: Final = re.compile(
    rb"(?<!\\)(?:\\\\)*(?:\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F])"
)

Body = TypeVar("Body", bound=msgspec.Struct)


class NewTask(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be enqueued. An option that is absent or null is as the callable's own defaults say."""

    method_name: Name
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    schedule: Schedule | None = None
    timeout: Duration | None = None
    attempts: Count | None = None
    failure_threshold: Count | None = None
    schedule_threshold: Duration | None = None
    weight: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None
    priority: Annotated[int, Meta(ge=-9, le=9)] | None = None
    queue: QueueName | None = None
    unique: bool | None = None
    job_id: Name | None = None


class NewSchedule(msgspec.Struct, frozen=True, kw_only=True):
    """The schedule that a task is to have from now on."""

    schedule: Schedule


class NewUser(msgspec.Struct, frozen=True, kw_only=True):
    """A user to be created."""

    name: UserName
    password: Password
    roles: list[Name] = []


class UserChange(msgspec.Struct, frozen=True, kw_only=True):
    """What is to change about a user; absent or null: nothing."""

    password: Password | None = None
    roles: list[Name] | None = None


class NewToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token to be created. Without a lifetime it does not expire; without a user it is the caller's own."""

    name: Name
    lifetime: Duration | None = None
    user: UserName | None = None


def read_body(raw: bytes, type: type[Body]) -> Body:
    """The body as that type. Raises a 400 that lists, by JSON pointer, all that is wrong."""
    try:
        values = msgspec.json.decode(raw)
    except RecursionError:
        raise too_deep() from None
    except UnicodeDecodeError:
        raise Problem(400, "the body is not UTF-8; encode it as UTF-8") from None
    except msgspec.MsgspecError as error:
        if HALF_PAIR.search(raw):
            raise Problem(400, "a string in the body has half of a surrogate pair; escape both halves") from None
        raise Problem(400, f"the body is not JSON that can be read: {error}") from None
    if not isinstance(values, dict):
        raise Problem(
            400, f"the body must be a JSON object, such as {{{', '.join(map(_quoted, _names(type)[:2]))}: …}}"
        )
    errors = [*_unknown(values, type), *_impossible(values, type)]
    if errors:
        raise invalid(errors)
    return msgspec.convert(values, type)


def read_nothing(raw: bytes) -> None:
    """Refuses a body where a call takes none; an empty JSON object says nothing and passes."""
    if raw.strip() not in (b"", b"{}"):
        raise Problem(400, "this call takes no body; send none")


def invalid(errors: list[dict[str, str]]) -> Problem:
    """The 400 for a body of which single members are wrong."""
    first = errors[0]
    return Problem(400, f"the body is wrong at {first['pointer']}: {first['detail']}", errors=errors)


def wrong(name: str, detail: str) -> dict[str, str]:
    """What is wrong with one member of the body."""
    return {"pointer": f"#/{name.replace('~', '~0').replace('/', '~1')[:100]}", "detail": detail}


@cache  # msgspec evaluates the annotations anew each time
def _fields(type: type[msgspec.Struct]) -> tuple[FieldInfo, ...]:
    return fields(type)


def _names(type: type[msgspec.Struct]) -> list[str]:
    return [field.name for field in _fields(type)]


def _quoted(name: str) -> str:
    return f'"{name}"'


def _unknown(values: dict[str, Any], type: type[msgspec.Struct]) -> list[dict[str, str]]:
    names = _names(type)
    return [
        wrong(name, f"there is no such member; valid are {', '.join(names)}") for name in values if name not in names
    ]


def _impossible(values: dict[str, Any], type: type[msgspec.Struct]) -> list[dict[str, str]]:
    errors = []
    for field in _fields(type):
        if field.name not in values:
            if field.required:
                errors.append(wrong(field.name, "it is required"))
            continue
        try:
            msgspec.convert(values[field.name], field.type)
        except msgspec.ValidationError as error:
            errors.append(wrong(field.name, str(error)))
    return errors
