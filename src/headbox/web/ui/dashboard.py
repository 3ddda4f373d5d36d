"""The dashboard as the application gets it: the calls of all its pages, and the door before them."""

from __future__ import annotations

from itertools import chain
from typing import Final

from starlette.types import Scope

from headbox.web.operations import Operation
from headbox.web.replies import Reply
from headbox.web.request import Request
from headbox.web.ui.assets import Assets
from headbox.web.ui.door import DashboardDoor
from headbox.web.ui.layout import Layout
from headbox.web.ui.pages import (
    account,
    audit,
    changes,
    history,
    jobs,
    login,
    now,
    schedules,
    send,
    task,
    tasks,
    users,
    workers,
)

ROOT: Final = "/ui"
PAGES: Final = (
    login, now, tasks, changes, task, jobs, schedules, history, send, workers, users, audit, account,
)  # fmt: skip
"""Each gives its calls to a layout."""


class Dashboard:
    """Its calls and its door."""

    def __init__(self, assets: Assets) -> None:
        layout = Layout(assets)
        self.door = DashboardDoor(layout)
        hidden = (("/ui", _to_start), ("/ui/static/{name:path}", assets.get))
        self.operations: tuple[Operation, ...] = (
            *(
                Operation(method="GET", path=path, need="nobody", summary="", handler=handler)
                for path, handler in hidden
            ),
            *chain.from_iterable(page.operations(layout) for page in PAGES),
        )

    def has(self, scope: Scope) -> bool:
        """Whether this path is the dashboard's: what is wrong with it, a person is told."""
        route = scope["path"].removeprefix(scope.get("root_path", ""))
        return bool(route == ROOT or route.startswith(f"{ROOT}/"))


async def _to_start(request: Request) -> Reply:
    return Reply(307, b"", b"text/plain", ((b"location", request.link("/ui/").encode()),))
