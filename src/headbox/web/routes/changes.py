"""The calls that enqueue tasks and change them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from headbox.domain.errors import InvalidSchedule
from headbox.domain.iso8601 import parse_duration
from headbox.domain.schedulers import ImmediateScheduler, Scheduler, parse_schedule
from headbox.domain.task import SYSTEM_QUEUE, Instant, Span, Task
from headbox.storage import records
from headbox.storage.store import Store
from headbox.task_queue.queue import TaskQueue
from headbox.web.bodies import NewSchedule, NewTask, invalid, read_body, read_nothing, wrong
from headbox.web.filters import FIELDS_PARAMETER, parse_fields, show_for
from headbox.web.operations import Operation
from headbox.web.permissions import Permission
from headbox.web.problems import Problem, too_deep
from headbox.web.replies import Reply, json_reply
from headbox.web.request import Request
from headbox.web.routes.tasks import visible_task

Change = Callable[[Store, str, Instant], Task]


async def changeable_task(request: Request) -> Task:
    """The task that the path names; 404 if the caller may not see it, 403 if it may see but not change it."""
    task = await visible_task(request)
    if not request.principal.may_change(task):
        raise Problem(403, "only its owner, or a user with the permission UPDATE, may change this task")
    return task


def changing(verb: str) -> Callable[[Request], Any]:
    """The handler of a call that is one verb of the store on one task, and has no body."""

    async def change(request: Request) -> Reply:
        parse_fields(request.query, request.now)
        task = await changeable_task(request)
        read_nothing(await request.body())
        changed = await request.call(getattr(request.store, verb), task.id, request.now)
        return json_reply(202, (await show_for(request, changed))(changed))

    return change


async def reschedule(request: Request) -> Reply:
    """`PUT /tasks/<id>/schedule/`."""
    parse_fields(request.query, request.now)
    task = await changeable_task(request)
    body = read_body(await request.body(), NewSchedule)
    errors: list[dict[str, str]] = []
    scheduler = _schedule(body.schedule, errors)
    if errors:
        raise invalid(errors)
    changed = await request.call(request.store.reschedule, task.id, scheduler, request.now)
    request.note = body.schedule
    return json_reply(202, (await show_for(request, changed))(changed))


async def enqueue(request: Request) -> Reply:
    """`POST /tasks/`."""
    parse_fields(request.query, request.now)
    task = await accept(request, read_body(await request.body(), NewTask))
    show = await show_for(request, task)
    return json_reply(202, show(task), (b"location", request.link(f"/tasks/{task.id}/").encode()))


async def accept(request: Request, body: NewTask) -> Task:
    """Enqueues what the body asks for; the caller owns it. 400 for what cannot be."""
    errors: list[dict[str, str]] = []
    options = _options(body, errors)
    if errors:
        raise invalid(errors)
    owner = request.principal.name
    try:
        task = await request.call(enqueue_by_name, request.service.queue, body, owner=owner, **options)
    except RecursionError:
        raise too_deep() from None
    request.note = f"{task.callable} as {task.id}"
    return task


def enqueue_by_name(task_queue: TaskQueue, body: NewTask, **options: Any) -> Task:
    """Enqueues what the body asks for. 400 where no worker has published it."""
    callable = find_callable(task_queue.store, body.method_name)
    return task_queue.enqueue_published(callable, body.args, body.kwargs, **options)


def find_callable(store: Store, name: str) -> records.Callable:
    """What workers have published under a name: the full name, an alias, or a short name where it is unambiguous: among
    what present workers know, if they know any."""
    published = store.callables()
    exact = [callable for callable in published if name == callable.name or name in callable.aliases]
    found = exact or [callable for callable in published if name == callable.short_name]
    if len(found) > 1:
        known = {known for worker in store.workers() for known in worker.names}
        found = [callable for callable in found if callable.name in known] or found
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(callable.name for callable in found)
        detail = f"{name!r} is ambiguous; give one of {names}"
    else:
        detail = f"no worker has published {name!r}; GET /callables/ lists what they have"
    raise invalid([wrong("method_name", detail)])


def _options(body: NewTask, errors: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "schedule": ImmediateScheduler() if body.schedule is None else _schedule(body.schedule, errors),
        "timeout": _duration("timeout", body.timeout, errors, lowest=1),
        "attempts": body.attempts,
        "failure_threshold": body.failure_threshold,
        "schedule_threshold": _duration("schedule_threshold", body.schedule_threshold, errors),
        "weight": body.weight,
        "priority": body.priority,
        "queue": _queue(body.queue, errors),
        "unique": body.unique,
        "job_id": body.job_id,
    }


def _schedule(text: str, errors: list[dict[str, str]]) -> Scheduler:
    try:
        return parse_schedule(text)
    except InvalidSchedule as error:
        errors.append(wrong("schedule", str(error)))
        return ImmediateScheduler()


def _duration(name: str, text: str | None, errors: list[dict[str, str]], lowest: Span = 0) -> Span | None:
    try:
        span = None if text is None else parse_duration(text)
    except InvalidSchedule as error:
        errors.append(wrong(name, str(error)))
        return None
    if span is not None and span < lowest:
        errors.append(wrong(name, "give more than no time, such as PT30M"))
    return span


def _queue(name: str | None, errors: list[dict[str, str]]) -> str | None:
    if name == SYSTEM_QUEUE:
        errors.append(wrong("queue", f"{SYSTEM_QUEUE} is the system's own queue; give another"))
    return name


def _change(verb: str, method: str, path: str, summary: str, problems: tuple[int, ...] = (404, 409)) -> Operation:
    return Operation(
        method=method,
        path=path,
        need=Permission.UPDATE,
        owner_too=True,
        summary=summary,
        handler=changing(verb),
        parameters=(FIELDS_PARAMETER,),
        status=202,
        answer="Task",
        problems=problems,
    )


OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/tasks/",
        need=Permission.CREATE,
        summary="Enqueue a task; the caller owns it",
        handler=enqueue,
        parameters=(FIELDS_PARAMETER,),
        body=NewTask,
        status=202,
        answer="Task",
        problems=(409,),
    ),
    _change("cancel", "POST", "/tasks/{id}/cancel/", "Cancel a task's current occurrence"),
    _change("hasten", "POST", "/tasks/{id}/hasten/", "Run a waiting schedule once more, now"),
    _change("suspend", "POST", "/tasks/{id}/suspend/", "Suspend a task"),
    _change("resume", "POST", "/tasks/{id}/resume/", "Let a suspended task wait again"),
    _change("reset", "POST", "/tasks/{id}/reset/", "Run a complete task once more"),
    Operation(
        method="PUT",
        path="/tasks/{id}/schedule/",
        need=Permission.UPDATE,
        owner_too=True,
        summary="Put a task on another schedule",
        handler=reschedule,
        parameters=(FIELDS_PARAMETER,),
        body=NewSchedule,
        status=202,
        answer="Task",
        problems=(404, 409),
    ),
    Operation(
        method="DELETE",
        path="/tasks/{id}/",
        need="super user",
        summary="Remove a task; a run in progress is its last",
        handler=changing("remove"),
        parameters=(FIELDS_PARAMETER,),
        status=202,
        answer="Task",
        problems=(404, 409),
    ),
)
