"""The verbs that read: one task, what a filter finds, a page of it, all of it row by row, jobs. Filters become SQL
here, from a table of columns; every value is a parameter."""

# ruff: noqa: S608 - the SQL is put together from the constants of this room, never from what a user typed

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from itertools import groupby, islice, starmap
from operator import attrgetter
from string import ascii_lowercase, ascii_uppercase
from typing import Any

import msgspec

from headbox.domain.errors import InvalidFilter, UnknownName, UnknownTask
from headbox.domain.states import COMPLETE, INCOMPLETE, RESET, RUNNING, SUSPENDED, WAITING, Event
from headbox.domain.task import DAY, FIELDS, Instant, Span, Task
from headbox.storage.database import Row, Transaction
from headbox.storage.records import End, EndsByDay, Filter, Job, Page, StateFilter

# What each state filter means: live states, final states of the recent past, or the archive.
LIVE_STATES: dict[StateFilter, tuple[str, ...]] = {
    "waiting": (WAITING, RESET, SUSPENDED),
    "running": (RUNNING,),
    "incomplete": INCOMPLETE,
    "current": INCOMPLETE,
    "reset": (RESET,),
    "suspended": (SUSPENDED,),
}
COMPLETE_STATES: dict[StateFilter, tuple[str, ...]] = {
    "complete": COMPLETE,
    "current": COMPLETE,
    "finished": ("finished",),
    "error": ("error",),
    "timed_out": ("timed_out",),
    "canceled": ("canceled",),
}
_COLUMNS = {
    "ids": "id",
    "method_names": "method_name",
    "class_names": "class_name",
    "job_ids": "job_id",
    "queues": "queue",
    "owners": "owner",
}
_FIELDS = ", ".join(FIELDS)
_NEWEST_FIRST = "finish_time DESC, id DESC, run DESC"
MOST = 2**63 - 1
_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)


class Cursor(msgspec.Struct, array_like=True, frozen=True):
    """Where a page ended: after a current task's id, or after an archived run."""

    id: str
    finish_time: Instant | None = None
    run: int = 0

    def text(self) -> str:
        """The opaque form."""
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).decode().rstrip("=")

    @staticmethod
    def parse(text: str) -> Cursor:
        """Reads the opaque form back; InvalidFilter."""
        try:
            cursor = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=Cursor)
            if max(abs(cursor.finish_time or 0), abs(cursor.run)) >= 2**63:
                raise ValueError("beyond what a database holds")
            return cursor
        except (ValueError, msgspec.MsgspecError):
            raise InvalidFilter("cursor: not one that this server gave; follow the Link header's rel=next") from None


