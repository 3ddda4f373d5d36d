"""The calls on queues: which there are, and whether anything of them may start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from headbox.domain.statistics import QueueCounts
from headbox.task_queue.figures import show_queue
from headbox.task_queue.options import read_name
from headbox.web.bodies import read_nothing
from headbox.web.operations import Operation
from headbox.web.permissions import Permission
from headbox.web.replies import Reply, json_reply
from headbox.web.request import Request


async def list_queues(request: Request) -> Reply:
    """`GET /queues/`."""
    found = await request.call(request.store.queues, request.now)
    return json_reply(200, [show_queue(queue) for queue in found])


async def suspend_queue(request: Request) -> Reply:
    """`POST /queues/<name>/suspend/`."""
    return await _change(request, lambda name: request.store.suspend_queue(name, request.now))


async def resume_queue(request: Request) -> Reply:
    """`POST /queues/<name>/resume/`."""
    return await _change(request, request.store.resume_queue)


async def _change(request: Request, verb: Callable[[str], None]) -> Reply:
    name = read_name("queue", request.path["name"])
    read_nothing(await request.body())
    await request.call(verb, name)
    found = await request.call(request.store.queues, request.now)
    return json_reply(202, show_queue(next((each for each in found if each.name == name), QueueCounts(name=name))))


def _changing(path: str, summary: str, handler: Any) -> Operation:
    return Operation(
        method="POST",
        path=path,
        need=Permission.UPDATE,
        summary=summary,
        handler=handler,
        status=202,
        answer="Queue",
        problems=(409,),
    )


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/queues/",
        need=Permission.READ,
        summary="List queues: those that have tasks, are suspended, or are named by a worker",
        handler=list_queues,
        answer="[Queue]",
    ),
    _changing("/queues/{name:path}/suspend/", "Let nothing of a queue start; what runs goes on", suspend_queue),
    _changing("/queues/{name:path}/resume/", "Let what waits in a queue start again", resume_queue),
)
