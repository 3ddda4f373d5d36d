"""The calls about the service itself: what can be run and by whom, what was audited, whether it is well."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from headbox.domain.errors import StorageError
from headbox.domain.iso8601 import format_duration, time_of
from headbox.storage.records import Callable, Event
from headbox.web.crew import shown_workers
from headbox.web.operations import Operation, Parameter
from headbox.web.permissions import Permission
from headbox.web.problems import Problem
from headbox.web.query import whole_number
from headbox.web.replies import Reply, json_reply
from headbox.web.representations import ShownCallable, ShownEvent
from headbox.web.request import Request
from headbox.web.routes.lists import next_link

DEFAULT_EVENTS: Final = 1000
MAX_EVENTS: Final = 10_000
DURATIONS: Final = ("timeout", "schedule_threshold")
NEWEST: Final = 2**63 - 1
READY_SECONDS: Final = 0.75  # that readiness waits for the database: many a probe has the patience of one


async def list_callables(request: Request) -> Reply:
    """`GET /callables/`."""
    published = await request.call(request.store.callables)
    return json_reply(200, [show_callable(callable) for callable in sorted(published, key=lambda each: each.name)])


def show_callable(callable: Callable) -> ShownCallable:
    """What workers have published, its durations as ISO 8601."""
    return ShownCallable(
        name=callable.name,
        method_name=callable.short_name,
        aliases=list(callable.aliases),
        is_async=callable.is_async,
        signature=callable.signature,
        docstring=callable.docstring,
        defaults={name: _shown_default(name, value) for name, value in callable.defaults.items()},
    )


def _shown_default(name: str, value: Any) -> Any:
    return format_duration(value) if name in DURATIONS and isinstance(value, int) else value


async def list_workers(request: Request) -> Reply:
    """`GET /workers/`."""
    return json_reply(200, await request.call(shown_workers, request.store))


async def list_events(request: Request) -> Reply:
    """`GET /audit/`."""
    limit = whole_number(request.query, "limit", 1, MAX_EVENTS) or DEFAULT_EVENTS
    before = whole_number(request.query, "cursor", 0, NEWEST)
    events = await request.call(request.store.events, limit, before)
    headers = (next_link(request, str(events[-1].id)),) if len(events) == limit else ()
    return json_reply(200, [show_event(event) for event in events], *headers)


def show_event(event: Event) -> ShownEvent:
    """The event with its time as people read it."""
    return ShownEvent(
        event.id, time_of(event.time), event.user, event.address, event.method, event.path, event.status, event.detail
    )


async def live(request: Request) -> Reply:
    """`GET /health/live`."""
    return json_reply(200, {"status": "live"})


async def ready(request: Request) -> Reply:
    """`GET /health/ready`: the database is reachable and its schema what this version needs. Not retried: a probe asks
    again, and is told soon."""
    try:
        status = await asyncio.wait_for(request.run(lambda: request.store.status(patience=0.0)), READY_SECONDS)
    except StorageError as error:
        raise _not_ready(str(error)) from None
    except TimeoutError:
        why = "it is overloaded, locked by others, or cut off"
        raise _not_ready(f"the database has not answered within {READY_SECONDS:g} s: {why}") from None
    if status["pending_migrations"]:
        raise _not_ready("the schema is not current; run `headbox db upgrade`")
    return json_reply(200, {"status": "ready"})


def _not_ready(why: str) -> Problem:
    return Problem(503, f"not ready: {why}", headers=[("Retry-After", "1")])


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/callables/",
        need=Permission.READ,
        summary="List what workers have published: all that can be enqueued",
        handler=list_callables,
        answer="[Callable]",
    ),
    Operation(
        method="GET",
        path="/workers/",
        need=Permission.READ,
        summary="List workers",
        handler=list_workers,
        answer="[Worker]",
    ),
    Operation(
        method="GET",
        path="/audit/",
        need="super user",
        summary="List audited events, newest first",
        handler=list_events,
        parameters=(
            Parameter(
                "limit",
                {"type": "integer", "minimum": 1, "maximum": MAX_EVENTS},
                f"at most so many, {DEFAULT_EVENTS} unless given; the Link header leads to the next page",
            ),
            Parameter("cursor", {"type": "string"}, "where the page begins, from the Link header"),
        ),
        answer="[Event]",
    ),
)
HEALTH: Final = (
    Operation(
        method="GET",
        path="/health/live",
        need="nobody",
        opens=False,
        summary="Whether the server answers",
        handler=live,
        answer="Health",
    ),
    Operation(
        method="GET",
        path="/health/ready",
        need="nobody",
        opens=False,
        summary="Whether the database is reachable and its schema is current",
        handler=ready,
        answer="Health",
        problems=(503,),
    ),
)
