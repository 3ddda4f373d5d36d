"""The calls that tell how the system is doing, in figures."""

from __future__ import annotations

from typing import Final

from headbox.web.figures import show_statistics
from headbox.web.operations import Operation
from headbox.web.permissions import Permission
from headbox.web.replies import Reply, json_reply
from headbox.web.request import Request


async def get_statistics(request: Request) -> Reply:
    """`GET /statistics/`."""
    return json_reply(200, show_statistics(await request.call(request.store.statistics, request.now)))


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/statistics/",
        need=Permission.READ,
        summary="Get figures: tasks by state and queue, throughput, lateness; at the same cost however many tasks",
        handler=get_statistics,
        answer="Statistics",
    ),
)
