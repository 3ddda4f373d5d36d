"""The call that tells what happens as it happens (Server-Sent Events)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Any, Final

from headbox.domain.errors import StorageError, UnknownTask
from headbox.domain.states import STATES
from headbox.domain.task import Task
from headbox.web.events import FIGURES, Listener
from headbox.web.filters import FIELDS_PARAMETER, parse_fields
from headbox.web.operations import Operation, Parameter
from headbox.web.permissions import Permission, Principal
from headbox.web.problems import Problem
from headbox.web.query import Query, single
from headbox.web.replies import StreamReply
from headbox.web.request import Request

HEARTBEAT: Final = 15.0  # seconds
RECHECK: Final = 60.0  # seconds after which it is looked again what the caller may see
MOST_IDS: Final = 100
MOST_LAST_ID: Final = 100
TASK: Final = "task"
NAMES: Final = (TASK, *FIGURES)

_TEXT: Final = {"type": "string"}
ATTRIBUTES: Final = ("id", "state", "method_name", "class_name", "job_id", "queue", "owner")
PARAMETERS: Final = (
    Parameter("events", _TEXT, f"what to tell, separated by commas: {', '.join(NAMES)}; task unless given"),
    Parameter("id", _TEXT, "only of these tasks; how they are is told at once", repeated=True),
    Parameter("state", {"type": "string", "enum": list(STATES)}, "only of tasks that come into it", repeated=True),
    *(
        Parameter(name, _TEXT, f"only of tasks with this {name.replace('_', ' ')}", repeated=True)
        for name in ATTRIBUTES[2:]
    ),
    FIELDS_PARAMETER,
)


async def stream_events(request: Request) -> StreamReply:
    """`GET /tasks/events/`."""
    show = parse_fields(request.query, request.now)
    names = _names(request)
    wanted = _wanted(request.query)
    if len(wanted.get("id", ())) > MOST_IDS:
        raise Problem(400, f"give at most {MOST_IDS} ids, or none and another filter")

    def concerns(task: Task) -> bool:
        if TASK not in names or not request.principal.may_see(task):
            return False
        return all(getattr(task, name) in values for name, values in wanted.items())

    listener = Listener(request.principal.name, concerns, show, frozenset(names) - {TASK})
    last_id = request.header(b"last-event-id")
    events = request.service.events
    events.admit(listener.user)
    since = None if last_id is None else last_id[:MOST_LAST_ID].decode("latin-1")
    return StreamReply(_stream(request, listener, since))


async def _stream(request: Request, listener: Listener, last_id: str | None) -> AsyncGenerator[bytes, None]:
    events = request.service.events
    gone = asyncio.ensure_future(request.leaving())
    gone.add_done_callback(lambda _: listener.wake())
    checked = time.monotonic()

    async def goes_on() -> bool:
        nonlocal checked
        if gone.done():
            return False
        if time.monotonic() - checked > RECHECK:
            checked = time.monotonic()
            return await _is_still_welcome(request, listener)
        return True

    try:
        present = partial(_present, request, request.query.get("id", ()))
        async with aclosing(events.listen(listener, last_id, present, goes_on, HEARTBEAT)) as parts:
            async for part in parts:
                yield part
    finally:
        gone.cancel()


def _present(request: Request, ids: Any) -> list[Task]:
    found = []
    for id in ids:
        try:
            found.append(request.store.get(id))
        except UnknownTask:  # it may come yet
            continue
    return found


async def _is_still_welcome(request: Request, listener: Listener) -> bool:
    try:
        me: Principal = await request.service.authenticator.identify(request)
    except StorageError:
        return True  # it is not known; nothing can be told meanwhile either
    except Problem:
        return False
    request.principal = me
    return not listener.figures or me.may(Permission.READ)


def _names(request: Request) -> tuple[str, ...]:
    names = tuple(name.strip() for name in (single(request.query, "events") or TASK).split(","))
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise Problem(400, f"there is no event {unknown[0][:50]!r}; valid are {', '.join(NAMES)}")
    if set(names) & FIGURES.keys() and not request.principal.may(Permission.READ):
        raise Problem(403, "statistics and workers take the permission READ; events=task tells of your own tasks")
    return names


def _wanted(query: Query) -> dict[str, frozenset[str]]:
    given = {name: frozenset(query[name]) for name in ATTRIBUTES if name in query}
    if "state" in given:
        given["state"] = frozenset(state.lower() for state in given["state"])
        if unknown := sorted(given["state"] - set(STATES)):
            raise Problem(400, f"{unknown[0][:50]!r} is no state; valid are {', '.join(STATES)}")
    return given


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/tasks/events/",
        need=Permission.READ,
        owner_too=True,
        summary="Listen to what happens, as Server-Sent Events: each task that changes, and figures if asked for",
        handler=stream_events,
        parameters=PARAMETERS,
        problems=(429,),
    ),
)
