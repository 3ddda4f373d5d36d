"""How tasks, workers and the rest look over HTTP (API.md, Representations). What is stored as public JSON goes out as
it is: nothing is decoded, so that long lists are fast."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import chain, repeat
from typing import Any, Final

import msgspec

from headbox.domain.iso8601 import format_duration, time_of
from headbox.domain.states import STATES
from headbox.domain.task import FIELDS as COLUMNS
from headbox.domain.task import Instant, Task
from headbox.domain.waiting import Reason, Surroundings, waiting_for

encode: Final = msgspec.json.Encoder().encode
_verbatim: Final = msgspec.json.Decoder(msgspec.Raw).decode  # checks the syntax, decodes nothing

WAITING_FOR: Final = "waiting_for"

Schema = dict[str, Any]
Row = tuple[Any, ...]


def _public(public: str | None, payload: bytes | None = None) -> Any:
    """What may be shown of a payload. A pickle without a public form and a damaged row show nothing."""
    try:
        return _verbatim(payload or b"" if public is None else public)
    except (msgspec.DecodeError, RecursionError):
        return None


def show_reasons(task: Task, around: Surroundings | None, now: Instant) -> list[dict[str, Any]]:
    """Why a task does not run yet: of each reason its kind, a sentence, and what that is made of."""
    return [_show_reason(reason) for reason in waiting_for(task, around, now)]


def _show_reason(reason: Reason) -> dict[str, Any]:
    data = dict(reason.data)
    if isinstance(due := data.get("due_time"), int):
        data["due_time"] = time_of(due)
    return {"reason": reason.reason, "text": reason.text, **data}


class Field(msgspec.Struct, frozen=True):
    """One attribute of a Task: its JSON schema, the columns that it is made of (that of its name unless given), how it
    is made of them (as it is unless given), and what it is where these are all NULL."""

    schema: Schema
    columns: tuple[str, ...] = ()
    make: Callable[..., Any] | None = None
    empty: Any = None


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
    "id": Field(_text("its id, a UUID")),
    "job_id": Field(_maybe_text("the job it belongs to")),
    "class_name": Field(_maybe_text("the class, where an instance's method was called")),
    "method_name": Field(_text("the bare name of what is called")),
    "args": Field(
        {"type": ["array", "null"], "description": "positional arguments; objects appear as their repr"},
        ("public_args", "args"),
        make=_public,
        empty=(),
    ),
    "state": Field({"type": "string", "enum": list(STATES)}),
    "start_time": Field(_maybe_time("when it started running"), make=time_of),
    "finish_time": Field(_maybe_time("when it finished running"), make=time_of),
    "result": Field({"description": "what it returned"}, ("public_result", "result"), make=_public),
    "exception": Field(_maybe_text("the error, where one occurred")),
    "traceback": Field(_maybe_text("the error's traceback")),
    "progress": Field({"description": "what it last reported"}, make=_public),
    "scheduled_time": Field(_maybe_time("when it is to run; null for immediate tasks"), make=time_of),
    "scheduler": Field({"type": "string", "enum": ["immediate", "at", "interval", "cron"]}),
    "snapshot_id": Field(_maybe_text("its snapshot, while a run is in flight")),
    "callable": Field(_text("the registered name, module:qualname unless named")),
    "kwargs": Field(
        {"type": ["object", "null"], "description": "keyword arguments"},
        ("public_kwargs", "kwargs"),
        make=_public,
        empty={},
    ),
    "run": Field(_whole("which of the task's runs this is, from 1")),
    "final": Field(_truth("whether this archived run was the task's last"), make=bool),
    "queue": Field(_text("the queue it waits in")),
    "priority": Field(_whole("from -9 to 9; the highest runs first")),
    "weight": Field(_whole("how much of a worker's concurrency it takes")),
    "owner": Field(_maybe_text("the user who enqueued it over HTTP")),
    "worker": Field(_maybe_text("the worker that runs it, or ran it")),
    "enqueue_time": Field(_maybe_time("when it was enqueued"), make=time_of),
    "due_time": Field(_maybe_time("when it may run"), make=time_of),
    WAITING_FOR: Field(_REASONS, COLUMNS),  # the time makes it, too
    "schedule": Field(_maybe_text("its schedule; null for immediate tasks")),
    "schedule_name": Field(_maybe_text("the name of a declared schedule")),
    "declared_by": Field(_maybe_text("the application that declares the schedule")),
    "runs_left": Field(_maybe_whole("runs that a schedule has left; null: no end")),
    "timeout": Field(_maybe_duration("how long a run may take"), make=format_duration),
    "attempts": Field(_whole("how often a one-off is tried")),
    "failure_threshold": Field(_maybe_whole("failures in a row that end it")),
    "consecutive_failures": Field(_whole("failures in a row so far")),
    "schedule_threshold": Field(_maybe_duration("how late a start may be"), make=format_duration),
    "cancel_attempts": Field(_whole("how often its cancellation was asked for")),
    "cancel_asked": Field(_truth("whether its run is to be interrupted"), make=bool),
    "suspend_asked": Field(_truth("whether its next one is to be suspended"), make=bool),
    "removed": Field(_truth("whether its run in progress is the last"), make=bool),
    "losses": Field(_whole("how often in a row its run was lost")),
    "unique": Field(_truth("whether it is unique among incomplete tasks"), ("unique_key",), make=bool, empty=False),
    "progress_arg": Field(_maybe_text("the argument that takes a progress callable")),
}  # fmt: skip
DEFAULT_FIELDS: Final[tuple[str, ...]] = tuple(FIELDS)[:15]


class Show:
    """How tasks look that show some of their attributes, in the order of the table, as they are `now`. Without what is
    around them they wait for what they say themselves. `columns`: what has to be known of a task."""

    def __init__(self, names: Iterable[str], now: Instant, around: Surroundings | None = None) -> None:
        chosen = frozenset(names)
        fields = {name: field for name, field in FIELDS.items() if name in chosen}
        columns = {name: field.columns or (name,) for name, field in fields.items()}
        timely = {WAITING_FOR: lambda *values: show_reasons(Task(*values), around, now)}
        self.columns = tuple(dict.fromkeys(("id", *chain.from_iterable(columns.values()))))
        self._made = [
            ([self.columns.index(column) for column in columns[name]], timely.get(name, field.make), field.empty)
            for name, field in fields.items()
        ]
        self._shown = _shape(tuple(fields))

    def __call__(self, task: Task) -> Any:
        """One task, for the encoder."""
        return self.tasks([task])[0]

    def tasks(self, tasks: Iterable[Task]) -> list[Any]:
        """Some tasks, for the encoder."""
        return self.rows([tuple(getattr(task, column) for column in self.columns) for task in tasks])

    def rows(self, rows: Sequence[Row]) -> list[Any]:
        """The same of rows of `columns`. Made column by column: in a long list most are what they are, or empty."""
        values = list(zip(*rows, strict=True))
        made = (_make([values[place] for place in places], make, empty) for places, make, empty in self._made)
        return list(map(self._shown, *made)) if rows else []


def _make(columns: Sequence[Sequence[Any]], make: Callable[..., Any] | None, empty: Any) -> Iterable[Any]:
    if make is None:
        return columns[0]
    if all(column.count(None) == len(column) for column in columns):
        return repeat(empty, len(columns[0]))
    nothing = (None,) * len(columns)
    return [empty if values == nothing else make(*values) for values in zip(*columns, strict=True)]


@lru_cache(64)
def _shape(names: tuple[str, ...]) -> Callable[..., Any]:
    """A record of these attributes: it takes half the time of a dictionary to make."""
    return msgspec.defstruct("ShownTask", names, frozen=True, gc=False)


show_task: Final = Show(DEFAULT_FIELDS, now=0)


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
