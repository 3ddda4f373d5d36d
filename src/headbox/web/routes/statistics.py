"""The calls that tell how the system is doing, in figures."""

from __future__ import annotations

from typing import Final

from headbox.task_queue.figures import show_statistics
from headbox.web.metrics import CONTENT_TYPE, expose
from headbox.web.operations import Operation
from headbox.web.permissions import Permission
from headbox.web.replies import Reply, json_reply
from headbox.web.request import Request


async def get_statistics(request: Request) -> Reply:
    """`GET /statistics/`."""
    return json_reply(200, show_statistics(await request.call(request.store.statistics, request.now)))


async def get_metrics(request: Request) -> Reply:
    """`GET /metrics`."""
    statistics = await request.call(request.store.statistics, request.now)
    workers = len(await request.call(request.store.workers))
    return Reply(200, expose(statistics, workers).encode(), CONTENT_TYPE)


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/metrics",
        need=Permission.READ,
        summary="Get the same figures in Prometheus' text format",
        handler=get_metrics,
    ),
    Operation(
        method="GET",
        path="/statistics/",
        need=Permission.READ,
        summary="Get figures: tasks by state and queue, throughput, lateness; at the same cost however many tasks",
        handler=get_statistics,
        answer="Statistics",
    ),
)
