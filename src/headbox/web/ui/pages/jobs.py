"""The jobs: tasks that belong together, how far each is, and its end before its time."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from headbox.domain.iso8601 import format_instant
from headbox.domain.states import COMPLETE, INCOMPLETE, RESET, RUNNING, SUSPENDED, WAITING
from headbox.storage.records import JobCounts
from headbox.web.operations import Operation, Parameter
from headbox.web.query import single
from headbox.web.request import Request
from headbox.web.ui.layout import Layout
from headbox.web.ui.page import Page
from headbox.web.ui.pages.tasks import may_change
from headbox.web.ui.search import Search
from headbox.web.ui.segments import Segment, segments

ROWS: Final = 25
ENDED: Final = 10
ORDER: Final = (*COMPLETE, RUNNING, RESET, SUSPENDED, WAITING)  # along a bar: what is done comes first
AFTER: Final = Parameter("after", {"type": "string"}, "the job behind which the page begins")


class Part(msgspec.Struct, frozen=True):
    """How many of a job's tasks are in a state; `query` finds them."""

    state: str
    number: int
    query: str


class Row(msgspec.Struct, frozen=True):
    """A job as the page tells it. `done`: the share of its tasks that has ended; None where not all were counted."""

    job: JobCounts
    bar: list[Segment]
    parts: list[Part]
    done: float | None
    query: str


def load(request: Request) -> dict[str, Any]:
    """One page of those in progress; on the first also those that have ended lately."""
    after = single(request.query, "after") or ""
    found = request.store.jobs_in_progress(request.now, ROWS + 1, after)
    return {
        "rows": [row(job) for job in found[:ROWS]],
        "ended": [] if after else [row(job) for job in request.store.jobs_ended(ENDED)],
        "next": found[ROWS - 1].id if len(found) > ROWS else None,
        "is_first": not after,
        "may_change": may_change(request.principal),
    }


def row(job: JobCounts) -> Row:
    """A job, read for people."""
    total = sum(job.states.values())
    done = sum(job.states.get(state, 0) for state in COMPLETE)
    parts = [Part(state, job.states[state], query(job, state)) for state in ORDER if job.states.get(state)]
    is_over = job.finish_time is not None
    everything = Search(job=job.id, ended=is_over, after=format_instant(job.since - 1) if is_over else "")
    return Row(
        job, segments(job.states, ORDER), parts, done / total if job.is_all and total else None, everything.query()
    )


def query(job: JobCounts, state: Any) -> str:
    """What finds the tasks of a job that are in a state."""
    if state in INCOMPLETE:
        return Search(job=job.id, state=(state,)).query()
    return Search(job=job.id, state=(state,), ended=True, after=format_instant(job.since - 1)).query()


PAGE: Final = Page(
    path="/ui/jobs/",
    title="Jobs",
    template="ui/jobs.html",
    load=load,
    parameters=(AFTER,),
    fragments=("rows", "ended"),
)


def operations(layout: Layout) -> tuple[Operation, ...]:
    """The rows of the route table. A job is canceled as all tasks are that a search finds."""
    return (layout.operation(PAGE),)
