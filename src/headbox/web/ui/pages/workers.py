"""The workers: what each can take, what it holds, when it was last heard."""

from __future__ import annotations

from typing import Any, Final

from headbox.storage.records import Load
from headbox.web.operations import Operation
from headbox.web.request import Request
from headbox.web.ui.layout import Layout
from headbox.web.ui.page import Page


def load(request: Request) -> dict[str, Any]:
    """The workers, by host."""
    workers = sorted(request.store.workers(), key=lambda worker: (worker.host, worker.start_time))
    loads = request.store.loads()
    return {
        "workers": workers,
        "hosts": len({worker.host for worker in workers}),
        "loads": {worker.id: loads.get(worker.id, Load()) for worker in workers},
    }


PAGE: Final = Page(
    path="/ui/workers/", title="Workers", template="ui/workers.html", load=load, fragments=("summary", "workers")
)


def operations(layout: Layout) -> tuple[Operation, ...]:
    """The rows of the route table."""
    return (layout.operation(PAGE),)
