"""The workers: what each can take, what it holds, when it was last heard; and the queues that they serve, which may be
suspended here."""

from __future__ import annotations

from typing import Any, Final

from headbox.domain.task import SYSTEM_QUEUE
from headbox.storage.records import Load
from headbox.task_queue.options import read_name
from headbox.web.operations import Operation
from headbox.web.permissions import Permission
from headbox.web.replies import Reply
from headbox.web.request import Request
from headbox.web.ui.layout import Layout
from headbox.web.ui.notice import lead_to
from headbox.web.ui.page import Page


def load(request: Request) -> dict[str, Any]:
    """The workers, by host, and the queues, by name."""
    store = request.store
    workers = sorted(store.workers(), key=lambda worker: (worker.host, worker.start_time))
    loads = store.loads()
    return {
        "workers": workers,
        "hosts": len({worker.host for worker in workers}),
        "loads": {worker.id: loads.get(worker.id, Load()) for worker in workers},
        "queues": [queue for queue in store.queues(request.now) if queue.name != SYSTEM_QUEUE],
        "may_change": request.principal.may(Permission.UPDATE),
    }


PAGE: Final = Page(
    path="/ui/workers/",
    title="Workers",
    template="ui/workers.html",
    load=load,
    fragments=("summary", "workers", "queues"),
)


async def suspend_queue(request: Request) -> Reply:
    """`POST /ui/queues/suspend/`."""
    name = await _name(request)
    await request.call(request.store.suspend_queue, name, request.now)
    return lead_to(request, PAGE.path, f"Nothing of the queue {name} starts until it is resumed; what runs goes on.")


async def resume_queue(request: Request) -> Reply:
    """`POST /ui/queues/resume/`."""
    name = await _name(request)
    await request.call(request.store.resume_queue, name)
    return lead_to(request, PAGE.path, f"What waits in the queue {name} may start again.")


async def _name(request: Request) -> str:
    name = read_name("queue", (await request.form()).get("queue", [""])[-1])
    request.note = f"queue {name}"
    return name


def operations(layout: Layout) -> tuple[Operation, ...]:
    """The rows of the route table."""
    changes = (("/ui/queues/suspend/", suspend_queue), ("/ui/queues/resume/", resume_queue))
    return (
        layout.operation(PAGE),
        *(
            Operation(method="POST", path=path, need=Permission.UPDATE, summary="", handler=handler)
            for path, handler in changes
        ),
    )
