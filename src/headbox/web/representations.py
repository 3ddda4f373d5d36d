"""How tasks, workers and the rest look over HTTP (API.md, Representations). What is stored as public JSON goes out as
it is: nothing is decoded, so that long lists are fast."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

import msgspec

from headbox.domain.iso8601 import format_duration, time_of
from headbox.domain.states import STATES
from headbox.domain.task import Instant, Span, Task
from headbox.domain.waiting import Reason, Surroundings, waiting_for

encode: Final = msgspec.json.Encoder().encode
_verbatim: Final = msgspec.json.Decoder(msgspec.Raw).decode  # checks the syntax, decodes nothing

Schema = dict[str, Any]


def _public(public: str | None, payload: bytes | None, empty: Any) -> Any:
    """What may be shown of a payload. A pickle without a public form and a damaged row show nothing."""
    stored = payload if public is None else public
    if stored is None:
        return empty
    try:
        return _verbatim(stored)
    except (msgspec.DecodeError, RecursionError):
        return None


def _time(instant: Instant | None) -> datetime | None:
    return None if instant is None else time_of(instant)


def _duration(span: Span | None) -> str | None:
    return None if span is None else format_duration(span)


def show_reasons(task: Task, around: Surroundings | None, now: Instant) -> list[dict[str, Any]]:
    """Why a task does not run yet: of each reason its kind, a sentence, and what that is made of."""
    return [_show_reason(reason) for reason in waiting_for(task, around, now)]


def _show_reason(reason: Reason) -> dict[str, Any]:
    data = dict(reason.data)
    if isinstance(due := data.get("due_time"), int):
        data["due_time"] = time_of(due)
    return {"reason": reason.reason, "text": reason.text, **data}


class Field(msgspec.Struct, frozen=True):
    """One attribute of a Task: how it is read from the record, and its JSON schema."""

    get: Callable[[Task], Any] | None  # None: it depends on the time too
    schema: Schema


def _text(description: str) -> Schema:
    return {"type": "string", "description": description}


def _or_null(schema: Schema) -> Schema:
    return schema | {"type": [schema["type"], "null"]}


def _maybe_text(description: str) -> Schema:
    return _or_null(_text(description))


def _whole(description: str) -> Schema:
    return {"type": "integer", "description": description}


def _maybe_whole(description: str) -> Schema:
    return _or_null(_whole(description))


def _maybe_time(description: str) -> Schema:
    return _maybe_text(description) | {"format": "date-time"}


def _maybe_duration(description: str) -> Schema:
    return _maybe_text(description) | {"format": "duration"}


def _truth(description: str) -> Schema:
    return {"type": "boolean", "description": description}


_REASONS: Final[Schema] = {
    "type": "array",
    "description": "why it does not run yet; [] where nothing is in its way",
    "items": {
        "type": "object",
        "properties": {
            "reason": {"type": "string", "description": "its kind"},
            "text": {"type": "string", "description": "the same in words"},
        },
        "required": ["reason", "text"],
    },
}

# The 15 keys that a Task always has, in their order, then all else that the system knows. SQLite has no booleans.
FIELDS: Final[dict[str, Field]] = {
    "id": Field(lambda task: task.id, _text("its id, a UUID")),
    "job_id": Field(lambda task: task.job_id, _maybe_text("the job it belongs to")),
    "class_name": Field(lambda task: task.class_name, _maybe_text("the class, where an instance's method was called")),
    "method_name": Field(lambda task: task.method_name, _text("the bare name of what is called")),
    "args": Field(
        lambda task: _public(task.public_args, task.args, ()),
        {"type": ["array", "null"], "description": "positional arguments; objects appear as their repr"},
    ),
    "state": Field(lambda task: task.state, {"type": "string", "enum": list(STATES)}),
    "start_time": Field(lambda task: _time(task.start_time), _maybe_time("when it started running")),
    "finish_time": Field(lambda task: _time(task.finish_time), _maybe_time("when it finished running")),
    "result": Field(lambda task: _public(task.public_result, task.result, None), {"description": "what it returned"}),
    "exception": Field(lambda task: task.exception, _maybe_text("the error, where one occurred")),
    "traceback": Field(lambda task: task.traceback, _maybe_text("the error's traceback")),
    "progress": Field(lambda task: _public(task.progress, None, None), {"description": "what it last reported"}),
    "scheduled_time": Field(
        lambda task: _time(task.scheduled_time), _maybe_time("when it is to run; null for immediate tasks")
    ),
    "scheduler": Field(
        lambda task: task.scheduler, {"type": "string", "enum": ["immediate", "at", "interval", "cron"]}
    ),
    "snapshot_id": Field(lambda task: task.snapshot_id, _maybe_text("its snapshot, while a run is in flight")),
    "callable": Field(lambda task: task.callable, _text("the registered name, module:qualname unless named")),
    "kwargs": Field(
        lambda task: _public(task.public_kwargs, task.kwargs, {}),
        {"type": ["object", "null"], "description": "keyword arguments"},
    ),
    "run": Field(lambda task: task.run, _whole("which of the task's runs this is, from 1")),
    "final": Field(lambda task: bool(task.final), _truth("whether this archived run was the task's last")),
    "queue": Field(lambda task: task.queue, _text("the queue it waits in")),
    "priority": Field(lambda task: task.priority, _whole("from -9 to 9; the highest runs first")),
    "weight": Field(lambda task: task.weight, _whole("how much of a worker's concurrency it takes")),
    "owner": Field(lambda task: task.owner, _maybe_text("the user who enqueued it over HTTP")),
    "worker": Field(lambda task: task.worker, _maybe_text("the worker that runs it, or ran it")),
    "enqueue_time": Field(lambda task: _time(task.enqueue_time), _maybe_time("when it was enqueued")),
    "due_time": Field(lambda task: _time(task.due_time), _maybe_time("when it may run")),
    "waiting_for": Field(None, _REASONS),
    "schedule": Field(lambda task: task.schedule, _maybe_text("its schedule; null for immediate tasks")),
    "schedule_name": Field(lambda task: task.schedule_name, _maybe_text("the name of a declared schedule")),
    "declared_by": Field(lambda task: task.declared_by, _maybe_text("the application that declares the schedule")),
    "runs_left": Field(lambda task: task.runs_left, _maybe_whole("runs that a schedule has left; null: no end")),
    "timeout": Field(lambda task: _duration(task.timeout), _maybe_duration("how long a run may take")),
    "attempts": Field(lambda task: task.attempts, _whole("how often a one-off is tried")),
    "failure_threshold": Field(lambda task: task.failure_threshold, _maybe_whole("failures in a row that end it")),
    "consecutive_failures": Field(lambda task: task.consecutive_failures, _whole("failures in a row so far")),
    "schedule_threshold": Field(
        lambda task: _duration(task.schedule_threshold), _maybe_duration("how late a start may be")
    ),
    "cancel_attempts": Field(lambda task: task.cancel_attempts, _whole("how often its cancellation was asked for")),
    "cancel_asked": Field(lambda task: bool(task.cancel_asked), _truth("whether its run is to be interrupted")),
    "suspend_asked": Field(lambda task: bool(task.suspend_asked), _truth("whether its next one is to be suspended")),
    "removed": Field(lambda task: bool(task.removed), _truth("whether its run in progress is the last")),
    "losses": Field(lambda task: task.losses, _whole("how often in a row its run was lost")),
    "unique": Field(lambda task: task.unique_key is not None, _truth("whether it is unique among incomplete tasks")),
    "progress_arg": Field(lambda task: task.progress_arg, _maybe_text("the argument that takes a progress callable")),
}  # fmt: skip
DEFAULT_FIELDS: Final[tuple[str, ...]] = tuple(FIELDS)[:15]

Show = Callable[[Task], dict[str, Any]]


def showing(names: Iterable[str], now: Instant, around: Surroundings | None = None) -> Show:
    """A function that gives those attributes of a task as they are `now`, in the order of the table. Without what is
    around it, a task waits for what it says itself."""
    chosen = set(names)
    timely = partial(show_reasons, around=around, now=now)
    getters = tuple((name, field.get or timely) for name, field in FIELDS.items() if name in chosen)
    return lambda task: {name: get(task) for name, get in getters}


show_task: Final[Show] = showing(DEFAULT_FIELDS, now=0)


def encode_members(tasks: Sequence[Task], show: Show) -> bytes:
    """The tasks as the members of a JSON array, without its brackets."""
    return encode([show(task) for task in tasks])[1:-1]


class ShownWorker(msgspec.Struct, frozen=True, rename={"names": "callables"}):
    """A worker, as `GET /workers/` lists it: `running` is how many runs it holds, `weight` their weights."""

    id: str
    host: str
    pid: int
    app: str | None
    queues: list[str]
    concurrency: int
    start_time: datetime
    heartbeat_time: datetime
    running: int
    weight: int
    names: list[str]


class ShownCallable(msgspec.Struct, frozen=True):
    """A callable that workers have published; `defaults` are the options that its tasks have unless given."""

    name: str
    method_name: str
    aliases: list[str]
    is_async: bool
    signature: str
    docstring: str | None
    defaults: dict[str, Any]


class ShownUser(msgspec.Struct, frozen=True):
    """A user: nothing of its password."""

    name: str
    roles: list[str]
    create_time: datetime


class ShownToken(msgspec.Struct, frozen=True, omit_defaults=True):
    """An API token. `token`, the secret itself, is shown once: in the answer that creates it."""

    id: str
    user: str
    name: str
    create_time: datetime
    expire_time: datetime | None
    token: str | msgspec.UnsetType = msgspec.UNSET


class ShownEvent(msgspec.Struct, frozen=True):
    """An audited event: a call that changed something, or tried to."""

    id: int
    time: datetime
    user: str | None
    address: str | None
    method: str
    path: str
    status: int
    detail: str | None
