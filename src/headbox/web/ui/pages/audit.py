"""What was changed, by whom and from where: for super users, newest first."""

from __future__ import annotations

from typing import Any, Final

from headbox.web.operations import Operation, Parameter
from headbox.web.query import whole_number
from headbox.web.request import Request
from headbox.web.ui.layout import Layout
from headbox.web.ui.page import Page

ROWS: Final = 100
NEWEST: Final = 2**63 - 1


def load(request: Request) -> dict[str, Any]:
    """A page of audited events."""
    before = whole_number(request.query, "cursor", 0, NEWEST)
    events = request.store.events(ROWS + 1, before)
    has_more = len(events) > ROWS
    return {"events": events[:ROWS], "next": events[ROWS - 1].id if has_more else None, "is_first": before is None}


PAGE: Final = Page(
    path="/ui/audit/",
    title="Audit",
    template="ui/audit.html",
    load=load,
    need="super user",
    parameters=(Parameter("cursor", {"type": "string"}, "where the page begins"),),
    fragments=("events",),
)


def operations(layout: Layout) -> tuple[Operation, ...]:
    """The rows of the route table."""
    return (layout.operation(PAGE),)
