"""The filters of `find` and `count` in Python, and what they mean to the store."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any, Final, TypedDict, get_args

from headbox.domain.errors import InvalidFilter
from headbox.domain.iso8601 import instant_of
from headbox.domain.states import STATES
from headbox.storage.records import Filter, StateFilter

Texts = str | Collection[str]


class Filters(TypedDict, total=False):
    """Which tasks are meant: values of one filter are alternatives, all filters must hold. No `state`: the current."""

    id: Texts
    state: Texts  # a group (waiting, running, incomplete, complete, current, archived) or one state
    outcome: Texts  # of archived runs
    method_name: Texts
    class_name: Texts
    job_id: Texts
    queue: Texts
    owner: Texts
    scheduled_before: datetime
    scheduled_after: datetime


def read_filters(given: Mapping[str, Any]) -> Filter:
    """The filter of the store. InvalidFilter for one that does not exist or has an impossible value."""
    for name in given:
        if name not in _READERS:
            raise InvalidFilter(f"there is no filter {name}: valid are {', '.join(_READERS)}")
    return Filter(**dict(_READERS[name](value) for name, value in given.items()))


Reader = Callable[[Any], tuple[str, Any]]


def _texts(name: str, field: str, valid: tuple[str, ...] | None = None) -> Reader:
    def read(value: Any) -> tuple[str, Any]:
        texts = tuple(value) if isinstance(value, (list, tuple, set, frozenset)) else (value,)
        if valid is not None:
            texts = tuple(str(text).lower() for text in texts)
        for text in texts:
            if not isinstance(text, str) or (valid is not None and text not in valid):
                raise InvalidFilter(f"{text!r:.80} is no {name}: valid are {', '.join(valid or ('texts',))}")
        return field, texts

    return read


def _time(name: str) -> Reader:
    def read(value: Any) -> tuple[str, Any]:
        if not isinstance(value, datetime) or value.utcoffset() is None:
            raise InvalidFilter(f"{name} is {value!r:.80}: give an aware datetime, such as datetime.now(UTC)")
        return name, instant_of(value)

    return read


_READERS: Final[dict[str, Reader]] = {
    "id": _texts("id", "ids"),
    "state": _texts("state", "states", get_args(StateFilter)),
    "outcome": _texts("outcome", "outcomes", tuple(state for state in STATES if state not in ("waiting", "running"))),
    "method_name": _texts("method_name", "method_names"),
    "class_name": _texts("class_name", "class_names"),
    "job_id": _texts("job_id", "job_ids"),
    "queue": _texts("queue", "queues"),
    "owner": _texts("owner", "owners"),
    "scheduled_before": _time("scheduled_before"),
    "scheduled_after": _time("scheduled_after"),
}
