"""The calls on snapshots (A.20.2). They show stored values as they are, unredacted: for super users, and audited."""

from __future__ import annotations

from typing import Final

from headbox.domain.errors import UnknownTask
from headbox.domain.snapshot import snapshot
from headbox.storage import lookups
from headbox.web.bodies import read_nothing
from headbox.web.operations import Operation
from headbox.web.problems import Problem
from headbox.web.replies import Reply, SpooledReply, json_reply
from headbox.web.request import Request
from headbox.web.routes.lists import spooled


async def list_snapshots(request: Request) -> SpooledReply:
    """`GET /tasks/snapshots/`."""
    reply, _ = await spooled(request, request.store.snapshots, lambda tasks: [snapshot(task) for task in tasks])
    return reply


async def get_snapshot(request: Request) -> Reply:
    """`GET /tasks/<id>/snapshot/`."""
    task = await request.look_up(lookups.task(request.path["id"]))
    if task.snapshot_id is None:
        raise _no_snapshot()
    return json_reply(200, snapshot(task))


async def delete_snapshot(request: Request) -> Reply:
    """`DELETE /tasks/<id>/snapshot/`."""
    read_nothing(await request.body())
    await request.look_up(lookups.task(request.path["id"]))  # a task that is unknown says so
    try:
        task = await request.call(request.store.delete_snapshot, request.path["id"])
    except UnknownTask:
        raise _no_snapshot() from None
    return json_reply(200, snapshot(task))


def _no_snapshot() -> Problem:
    return Problem(404, "this task has no snapshot; one exists while a run is in flight")


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/tasks/snapshots/",
        need="super user",
        summary="List the snapshots of the runs in flight",
        handler=list_snapshots,
        answer="[TaskSnapshot]",
        audited=True,
    ),
    Operation(
        method="GET",
        path="/tasks/{id}/snapshot/",
        need="super user",
        summary="Get a task's snapshot",
        handler=get_snapshot,
        answer="TaskSnapshot",
        problems=(404,),
        audited=True,
    ),
    Operation(
        method="DELETE",
        path="/tasks/{id}/snapshot/",
        need="super user",
        summary="Delete a task's snapshot: its run goes on, but is not resumed if its worker is lost",
        handler=delete_snapshot,
        answer="TaskSnapshot",
        problems=(404,),
    ),
)
