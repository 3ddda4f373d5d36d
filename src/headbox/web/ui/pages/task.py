"""All about one task: how far it is, with what it was called, how it ended, why it waits, what may be done with it."""

from __future__ import annotations

from typing import Any, Final

from headbox.domain.states import COMPLETE, INCOMPLETE, RUNNING, SUSPENDED, allows
from headbox.domain.task import SYSTEM_QUEUE, Task
from headbox.domain.waiting import Reason, waiting_for
from headbox.web.operations import Operation
from headbox.web.permissions import Principal
from headbox.web.problems import unknown_task
from headbox.web.request import Request
from headbox.web.ui.description import name_of, read_public, took
from headbox.web.ui.layout import Layout
from headbox.web.ui.page import Page
from headbox.web.ui.wording import show_span

RUNS: Final = 30  # the newest that are shown


def load(request: Request) -> dict[str, Any]:
    """The task, its newest runs and what this caller may do."""
    store, me = request.store, request.principal
    task = store.get(request.path["id"])
    if not me.may_see(task):
        raise unknown_task()
    runs = store.history(task.id, RUNS + 1)
    spans = [took(run) or 0 for run in runs[:RUNS]]
    return {
        "title": name_of(task),
        "task": task,
        "arguments": arguments(task, request),
        "result": read_public(task.public_result, task.result, None),
        "has_result": task.result is not None or task.public_result is not None,
        "reasons": reasons(task, request),
        "runs": runs[:RUNS],
        "has_more_runs": len(runs) > RUNS,
        "longest": max(spans, default=0) or 1,
        "verbs": verbs(task, me),
        "may_change": me.may_change(task) and task.state in INCOMPLETE,
        "worker": next((worker for worker in store.workers() if worker.id == task.worker), None),
        "is_late": task.start_time is not None
        and task.scheduled_time is not None
        and task.schedule_threshold is not None
        and task.start_time - task.scheduled_time > task.schedule_threshold,
        "lateness": show_span((task.start_time or 0) - (task.scheduled_time or 0)),
    }


def arguments(task: Task, request: Request) -> list[tuple[str, Any]]:
    """What it was called with, each by its name where workers have published that."""
    args = read_public(task.public_args, task.args, [])
    kwargs = read_public(task.public_kwargs, task.kwargs, {})
    known = next((each for each in request.store.callables() if each.name == task.callable), None)
    names = known.parameters if known else ()
    listed = list(args) if isinstance(args, list) else []
    positional = [(names[at] if at < len(names) else f"[{at}]", value) for at, value in enumerate(listed)]
    return positional + (list(kwargs.items()) if isinstance(kwargs, dict) else [])


def reasons(task: Task, request: Request) -> list[Reason]:
    """Why it does not run yet."""
    if task.state not in INCOMPLETE:
        return []
    return waiting_for(task, request.store.surroundings(request.now, task), request.now)


def verbs(task: Task, me: Principal) -> list[str]:
    """What this caller may do with it now."""
    if not me.may_change(task):
        return []
    is_asked = task.state == RUNNING and bool(task.suspend_asked)
    found = ["cancel"] if allows(task.state, "cancel") else []
    found += ["suspend"] if allows(task.state, "suspend") and not is_asked else []
    found += ["resume"] if task.state == SUSPENDED or is_asked else []
    found += ["reset"] if task.state in COMPLETE and task.final else []
    if me.is_super and task.state in INCOMPLETE and task.queue != SYSTEM_QUEUE:
        found.append("remove")
    return found


PAGE: Final = Page(
    path="/ui/tasks/{id}/",
    title="Task",
    template="ui/task.html",
    load=load,
    owner_too=True,
    fragments=("status", "outcome", "runs", "details"),
)


def operations(layout: Layout) -> tuple[Operation, ...]:
    """The rows of the route table."""
    return (layout.operation(PAGE),)