class Selection:
    """A filter as SQL: one statement for current tasks, one for archived runs, None where it asks for none."""

    def __init__(self, filter: Filter, now: Instant, finished_lifetime: Span, searched: str = "") -> None:
        self._parameters: dict[str, Any] = {}
        self._searched = searched
        states = filter.states or (("archived",) if filter.outcomes else ("current",))
        live: set[str] = set(filter.exactly) or {state for name in states for state in LIVE_STATES.get(name, ())}
        groups = () if filter.exactly else states
        complete = {state for name in groups for state in COMPLETE_STATES.get(name, ())}
        common = self._conditions(filter)
        self._ended = self._times(filter)
        since = self._parameter(now - finished_lifetime)
        recent = (
            f"final = {self._parameter(True)} AND finish_time > {since} AND state IN ({self._list(sorted(complete))})"
        )
        self._live = [*common, *self._ended, self._live_states(live)] if live and not filter.outcomes else None
        self._complete = [*common, *self._ended, recent] if complete and not filter.outcomes else None
        self._archived = None
        self._newest = filter.newest
        self._indexed: list[str] = []
        if "archived" in groups:
            once = [f"NOT ({recent})"] if self._complete is not None else []
            final = [] if filter.final is None else [f"final = {self._parameter(filter.final)}"]
            outcomes = self._outcomes(filter)
            self._archived = [*common, *once, *outcomes, *final]
            self._indexed = self._met_alone(filter, outcomes)

    def _outcomes(self, filter: Filter) -> list[str]:
        """Says beside the values what the index of unusual outcomes has to hear to be used."""
        unusual = ["state <> 'finished'"] if "finished" not in filter.outcomes else []
        return [f"state IN ({self._list(filter.outcomes)})", *unusual] if filter.outcomes else []

    def _met_alone(self, filter: Filter, outcomes: list[str]) -> list[str]:
        """Conditions on archived runs for which there is an index, so that no other runs are looked at."""
        if filter.job_ids:
            return [f"job_id IN ({self._list(filter.job_ids)})"]
        return outcomes if len(outcomes) > 1 else []

    def _live_states(self, states: set[str]) -> str:
        return "1 = 1" if states == set(INCOMPLETE) else f"state IN ({self._list(sorted(states))})"

    def _conditions(self, filter: Filter) -> list[str]:
        conditions = [
            f"{column} IN ({self._list(values)})"
            for name, column in _COLUMNS.items()
            if (values := getattr(filter, name))
        ]
        if filter.visible_to is not None:
            conditions.append(f"owner = {self._parameter(filter.visible_to)}")
        if filter.scheduled_before is not None:
            conditions.append(f"scheduled_time < {self._parameter(filter.scheduled_before)}")
        if filter.scheduled_after is not None:
            conditions.append(f"scheduled_time > {self._parameter(filter.scheduled_after)}")
        if filter.text:
            conditions.append(f"(id = {self._parameter(filter.text.lower())} OR {self._likes(filter.text)})")
        return conditions

    def _likes(self, text: str) -> str:
        """Whether any text that may be searched has this in it."""
        wanted = text.translate(_LOWER)
        searched = self._searched.replace(":pattern", self._parameter(_pattern(wanted)))
        return (
            searched.replace(":octal", self._parameter(_pattern(_octal(wanted)))) if ":octal" in searched else searched
        )

    def _times(self, filter: Filter) -> list[str]:
        """Between which times a run ended: no task that is not complete did."""
        bounds = (("<", filter.finished_before), (">", filter.finished_after))
        return [f"finish_time {sign} {self._parameter(time)}" for sign, time in bounds if time is not None]

    def _parameter(self, value: Any) -> str:
        name = f"p{len(self._parameters)}"
        self._parameters[name] = value
        return f":{name}"

    def _list(self, values: Any) -> str:
        return ", ".join(self._parameter(value) for value in values)

    def current(
        self, tx: Transaction, after: str = "", limit: int | None = None, columns: Sequence[str] = FIELDS
    ) -> Iterator[Row]:
        """Those columns of current tasks, oldest id first, from behind `after`."""
        place, asked = f"id > {self._parameter(after)}", ", ".join(columns)
        parts, recent = [], ""
        if self._live is not None:
            parts.append(f"SELECT {asked} FROM headbox_tasks WHERE {' AND '.join([*self._live, place])}")
        if self._complete is not None:
            # Found by their finish_time, then sorted: in the order of ids the whole archive would be walked through.
            where = " AND ".join(self._complete)
            recent = f"WITH recent AS MATERIALIZED (SELECT {asked} FROM headbox_task_history WHERE {where}) "
            parts.append(f"SELECT {asked} FROM recent WHERE {place}")
        if not parts:
            return iter(())
        sql = f"{recent}{' UNION ALL '.join(parts)} ORDER BY id{self._limited(limit)}"
        return tx.select(sql, self._parameters)

    def archived(
        self, tx: Transaction, after: Cursor | None = None, limit: int | None = None, columns: Sequence[str] = FIELDS
    ) -> Iterator[Row]:
        """Those columns of archived runs, newest finish_time first, from behind `after`."""
        if self._archived is None:
            return iter(())
        asked, found = ", ".join(columns), self._archive(tx, after)
        return tx.select(f"SELECT {asked} {found} ORDER BY {_NEWEST_FIRST}{self._limited(limit)}", self._parameters)

    def _archive(self, tx: Transaction, after: Cursor | None = None) -> str:
        """Where archived runs are found: from behind `after`, and no further back than the filter says."""
        bounds, conditions = list(self._ended), list(self._archived or ())
        last = self._last(tx, [*bounds, *self._indexed]) if conditions else None
        if after is not None:
            place = ", ".join(self._parameter(value) for value in (after.finish_time, after.id, after.run))
            bounds.append(f"(finish_time, id, run) < ({place})")
        return f"FROM headbox_task_history{_where([*bounds, *self._no_further(last), *conditions])}"

    def _last(self, tx: Transaction, bounds: Sequence[str]) -> Row | None:
        """The last run that is looked at; None where all are. Read off the index alone."""
        if self._newest is None:
            return None
        place = f"ORDER BY {_NEWEST_FIRST} LIMIT 1 OFFSET {self._parameter(self._newest - 1)}"
        sql = f"SELECT finish_time, id, run FROM headbox_task_history{_where(bounds)} {place}"
        return next(iter(tx.select(sql, self._parameters)), None)

    def _no_further(self, last: Row | None) -> list[str]:
        if last is None:
            return []
        return [f"(finish_time, id, run) >= ({', '.join(self._parameter(value) for value in last)})"]

    def days(self, tx: Transaction) -> EndsByDay:
        """How archived runs have ended, by UTC day."""
        last, day = self._last(tx, [*self._ended, *self._indexed]), self._parameter(DAY)
        where = _where([*self._ended, *self._no_further(last), *(self._archived or ())])
        sql = f"SELECT finish_time / {day} * {day}, state, count(*) FROM headbox_task_history{where} GROUP BY 1, 2"
        found: dict[Instant, dict[str, int]] = {}
        for start, state, number in tx.select(sql, self._parameters):
            found.setdefault(start, {})[state] = number
        return EndsByDay(found, None if last is None else last[0])

    def ids(self, tx: Transaction, event: Event, after: Cursor, limit: int) -> tuple[list[str], Cursor | None]:
        """The tasks that `event` may change, from behind `after`: those that are not complete, or for a reset those
        that are. Up to `limit` of them, and where the next begin."""
        if event == "reset":
            return self._complete_ids(tx, after, limit)
        if self._live is None:
            return [], None
        where = _where([*self._live, f"id > {self._parameter(after.id)}"])
        rows = tx.select(f"SELECT id FROM headbox_tasks{where} ORDER BY id{self._limited(limit)}", self._parameters)
        ids = [id for (id,) in rows]
        return ids, Cursor(ids[-1]) if len(ids) == limit else None

    def _complete_ids(self, tx: Transaction, after: Cursor, limit: int) -> tuple[list[str], Cursor | None]:
        """Newest first: whatever was reset is not in front of the next any more."""
        parts = [part for part in (self._complete, self._archived) if part is not None]
        if not parts:
            return [], None
        groups = " OR ".join(f"({' AND '.join(part) or '1 = 1'})" for part in parts)
        conditions = [f"final = {self._parameter(True)}", *self._ended, f"({groups})"]
        if after.finish_time is not None:
            place = ", ".join(self._parameter(value) for value in (after.finish_time, after.id, after.run))
            conditions.append(f"(finish_time, id, run) < ({place})")
        sql = f"SELECT id, finish_time, run FROM headbox_task_history{_where(conditions)} ORDER BY {_NEWEST_FIRST}"
        rows = list(tx.select(sql + self._limited(limit), self._parameters))
        return [id for id, _, _ in rows], Cursor(*rows[-1]) if len(rows) == limit else None

    def first(self, tx: Transaction, limit: int, counting: int) -> tuple[list[Task], Cursor, int] | None:
        """The first so many, where the next begin, and how many there are, at most `counting`: in one walk. None where
        the filter finds tasks of several kinds, or recent ones."""
        if self._complete is not None or (self._live is None) == (self._archived is None):
            return None
        if self._live is not None:
            table, sql = "headbox_tasks", f"SELECT id FROM headbox_tasks{_where(self._live)} ORDER BY id"
        else:
            table = "headbox_task_history"
            sql = f"SELECT id, finish_time, run {self._archive(tx)} ORDER BY {_NEWEST_FIRST}"
        places = [Cursor(*row) for row in tx.select(sql + self._limited(counting), self._parameters)]
        shown = places[:limit]
        return self._at(tx, table, shown), shown[-1] if shown else Cursor(""), len(places)

    def _at(self, tx: Transaction, table: str, places: Sequence[Cursor]) -> list[Task]:
        """The tasks or runs at those places, in their order."""
        if not places:
            return []
        each = [
            f"id = {self._parameter(place.id)}" + (f" AND run = {self._parameter(place.run)}" if place.run else "")
            for place in places
        ]
        rows = tx.select(f"SELECT {_FIELDS} FROM {table} WHERE ({') OR ('.join(each)})", self._parameters)
        found = {(task.id, task.run if places[0].run else 0): task for task in (Task(*row) for row in rows)}
        return [found[place.id, place.run] for place in places]

    def _limited(self, limit: int | None) -> str:
        return "" if limit is None else f" LIMIT {self._parameter(limit)}"

    def count(self, tx: Transaction, limit: int | None = None) -> int:
        """How many the filter finds, at most `limit` of each kind."""
        total = 0
        for found, place in (
            (self._live, f"FROM headbox_tasks{_where(self._live or ())}"),
            (self._complete, f"FROM headbox_task_history{_where(self._complete or ())}"),
            (self._archived, "" if self._archived is None else self._archive(tx)),
        ):
            if found is not None:
                counted = f"SELECT count(*) FROM (SELECT 1 {place}{self._limited(limit)}) AS found"
                total += next(iter(tx.select(counted, self._parameters)))[0]
        return total


