"""The calls on jobs: tasks that belong together."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from headbox.storage.records import Job
from headbox.web.bodies import read_nothing
from headbox.web.filters import FIELDS_PARAMETER, show_for
from headbox.web.operations import Operation
from headbox.web.permissions import Permission
from headbox.web.problems import Problem
from headbox.web.replies import Reply, SpooledReply, json_reply
from headbox.web.representations import Show
from headbox.web.request import Request
from headbox.web.routes.lists import spooled


def _show(job: Job, show: Show) -> dict[str, Any]:
    return {"id": job.id, "tasks": show.tasks(job.tasks)}


async def list_jobs(request: Request) -> SpooledReply:
    """`GET /jobs/`."""
    show = await show_for(request)
    rows = partial(request.store.jobs, request.now, request.principal.sight)
    reply, _ = await spooled(request, rows, lambda jobs: [_show(job, show) for job in jobs])
    return reply


async def get_job(request: Request) -> Reply:
    """`GET /jobs/<id>/`."""
    show = await show_for(request)
    return json_reply(200, _show(await _visible_job(request), show))


async def _visible_job(request: Request) -> Job:
    return await request.call(request.store.job, request.path["id"], request.now, request.principal.sight)


async def cancel_job(request: Request) -> Reply:
    """`POST /jobs/<id>/cancel/`."""
    show = await show_for(request)
    me = request.principal
    job = await _visible_job(request)
    if not all(me.may_change(task) for task in job.tasks):
        raise Problem(403, "only users with the permission UPDATE may cancel a job in which others own tasks")
    read_nothing(await request.body())
    owned = None if me.may(Permission.UPDATE) else me.name
    result = await request.call(request.store.cancel_job, job.id, request.now, owned)
    request.note = f"canceled {len(result.canceled)}"
    completed, canceled = show.tasks(result.completed), show.tasks(result.canceled)
    return json_reply(202, {"id": result.id, "completed": completed, "cancelled": canceled})


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/jobs/",
        need=Permission.READ,
        owner_too=True,
        summary="List jobs with their current tasks",
        handler=list_jobs,
        parameters=(FIELDS_PARAMETER,),
        answer="[Job]",
    ),
    Operation(
        method="POST",
        path="/jobs/{id:path}/cancel/",
        need=Permission.UPDATE,
        owner_too=True,
        summary="Cancel the tasks of a job that are not complete",
        handler=cancel_job,
        parameters=(FIELDS_PARAMETER,),
        status=202,
        answer="JobCancellation",
        problems=(404,),
    ),
    Operation(
        method="GET",
        path="/jobs/{id:path}/",
        need=Permission.READ,
        owner_too=True,
        summary="Get a job with its current tasks",
        handler=get_job,
        parameters=(FIELDS_PARAMETER,),
        answer="Job",
        problems=(404,),
    ),
)
