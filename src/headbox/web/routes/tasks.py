"""The calls that read tasks (API.md, What A.20 names)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from headbox.domain.states import COMPLETE
from headbox.domain.task import Task
from headbox.storage import lookups
from headbox.storage.records import Filter
from headbox.storage.store import Store
from headbox.web.filters import FIELDS_PARAMETER, FILTERS, parse_fields, parse_filter, show_for
from headbox.web.operations import Operation, Parameter
from headbox.web.permissions import Permission
from headbox.web.problems import Problem, unknown_task
from headbox.web.query import single, whole_number
from headbox.web.replies import Reply, SpooledReply, json_reply
from headbox.web.request import Request
from headbox.web.routes.lists import CURSOR, LIMIT, MAX_LIMIT, all_tasks, page_of_tasks, task_list

LONGEST_WAIT: Final = 60.0  # seconds
MOST_UPCOMING: Final = 100
UPCOMING_LIMIT: Final = Parameter(
    "limit",
    {"type": "integer", "minimum": 1, "maximum": MOST_UPCOMING},
    f"at most so many, {MOST_UPCOMING} unless given",
)
WAIT: Final = Parameter(
    "wait",
    {"type": "number", "minimum": 0},
    "answer once the task (a recurring one: its current occurrence) is complete, or after so many seconds, 60 at most",
)


async def visible_task(request: Request) -> Task:
    """The task that the path names; 404 if there is none, or none that the caller may see."""
    task = await request.look_up(lookups.task(request.path["id"]))
    if not request.principal.may_see(task):
        raise unknown_task()
    return task


async def get_task(request: Request) -> Reply:
    """`GET /tasks/<id>/`."""
    parse_fields(request.query, request.now)
    seconds = parse_wait(single(request.query, "wait"))
    task = await visible_task(request)
    if seconds:
        task = await wait_for(request, task, seconds)
    show = await show_for(request, task)
    return json_reply(200, show(task))


async def wait_for(request: Request, task: Task, seconds: float) -> Task:
    """The task once it is complete, or as it is after so many seconds."""
    look = settled(request.store, task)

    async def look_again() -> Task | None:
        return await request.read(look)

    found = await request.service.waiting.until(request.principal.name, look_again, seconds, request.leaving)
    request.principal = await request.service.authenticator.identify(request)  # it may have lost its rights meanwhile
    return await visible_task(request) if found is None or not request.principal.may_see(found) else found


def settled(store: Store, task: Task) -> Callable[[], Task | None]:
    """A function that gives the task once it is complete: of a recurring one, the run that its current occurrence
    ended with, which a loss has not ended yet."""

    def look() -> Task | None:
        now = store.get(task.id)
        if now.state in COMPLETE:
            return now
        if task.is_recurring:
            for run in range(task.run, now.run):
                ended = store.run(task.id, run)
                if ended is not None and ended.state in COMPLETE:
                    return ended
        return None

    return look


def parse_wait(text: str | None) -> float:
    """Seconds; 400 where it is no number of them."""
    if text is None:
        return 0.0
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text, re.ASCII):
        raise Problem(400, f"wait is {text[:50]!r}; give seconds, such as 30")
    return min(float(text), LONGEST_WAIT)


async def list_tasks(request: Request) -> Reply | SpooledReply:
    """`GET /tasks/`."""
    show = await show_for(request)
    filter = parse_filter(request.query, request.principal)
    limit = whole_number(request.query, "limit", 1, MAX_LIMIT)
    cursor = single(request.query, "cursor")
    reply: Reply | SpooledReply
    if limit is not None:
        reply, count = await page_of_tasks(request, filter, show, limit, cursor)
    elif cursor is not None:
        raise Problem(400, "a cursor leads to a page; give the limit too, as the Link header does")
    else:
        reply, count = await all_tasks(request, filter, show)
    if not count and filter.ids and cursor is None:
        await check_known(request, filter)
    return reply


async def check_known(request: Request, filter: Filter) -> None:
    """Raises the document's 404: no task with such an id is in the chosen states."""
    asked = Filter(ids=filter.ids, states=filter.states, outcomes=filter.outcomes, visible_to=filter.visible_to)
    if asked == filter or not await request.call(request.store.count, asked, request.now):
        raise Problem(404, "no task with such an id is in the chosen states; state=archived looks into the history")


async def list_upcoming(request: Request) -> Reply:
    """`GET /tasks/upcoming/`."""
    show = await show_for(request)
    limit = whole_number(request.query, "limit", 1, MOST_UPCOMING) or MOST_UPCOMING
    tasks = await request.call(request.store.upcoming, request.now, limit)
    return json_reply(200, show.tasks(tasks))


async def list_runs(request: Request) -> SpooledReply:
    """`GET /tasks/<id>/runs/`."""
    show = await show_for(request)
    task = await visible_task(request)
    return await task_list(request, lambda: request.store.history(task.id), show)


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/tasks/",
        need=Permission.READ,
        owner_too=True,
        summary="List tasks: the current ones, or those that the filters name",
        handler=list_tasks,
        parameters=(*FILTERS, FIELDS_PARAMETER, LIMIT, CURSOR),
        answer="[Task]",
        problems=(404,),
    ),
    Operation(
        method="GET",
        path="/tasks/upcoming/",
        need=Permission.READ,
        summary="List what is due next, the soonest first; at the same cost however many tasks wait",
        handler=list_upcoming,
        parameters=(FIELDS_PARAMETER, UPCOMING_LIMIT),
        answer="[Task]",
    ),
    Operation(
        method="GET",
        path="/tasks/{id}/",
        need=Permission.READ,
        owner_too=True,
        summary="Get a task",
        handler=get_task,
        parameters=(FIELDS_PARAMETER, WAIT),
        answer="Task",
        problems=(404, 429),
    ),
    Operation(
        method="GET",
        path="/tasks/{id}/runs/",
        need=Permission.READ,
        owner_too=True,
        summary="List a task's archived runs, newest first",
        handler=list_runs,
        parameters=(FIELDS_PARAMETER,),
        answer="[Task]",
        problems=(404,),
    ),
)
