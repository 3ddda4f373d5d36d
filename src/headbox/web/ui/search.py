"""What a person looks for among tasks: read from the address bar, written back to it, and as a filter of the store.
What is live (waits, runs) and what has ended are looked for apart: the one oldest first, the other newest first."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from headbox.domain.errors import InvalidSchedule
from headbox.domain.iso8601 import format_instant, parse_duration, parse_instant
from headbox.domain.states import INCOMPLETE, State
from headbox.domain.task import Instant
from headbox.storage.records import Filter
from headbox.web.operations import Parameter
from headbox.web.permissions import Principal
from headbox.web.problems import Problem
from headbox.web.query import Query, single

OUTCOMES: Final[tuple[State, ...]] = ("finished", "error", "timed_out", "canceled", "reset")
SINCE: Final = (("", "any time"), ("PT10M", "10 minutes"), ("PT1H", "an hour"), ("P1D", "a day"), ("P7D", "a week"))
NEWEST: Final = 100_000  # ended runs that are looked through at a time: the archive is never walked to its end
NEWEST_READ: Final = 50_000  # and that are read for a text
LONGEST: Final = 200  # characters of what is looked for

_NAMES: Final = ("method", "queue", "job", "owner", "text", "since", "after", "before")
PARAMETERS: Final = (
    Parameter("ended", {"type": "string"}, "1: runs that have ended"),
    Parameter("state", {"type": "string"}, "a state", repeated=True),
    *(Parameter(name, {"type": "string"}, "") for name in _NAMES),
)
_MINUTE: Final = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(:\d\d)?Z?", re.ASCII)


class Search(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is looked for; empty: anything. `since` is how long ago a run ended at most, `after` and `before` are times
    as a browser's field gives them, in UTC."""

    ended: bool = False
    state: tuple[State, ...] = ()
    method: str = ""
    queue: str = ""
    job: str = ""
    owner: str = ""
    text: str = ""
    since: str = ""
    after: str = ""
    before: str = ""

    @property
    def states(self) -> tuple[State, ...]:
        """The states to choose from."""
        return OUTCOMES if self.ended else INCOMPLETE

    @property
    def is_narrow(self) -> bool:
        """Whether it looks for less than all that is live, or all that has ended."""
        return bool(msgspec.structs.replace(self, ended=False) != Search())

    def query(self, **changes: Any) -> str:
        """As the address bar shows it."""
        changed = msgspec.structs.replace(self, **changes)
        pairs = [("ended", "1")] if changed.ended else []
        pairs += [("state", state) for state in changed.state]
        pairs += [(name, getattr(changed, name)) for name in _NAMES if getattr(changed, name)]
        return urlencode(pairs)

    def fixed(self, now: Instant) -> Search:
        """The same with times that do not move on: what was counted is what will be changed."""
        if not self.since:
            return self
        after = format_instant(now - parse_duration(self.since))
        return msgspec.structs.replace(self, since="", after=max(after, self.after))


def read_search(query: Query) -> Search:
    """The search of a query; 400 for what no field of the page gives."""
    ended = single(query, "ended") == "1"
    states = tuple(dict.fromkeys(query.get("state", ())))
    valid = OUTCOMES if ended else INCOMPLETE
    unknown = [state for state in states if state not in valid]
    if unknown:
        raise Problem(400, f"{unknown[0][:50]!r} is no state to look for here; valid are {', '.join(valid)}")
    texts = {name: _given(query, name) for name in _NAMES}
    long = [name for name, text in texts.items() if len(text) > LONGEST]
    if long:
        raise Problem(400, f"{long[0]} is too long; give at most {LONGEST} characters")
    if texts["since"] not in dict(SINCE):
        raise Problem(400, f"since is {texts['since'][:50]!r}; choose one of {', '.join(dict(SINCE))}")
    return Search(ended=ended, state=states, **texts)  # type: ignore[arg-type]


def _given(query: Query, name: str) -> str:
    """A field as it was filled in. A job's name may begin or end with a space, and another job's may not."""
    text = single(query, name) or ""
    return text if name == "job" else text.strip()


def filter_of(search: Search, me: Principal, now: Instant) -> Filter:
    """The filter of the store; 400 for a time that is none."""
    named = {
        "method_names": search.method, "queues": search.queue, "job_ids": search.job, "owners": search.owner,
    }  # fmt: skip
    given: dict[str, Any] = {field: (value,) for field, value in named.items() if value}
    given |= {"visible_to": me.sight, "text": search.text or None}
    if not search.ended:
        return Filter(exactly=search.state or INCOMPLETE, **given)
    bounds = [_instant(search.after, "after"), now - parse_duration(search.since) if search.since else None]
    return Filter(
        states=("archived",),
        outcomes=search.state,
        finished_after=max((bound for bound in bounds if bound is not None), default=None),
        finished_before=_instant(search.before, "before"),
        newest=NEWEST_READ if search.text else NEWEST,
        **given,
    )


def _instant(text: str, name: str) -> Instant | None:
    if not text:
        return None
    minute = _MINUTE.fullmatch(text)
    try:
        return parse_instant(f"{minute[1]}T{minute[2]}{minute[3] or ':00'}Z" if minute else text)
    except InvalidSchedule as error:
        raise Problem(400, f"{name}: {error}") from None
