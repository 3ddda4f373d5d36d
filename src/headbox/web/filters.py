"""The filters of `GET /tasks/` as query parameters, and what a query of them means: a `Filter` of the store."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, get_args

from headbox.domain.errors import InvalidSchedule
from headbox.domain.iso8601 import parse_instant
from headbox.domain.task import Instant, Task
from headbox.domain.waiting import Surroundings
from headbox.storage.records import Filter, StateFilter
from headbox.web.operations import Parameter
from headbox.web.permissions import Principal
from headbox.web.problems import Problem
from headbox.web.query import Query, single
from headbox.web.representations import FIELDS, WAITING_FOR, Show, show_task
from headbox.web.request import Request

STATES: Final[tuple[str, ...]] = get_args(StateFilter)
OUTCOMES: Final = ("finished", "error", "timed_out", "canceled", "reset")

_TEXT: Final = {"type": "string"}
_TIME: Final = {"type": "string", "format": "date-time"}

FILTERS: Final = (
    Parameter("id", _TEXT, "task id", repeated=True),
    Parameter(
        "state", {"type": "string", "enum": list(STATES)}, "a group of states or one state, in any case", repeated=True
    ),
    Parameter("method_name", _TEXT, "bare name of what is called", repeated=True),
    Parameter("class_name", _TEXT, "class of what is called", repeated=True),
    Parameter("job_id", _TEXT, "job", repeated=True),
    Parameter("queue", _TEXT, "queue", repeated=True),
    Parameter("owner", _TEXT, "user who enqueued it over HTTP", repeated=True),
    Parameter(
        "outcome", {"type": "string", "enum": list(OUTCOMES)}, "how an archived run ended, in any case", repeated=True
    ),
    Parameter("scheduled_before", _TIME, "scheduled earlier than this"),
    Parameter("scheduled_after", _TIME, "scheduled later than this"),
    Parameter("finished_before", _TIME, "ended earlier than this"),
    Parameter("finished_after", _TIME, "ended later than this"),
    Parameter("text", _TEXT, "text in its id, names, job, arguments or exception, in either case"),
)  # fmt: skip
FIELDS_PARAMETER: Final = Parameter("fields", _TEXT, "attributes to show, separated by commas, or `all`")

_NAMES: Final = (
    ("id", "ids"),
    ("method_name", "method_names"),
    ("class_name", "class_names"),
    ("job_id", "job_ids"),
    ("queue", "queues"),
    ("owner", "owners"),
)


def parse_filter(query: Query, caller: Principal) -> Filter:
    """The filter that a query means to this caller; 400 for a value that is impossible."""
    values: dict[str, Any] = {field: tuple(query.get(name, ())) for name, field in _NAMES}
    return Filter(
        states=_among(query, "state", STATES),
        outcomes=_among(query, "outcome", OUTCOMES),
        scheduled_before=_instant(query, "scheduled_before"),
        scheduled_after=_instant(query, "scheduled_after"),
        finished_before=_instant(query, "finished_before"),
        finished_after=_instant(query, "finished_after"),
        text=single(query, "text"),
        visible_to=caller.sight,
        **values,
    )


def filters_anything(query: Query) -> bool:
    """Whether the query has at least one filter."""
    return any(parameter.name in query for parameter in FILTERS)


def _among(query: Query, name: str, valid: Iterable[str]) -> Any:
    given = tuple(value.lower() for value in query.get(name, ()))
    errors = [
        {"parameter": name, "detail": f"{value[:50]!r} is no {name}; valid are {', '.join(valid)}"}
        for value in given
        if value not in valid
    ]
    if errors:
        raise Problem(400, errors[0]["detail"], errors=errors)
    return given


def _instant(query: Query, name: str) -> Instant | None:
    text = single(query, name)
    try:
        return None if text is None else parse_instant(text)
    except InvalidSchedule as error:
        raise Problem(400, f"{name}: {error}") from None


def parse_fields(query: Query, now: Instant, around: Surroundings | None = None) -> Show:
    """How to show tasks under `?fields=…`, in these surroundings; 400 for a field that does not exist."""
    text = single(query, "fields")
    if text is None:
        return show_task
    names = FIELDS if text == "all" else [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in FIELDS]
    if unknown:
        raise Problem(
            400,
            f"there is no field {unknown[0][:50]!r}; valid are {', '.join(FIELDS)}, or all",
            errors=[{"parameter": "fields", "detail": f"there is no field {name[:50]!r}"} for name in unknown],
        )
    return Show(names, now, around)


async def show_for(request: Request, task: Task | None = None) -> Show:
    """The same with what is around the tasks, where it is asked why they wait; for one task, also what is before it."""
    names = [name.strip() for name in (single(request.query, "fields") or "").split(",")]
    is_asked = "all" in names or WAITING_FOR in names
    around = await request.call(request.store.surroundings, request.now, task) if is_asked else None
    return parse_fields(request.query, request.now, around)
