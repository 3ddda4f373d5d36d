"""The tasks that a search finds, a page at a time, and what may be done with many of them at once."""

from __future__ import annotations

from typing import Any, Final

from headbox.domain.task import SYSTEM_QUEUE
from headbox.web.operations import Operation
from headbox.web.permissions import Permission, Principal
from headbox.web.query import single
from headbox.web.request import Request
from headbox.web.routes.lists import CURSOR
from headbox.web.ui.layout import Layout
from headbox.web.ui.page import Page
from headbox.web.ui.search import PARAMETERS, SINCE, filter_of, read_search

ROWS: Final = 50
COUNTED: Final = {False: 10_000, True: 1000}  # live, ended: beyond that a page only says that there are more


def load(request: Request) -> dict[str, Any]:
    """One page of what the address bar asks for."""
    store, me, now = request.store, request.principal, request.now
    search = read_search(request.query)
    filter = filter_of(search, me, now)
    cursor = single(request.query, "cursor")
    counted = COUNTED[search.ended]
    page = store.find(filter, now, ROWS, cursor, counted + 1)
    return {
        "title": "Ended tasks" if search.ended else "Tasks",
        "search": search,
        "tasks": page.tasks,
        "count": page.count,
        "counted": counted,
        "next": page.cursor,
        "is_first": cursor is None,
        "since": SINCE,
        "newest": filter.newest,
        "methods": sorted({callable.short_name for callable in store.callables()}),
        "may_change": may_change(me),
        "system_queue": SYSTEM_QUEUE,
    }


def may_change(me: Principal) -> bool:
    """Whether the buttons are for this caller: it may change all that it sees."""
    return me.may(Permission.UPDATE) or me.sight is not None


PAGE: Final = Page(
    path="/ui/tasks/",
    title="Tasks",
    template="ui/tasks.html",
    load=load,
    owner_too=True,
    parameters=(*PARAMETERS, CURSOR),
    fragments=("count", "rows"),
)


def operations(layout: Layout) -> tuple[Operation, ...]:
    """The rows of the route table."""
    return (layout.operation(PAGE),)
