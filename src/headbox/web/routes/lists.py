"""How lists of tasks are answered: all of it spooled, or a page and where the next begins."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

from headbox.domain.task import Task
from headbox.storage.records import Filter
from headbox.web.operations import Parameter
from headbox.web.replies import Header, Reply, SpooledReply, json_reply, spool, spooled_reply
from headbox.web.representations import Show
from headbox.web.request import Request

MAX_LIMIT: Final = 10_000
LIMIT: Final = Parameter(
    "limit",
    {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT},
    "at most so many; the Link header leads to the next page",
)
CURSOR: Final = Parameter("cursor", {"type": "string"}, "where the page begins, from the Link header")


async def spooled(
    request: Request, rows: Callable[[], Iterable[Any]], show: Callable[[list[Any]], list[Any]]
) -> tuple[SpooledReply, int]:
    """A list that is read, encoded and written to a file in a thread; and how many it has."""
    async with request.service.spools:
        file, count = await request.call(lambda: spool(rows(), show))
    return spooled_reply(file), count


async def all_tasks(request: Request, filter: Filter, show: Show) -> tuple[SpooledReply, int]:
    """All that the filter finds, in one consistent reading."""
    rows = partial(request.store.rows, filter, request.now, show.columns)
    return await spooled(request, rows, show.rows)


async def task_list(request: Request, tasks: Callable[[], Iterable[Task]], show: Show) -> SpooledReply:
    """A list that one verb gives."""
    reply, _ = await spooled(request, tasks, show.tasks)
    return reply


async def page_of_tasks(
    request: Request, filter: Filter, show: Show, limit: int, cursor: str | None
) -> tuple[Reply, int]:
    """One page; its Link header (RFC 8288) leads to the next."""
    page = await request.call(request.store.find, filter, request.now, limit, cursor)
    headers = (next_link(request, page.cursor),) if page.cursor else ()
    return json_reply(200, show.tasks(page.tasks), *headers), len(page.tasks)


def next_link(request: Request, cursor: str) -> Header:
    """The Link header to the page that begins at `cursor`."""
    pairs = [(name, value) for name, values in request.query.items() if name != "cursor" for value in values]
    address = f"{request.link(request.operation.path)}?{urlencode([*pairs, ('cursor', cursor)])}"
    return b"link", f'<{address}>; rel="next"'.encode()
