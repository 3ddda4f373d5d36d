"""The schedules: when each runs next, how its last runs ended, and what may be done with it."""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import Any, Final

import msgspec

from headbox.domain.preview import describe, occurrences_from
from headbox.domain.schedulers import parse_schedule
from headbox.domain.states import READY, RUNNING, SUSPENDED
from headbox.domain.task import SYSTEM_QUEUE, Instant, Task
from headbox.storage.records import End
from headbox.web.operations import Operation, Parameter
from headbox.web.permissions import Principal
from headbox.web.query import single
from headbox.web.replies import Reply
from headbox.web.request import Request
from headbox.web.routes.changes import changeable_task
from headbox.web.ui.description import name_of
from headbox.web.ui.layout import Layout
from headbox.web.ui.notice import lead_to
from headbox.web.ui.page import Page
from headbox.web.ui.pages.changes import SINGLE

ROWS: Final = 50
RUNS: Final = 20  # the last of each, whose ends are shown
TIMES: Final = 10  # occurrences ahead
AFTER: Final = Parameter("after", {"type": "string"}, "the id behind which the page begins")
VERBS: Final = {"hasten": "It runs now; its next occurrence stays what it was."} | {
    verb: SINGLE[verb] for verb in ("suspend", "resume", "remove")
}


class Row(msgspec.Struct, frozen=True):
    """A schedule as the page tells it."""

    task: Task
    words: str
    times: list[Instant]  # the next, while it waits
    ends: list[End]  # oldest first, as bars are read
    verbs: list[str]

    @property
    def label(self) -> str:
        """What it is called: by its name, or by its task where that declares it."""
        named = self.task.schedule_name if self.task.declared_by is None else None
        return named or name_of(self.task)

    @property
    def last(self) -> End | None:
        """How the last run ended."""
        return self.ends[-1] if self.ends else None

    @property
    def success(self) -> float | None:
        """The share of the last runs that finished, of those that ended by themselves; None where none did."""
        judged = [end.state for end in self.ends if end.state not in ("reset", "canceled")]
        return judged.count("finished") / len(judged) if judged else None


def load(request: Request) -> dict[str, Any]:
    """One page of them."""
    store, me = request.store, request.principal
    after = single(request.query, "after") or ""
    tasks = store.schedules(ROWS + 1, after)
    ends = store.recent_ends(tasks[:ROWS], RUNS)
    return {
        "rows": [row(task, ends[task.id], me) for task in tasks[:ROWS]],
        "runs": RUNS,
        "next": tasks[ROWS - 1].id if len(tasks) > ROWS else None,
        "is_first": not after,
    }


def row(task: Task, ends: list[End], me: Principal) -> Row:
    """A schedule, read for people."""
    scheduler = parse_schedule(task.schedule or "")
    times: list[Instant] = []
    if task.scheduled_time is not None and task.state in READY:
        times = list(islice(occurrences_from(scheduler, task.scheduled_time), min(task.runs_left or TIMES, TIMES)))
    return Row(task, describe(scheduler), times, ends[::-1], verbs(task, me))


def verbs(task: Task, me: Principal) -> list[str]:
    """What this caller may do with it now."""
    if not me.may_change(task):
        return []
    is_suspended = task.state == SUSPENDED or (task.state == RUNNING and task.suspend_asked)
    found = ["hasten"] if task.state in READY else []
    found.append("resume" if is_suspended else "suspend")
    return found + (["remove"] if me.is_super and task.queue != SYSTEM_QUEUE else [])


async def change(verb: str, request: Request) -> Reply:
    """`POST /ui/schedules/<id>/<verb>/`."""
    task = await changeable_task(request)
    await request.call(getattr(request.store, verb), task.id, request.now)
    return lead_to(request, "/ui/schedules/", VERBS[verb])


PAGE: Final = Page(
    path="/ui/schedules/",
    title="Schedules",
    template="ui/schedules.html",
    load=load,
    parameters=(AFTER,),
    fragments=("rows",),
)


def operations(layout: Layout) -> tuple[Operation, ...]:
    """The rows of the route table."""
    return (
        layout.operation(PAGE),
        *(
            Operation(
                method="POST",
                path=f"/ui/schedules/{{id}}/{verb}/",
                need="super user" if verb == "remove" else "caller",
                summary="",
                handler=partial(change, verb),
            )
            for verb in VERBS
        ),
    )
