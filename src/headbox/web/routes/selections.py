"""The calls on all tasks that a filter finds: how many they are, and one change to all of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from msgspec.structs import replace

from headbox.domain.states import Event
from headbox.storage.records import Filter
from headbox.web.bodies import read_nothing
from headbox.web.filters import FIELDS_PARAMETER, FILTERS, filters_anything, parse_fields, parse_filter, show_for
from headbox.web.operations import Operation, Parameter
from headbox.web.permissions import Permission
from headbox.web.problems import Problem
from headbox.web.query import whole_number
from headbox.web.replies import Reply, SpooledReply, json_reply
from headbox.web.request import Request
from headbox.web.routes.lists import MAX_LIMIT, spooled

DONE: Final[dict[Event, str]] = {
    "cancel": "canceled",
    "suspend": "suspended",
    "resume": "resumed",
    "reset": "reset",
}
SOME: Final = Parameter(
    "limit",
    {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT},
    "change at most so many; the same call again goes on with the rest",
)


async def count_tasks(request: Request) -> Reply:
    """`GET /tasks/count/?…`."""
    filter = parse_filter(request.query, request.principal)
    return json_reply(200, {"count": await request.call(request.store.count, filter, request.now)})


def changing_found(event: Event) -> Callable[[Request], Any]:
    """The handler of a call that changes all tasks that the filters select."""

    async def change_found(request: Request) -> SpooledReply:
        parse_fields(request.query, request.now)
        if not filters_anything(request.query):
            raise Problem(400, "give at least one filter; state=current selects all that is not archived")
        filter = _changeable(request, parse_filter(request.query, request.principal))
        limit = whole_number(request.query, "limit", 1, MAX_LIMIT)
        read_nothing(await request.body())
        show = await show_for(request)
        rows = partial(request.store.change_found, event, filter, request.now, limit)
        reply, count = await spooled(request, rows, show.tasks)
        request.note = f"{DONE[event]} {count}"
        return replace(reply, status=202)

    return change_found


def _changeable(request: Request, filter: Filter) -> Filter:
    """Without UPDATE one may change one's own tasks, and has to say that one means those."""
    me = request.principal
    if not me.may(Permission.UPDATE) and filter.owners != (me.name,) and filter.visible_to is None:
        raise Problem(
            403, f"this takes the permission UPDATE; owner={me.name} selects the tasks that are yours to change"
        )
    return filter


def _changing(event: Event, summary: str) -> Operation:
    return Operation(
        method="POST",
        path=f"/tasks/{event}/",
        need=Permission.UPDATE,
        owner_too=True,
        summary=summary,
        handler=changing_found(event),
        parameters=(*FILTERS, SOME, FIELDS_PARAMETER),
        status=202,
        answer="[Task]",
    )


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/tasks/count/",
        need=Permission.READ,
        owner_too=True,
        summary="Count the tasks that the filters of the list select",
        handler=count_tasks,
        parameters=FILTERS,
        answer="Count",
    ),
    _changing("cancel", "Cancel all tasks that the filters select"),
    _changing("suspend", "Suspend all tasks that the filters select"),
    _changing("resume", "Let all suspended tasks that the filters select wait again"),
    _changing("reset", "Run all complete tasks that the filters select once more"),
)
