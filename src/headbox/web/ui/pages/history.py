"""How runs have ended, day by day: a calendar of the last year. It is drawn from the statistics' figures, which cost
the same however many runs there are; what these do not tell apart is counted among the newest runs."""

from __future__ import annotations

from calendar import Calendar, month_name
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from math import ceil, sqrt
from typing import Any, Final

import msgspec

from headbox.domain.iso8601 import time_of
from headbox.domain.statistics import Period
from headbox.domain.task import DAY, SECOND, Instant
from headbox.web.operations import Operation, Parameter
from headbox.web.problems import Problem
from headbox.web.query import single
from headbox.web.request import Request
from headbox.web.ui.layout import Layout
from headbox.web.ui.page import Page
from headbox.web.ui.search import NEWEST, OUTCOMES, Search, filter_of, read_search
from headbox.web.ui.segments import Segment, segments
from headbox.web.ui.wording import show_number

LEVELS: Final = 4  # shades of a day, by how much ended on it
BAR: Final = 100  # units across a day's bar
LEAST: Final = 12
MONTHS: Final = 13
Ends = Mapping[str, int]
Days = Mapping[Instant, Ends]


class Cell(msgspec.Struct, frozen=True):
    """A day of the calendar; `level` is 0 where nothing ended on it."""

    date: date
    total: int
    level: int
    bar: list[Segment]
    text: str


class Month(msgspec.Struct, frozen=True):
    """A month of it, by weeks; None: a day of another month."""

    title: str
    weeks: list[list[Cell | None]]


class Chosen(msgspec.Struct, frozen=True):
    """What is told in numbers: one day, or all that the calendar shows. `query` finds its runs among the tasks."""

    title: str
    ends: Ends
    bar: list[Segment]
    query: Search
    period: Period | None = None  # of a day: what else has happened on it

    @property
    def total(self) -> int:
        """How many runs ended."""
        return sum(self.ends.values())


def load(request: Request) -> dict[str, Any]:
    """The calendar, and one day of it or all."""
    search = read_search({name: values for name, values in request.query.items() if name != "day"} | {"ended": ["1"]})
    day = read_day(request)
    periods = {period.start_time: period for period in request.store.days(request.now)}
    days, since = counted(request, search, periods)
    months = calendar(days, request.now)
    return {
        "search": search,
        "outcomes": OUTCOMES,
        "months": months,
        "chosen": choose(day, days, search, None if is_told_apart(search) or day is None else periods.get(day)),
        "day": None if day is None else _date(day),
        "since": since,
        "is_culled": day is not None and day + DAY < request.now - request.service.settings.history_lifetime,
        "newest": NEWEST,
        "methods": sorted({callable.short_name for callable in request.store.callables()}),
    }


def is_told_apart(search: Search) -> bool:
    """Whether only some runs are looked for, which the figures do not tell from others."""
    return bool(search.method or search.queue)


def read_day(request: Request) -> Instant | None:
    """The day that the address names; 400 for one that is none."""
    text = single(request.query, "day")
    if not text:
        return None
    try:
        found = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
        found + timedelta(days=1)  # the last day that there is has no end
    except (ValueError, OverflowError):
        raise Problem(400, f"day is {text[:50]!r}; give one as 2026-11-24") from None
    return int(found.timestamp()) * SECOND


def counted(request: Request, search: Search, periods: Mapping[Instant, Period]) -> tuple[Days, Instant | None]:
    """The ends that are looked for, by day, and how far back they were looked for if not to the first."""
    wanted = search.state or OUTCOMES
    if not is_told_apart(search):
        return {day: {state: getattr(period, state) for state in wanted} for day, period in periods.items()}, None
    ends = request.store.ends_by_day(filter_of(search, request.principal, request.now), request.now)
    return ends.days, ends.since


def calendar(days: Days, now: Instant) -> list[Month]:
    """From the present month back to the first with anything in it; none at all where nothing is."""
    totals = {day: sum(ends.values()) for day, ends in days.items()}
    first = min((day for day, total in totals.items() if total), default=None)
    if first is None:
        return []
    most = max(totals.values())
    cells = {_date(day): cell(_date(day), ends, most) for day, ends in days.items()}
    present, last = _month(now), _month(first)
    return [_weeks(*divmod(month, 12), cells) for month in range(present, max(last, present - MONTHS + 1) - 1, -1)]


def _month(instant: Instant) -> int:
    return 12 * _date(instant).year + _date(instant).month - 1


def _weeks(year: int, month: int, cells: Mapping[date, Cell]) -> Month:
    weeks = Calendar().monthdatescalendar(year, month + 1)
    return Month(
        f"{month_name[month + 1]} {year}",
        [[cells.get(day) or cell(day, {}, 1) if day.month == month + 1 else None for day in week] for week in weeks],
    )


def cell(day: date, ends: Ends, most: int) -> Cell:
    """A day, shaded by how much ended on it beside the day with the most."""
    total = sum(ends.values())
    parts = [f"{show_number(ends[state])} {state.replace('_', ' ')}" for state in OUTCOMES if ends.get(state)]
    return Cell(
        day,
        total,
        ceil(LEVELS * sqrt(total / most)) if total else 0,
        segments(ends, OUTCOMES, BAR, LEAST),
        f"{day:%A} {day.day} {day:%B}: {', '.join(parts) or 'nothing'}",
    )


def choose(day: Instant | None, days: Days, search: Search, period: Period | None) -> Chosen:
    """That day in numbers, or all days together."""
    ends = together(days.values()) if day is None else days.get(day, {})
    if day is None:
        return Chosen("All days", ends, segments(ends, OUTCOMES), search)
    begin, end = (f"{_date(instant).isoformat()}T00:00" for instant in (day, day + DAY))
    query = msgspec.structs.replace(search, after=begin, before=end)
    title = f"{_date(day):%A}, {_date(day).day} {_date(day):%B %Y}"
    return Chosen(title, ends, segments(ends, OUTCOMES), query, period)


def together(days: Iterable[Ends]) -> Ends:
    """The sum."""
    total: Counter[str] = Counter()
    for ends in days:
        total.update(ends)
    return total


def _date(instant: Instant) -> date:
    return time_of(instant).date()


PAGE: Final = Page(
    path="/ui/history/",
    title="History",
    template="ui/history.html",
    load=load,
    parameters=(
        Parameter("state", {"type": "string"}, "how runs ended", repeated=True),
        Parameter("method", {"type": "string"}, "of what was called"),
        Parameter("queue", {"type": "string"}, "in which queue"),
        Parameter("day", {"type": "string"}, "the day that is told in numbers"),
    ),
    fragments=("chosen", "present", "past"),
)


def operations(layout: Layout) -> tuple[Operation, ...]:
    """The rows of the route table."""
    return (layout.operation(PAGE),)