def _where(conditions: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _pattern(text: str) -> str:
    """What is like a text that has this in it; a backslash takes its meaning from the character behind it."""
    return "%" + re.sub(r"[\\%_]", r"\\\g<0>", text) + "%"


def _octal(text: str) -> str:
    """As PostgreSQL tells bytes: what is beyond ASCII in octal."""
    return re.sub(r"[^\x00-\x7f]+", lambda some: "".join(f"\\{byte:03o}" for byte in some[0].encode()), text)


def rows(tx: Transaction, selection: Selection, columns: Sequence[str]) -> Iterator[Row]:
    """Those columns of everything selected, in order, row by row; the id has to be among them."""
    yield from selection.current(tx, columns=columns)
    yield from selection.archived(tx, columns=columns)


def find(tx: Transaction, selection: Selection, limit: int, cursor: str | None, counting: int | None) -> Page:
    """Up to `limit` tasks from behind the cursor; with `counting` also how many there are in all, at most so many, and
    where it can be in one walk."""
    if counting is None:
        return _page(tx, selection, limit, cursor)
    first = selection.first(tx, limit, counting) if cursor is None else None
    if first is None:
        found = _page(tx, selection, limit, cursor)
        return Page(found.tasks, found.cursor, selection.count(tx, counting))
    tasks, behind, count = first
    return Page(tasks, behind.text() if count > len(tasks) else None, count)


def _page(tx: Transaction, selection: Selection, limit: int, cursor: str | None) -> Page:
    after = Cursor("") if cursor is None else Cursor.parse(cursor)
    found: list[tuple[Task, Cursor]] = []
    if after.finish_time is None:
        found += [(task, Cursor(task.id)) for task in starmap(Task, selection.current(tx, after.id, limit + 1))]
    if len(found) <= limit:
        behind = None if after.finish_time is None else after
        runs = selection.archived(tx, behind, limit + 1 - len(found))
        found += [(run, Cursor(run.id, run.finish_time, run.run)) for run in starmap(Task, runs)]
    more = len(found) > limit
    found = found[:limit]
    return Page([task for task, _ in found], found[-1][1].text() if more and found else None)


def run(tx: Transaction, id: str, run: int) -> Task | None:
    """That archived run, None while it has not ended."""
    row = tx.one("archived_run", id=id, run=run)
    return None if row is None else Task(*row)


def upcoming(tx: Transaction, now: Instant, limit: int) -> list[Task]:
    """What is due next: a few of each level, by the index that claims use."""
    levels = [row[:3] for row in tx.all("levels", queues=None)]
    found: list[Task] = []
    for queue, is_async, priority in levels:
        place = {"queue": queue, "is_async": is_async, "priority": priority}
        found += (Task(*row) for row in tx.all("upcoming", now=now, limit=limit, **place))
    return sorted(found, key=attrgetter("due_time", "id"))[:limit]


def history(tx: Transaction, id: str, limit: int | None = None) -> list[Task]:
    """A task's archived runs, newest first; UnknownTask."""
    runs = [Task(*row) for row in tx.all("history", id=id, limit=MOST if limit is None else limit)]
    if not runs and tx.one("live", id=id) is None:
        raise UnknownTask(f"no task has the id {id}; `GET /tasks/` lists those that exist")
    return runs


def recent_ends(tx: Transaction, tasks: Sequence[Task], runs: int) -> dict[str, list[End]]:
    """How the last runs of each task ended, newest first; each is found by its own range of the key."""
    found: dict[str, list[End]] = {task.id: [] for task in tasks}
    if tasks:
        ranges, parameters = [], dict[str, Any]()
        for number, task in enumerate(tasks):
            ranges.append(f"(id = :id{number} AND run >= :run{number})")
            parameters |= {f"id{number}": task.id, f"run{number}": task.run - runs}
        columns = "id, run, state, start_time, finish_time"
        sql = f"SELECT {columns} FROM headbox_task_history WHERE {' OR '.join(ranges)} ORDER BY id, run DESC"
        for id, *end in tx.select(sql, parameters):
            found[id].append(End(*end))
    return found


def snapshots(tx: Transaction) -> list[Task]:
    """The tasks that have a snapshot, oldest first."""
    return sorted((Task(*row) for row in tx.all("snapshots")), key=attrgetter("id"))


def jobs(tx: Transaction, now: Instant, lifetime: Span, job_id: str | None, visible_to: str | None) -> list[Job]:
    """Jobs that have current tasks, each with them, oldest id first."""
    filter = Filter(job_ids=(job_id,) if job_id is not None else (), visible_to=visible_to)
    current = Selection(filter, now, lifetime).current(tx)
    tasks = [task for task in starmap(Task, current) if task.job_id is not None]
    tasks.sort(key=lambda task: (task.job_id or "", task.id))
    return [Job(id, list(group)) for id, group in groupby(tasks, key=lambda task: task.job_id or "")]


def job(tx: Transaction, now: Instant, lifetime: Span, job_id: str, visible_to: str | None) -> Job:
    """One job; UnknownName if it has no current task."""
    found = list(islice(jobs(tx, now, lifetime, job_id, visible_to), 1))
    if not found:
        raise UnknownName(f"no job {job_id} has current tasks; `GET /jobs/` lists those that have")
    return found[0]
