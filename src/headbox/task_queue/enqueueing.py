"""Makes tasks out of calls: what is called becomes a target, its arguments payloads, its schedule a first occurrence.
Pure but for ids: it is given `now` and stores nothing."""

from __future__ import annotations

import functools
import hashlib
import logging
from collections.abc import Mapping
from types import MethodType, ModuleType
from typing import Any, Final

import msgspec

from headbox.domain.errors import InvalidTask
from headbox.domain.schedulers import Scheduler
from headbox.domain.snapshot import PICKLE_MARK, PICKLE_START
from headbox.domain.task import Instant, Task, unique_key
from headbox.identifiers import new_id
from headbox.storage import records
from headbox.storage.payload import Payloads
from headbox.storage.references import reference
from headbox.task_queue.options import IMMEDIATE, Options
from headbox.task_queue.registry import Registration, Registry, parameters_of

logger = logging.getLogger(__name__)

_sorted_json = msgspec.json.Encoder(order="sorted").encode


class Target(msgspec.Struct, frozen=True):
    """What a task is to call: by name alone, or with an object that is pickled (`value`)."""

    name: str
    method_name: str
    class_name: str | None = None
    value: Any = None
    parameters: tuple[str, ...] = ()
    registration: Registration | None = None
    is_async: bool = False


class Call(msgspec.Struct):
    """A call that is to be enqueued: what `task.call(…)` gives and `enqueue_many` takes."""

    callable: Any
    args: list[Any]
    kwargs: dict[str, Any]
    options: Mapping[str, Any] = {}


class Draft(msgspec.Struct):
    """A call as `on_enqueue` hooks see it, before anything is stored. A hook may change its arguments and options
    (as `enqueue` takes them), or raise to refuse it."""

    callable: str
    args: list[Any]
    kwargs: dict[str, Any]
    options: dict[str, Any]


class Naming(msgspec.Struct, frozen=True, kw_only=True):
    """The name of a schedule, of which exactly one task exists, and the application that declares it, if one does."""

    schedule_name: str
    declared_by: str | None = None


def read_call(callable: Any, args: Any, kwargs: Any, options: Mapping[str, Any]) -> Call:
    """The call, its arguments checked and those of `functools.partial` put before them. InvalidTask."""
    if not isinstance(args, (list, tuple)):
        raise InvalidTask(f"args is {args!r:.80}: give a list of the positional arguments")
    if kwargs is not None and not (isinstance(kwargs, dict) and all(isinstance(name, str) for name in kwargs)):
        raise InvalidTask(f"kwargs is {kwargs!r:.80}: give a dict from parameter names to arguments")
    return unfold(Call(callable, list(args), dict(kwargs or {}), options))


def unfold(call: Call) -> Call:
    """The call with `functools.partial` taken apart: what it holds are arguments like any other."""
    while isinstance(call.callable, functools.partial):
        partial = call.callable
        call = Call(partial.func, [*partial.args, *call.args], partial.keywords | call.kwargs, call.options)
    return call


def target_of(function: Any, registry: Registry) -> Target:
    """What a task that calls `function` is to store of it. InvalidTask if a worker could not import it.

    A function that is not registered is pickled by its name, a bound method with what it is bound to.
    """
    if not callable(function):
        raise InvalidTask(f"{function!r:.80} cannot be a task: give a function or a method")
    owner = getattr(function, "__self__", None)
    if owner is not None and not isinstance(owner, ModuleType):
        return _bound(function, owner, registry)
    if not hasattr(function, "__qualname__"):  # functions and classes have one, whatever decorates them
        return _bound(MethodType(type(function).__call__, function), function, registry)
    return Target(reference(function), function.__name__, value=function, parameters=parameters_of(function))


def registered(registration: Registration) -> Target:
    """The target that a registered function is."""
    return Target(
        registration.name,
        registration.short_name,
        parameters=registration.parameters,
        registration=registration,
        is_async=registration.is_async,
    )


def published(callable: records.Callable) -> Target:
    """The target that a callable is which a worker has published."""
    return Target(callable.name, callable.short_name, parameters=callable.parameters, is_async=callable.is_async)


def _bound(method: Any, owner: Any, registry: Registry) -> Target:
    """A bound method, pickled with what it is bound to."""
    function = getattr(method, "__func__", None)
    cls = owner if isinstance(owner, type) else type(owner)
    name = f"{reference(cls)}.{method.__name__}" if function is None else reference(function)
    registration = registry.resolve(name)
    return Target(
        name,
        method.__name__ if registration is None else registration.short_name,
        cls.__name__,
        method,
        parameters_of(method),
        registration,
        registration is not None and registration.is_async,
    )


def prepare(
    target: Target,
    args: list[Any],
    kwargs: dict[str, Any],
    options: Options,
    payloads: Payloads,
    now: Instant,
    naming: Naming | None = None,
) -> Task:
    """The task of a call, as it is to be enqueued at `now`. PayloadRefused, InvalidTask."""
    id = new_id()
    bound = {"task_id": id if naming is None else f"schedule {naming.schedule_name}", "callable": target.name}
    values: dict[str, Any] = {}
    if args:
        values["args"] = stored = payloads.encode(args, field="args", **bound)
        values["public_args"] = payloads.public_beside(stored, args, target.parameters)
    if kwargs:
        values["kwargs"] = stored = payloads.encode(kwargs, field="kwargs", **bound)
        values["public_kwargs"] = payloads.public_beside(stored, kwargs)
    if target.value is not None:
        values["callable_payload"] = payloads.encode(target.value, field="callable", **bound)
    if options.progress_callback is not None:
        values["progress_callback"] = payloads.encode(options.progress_callback, field="progress_callback", **bound)
    if options.scheduler is not IMMEDIATE:
        values |= occurrence(options.scheduler, now, is_named=naming is not None)
    task = Task(
        id=id,
        run=1,
        state="waiting",
        queue=options.queue,
        priority=options.priority,
        due_time=values.pop("due_time", now),
        callable=target.name,
        method_name=target.method_name,
        class_name=target.class_name,
        timeout=options.timeout,
        attempts=options.attempts,
        failure_threshold=options.failure_threshold,
        schedule_threshold=options.schedule_threshold,
        weight=options.weight,
        is_async=target.is_async,
        job_id=options.job_id,
        owner=options.owner,
        progress_arg=options.progress_arg,
        enqueue_time=now,
        **values,
    )
    if options.unique:
        task = msgspec.structs.replace(task, unique_key=_unique_key(task))
    if naming is not None:
        names = msgspec.structs.asdict(naming)
        task = msgspec.structs.replace(task, **names, definition=_definition(task, options.scheduler))
    return task


def occurrence(scheduler: Scheduler, now: Instant, *, is_named: bool = False) -> dict[str, Any]:
    """A scheduler as fields of a task, its first occurrence included. InvalidTask if it has none. A schedule that
    `is_named` is declared again and again: its start is the origin of a grid, before which nothing was missed."""
    scheduler = scheduler.fixed(now)
    time, skipped = scheduler.first(now)
    if skipped and not is_named:
        # Meant by whoever gave it a start in the past: nothing to be warned of.
        began = "the schedule %s began in the past: %d occurrences were missed and are skipped"
        logger.info(began, scheduler.expression(), skipped)
    if time is None and scheduler.kind != "immediate":
        raise InvalidTask("the schedule has no occurrence before the end of the calendar: give one that starts earlier")
    return {
        "scheduler": scheduler.kind,
        "schedule": scheduler.expression(),
        "scheduled_time": time,
        "due_time": now if time is None else time,
        "runs_left": scheduler.runs,
    }


def _unique_key(task: Task) -> str:
    """Over canonical JSON of callable and arguments, the kind of schedule and an *at* time."""
    is_plain = task.class_name is None and not any(
        stored is not None and stored.startswith(PICKLE_MARK) for stored in (task.args, task.kwargs)
    )
    if not is_plain:
        raise InvalidTask(
            f"unique tasks take plain JSON arguments and no bound methods, so {task.callable} cannot be one"
        )
    parts = [task.callable, _json(task.args), _json(task.kwargs)]
    return unique_key(hashlib.sha256(_sorted_json(parts)).hexdigest(), task.scheduler, task.schedule)


def _json(stored: bytes | None) -> Any:
    return None if stored is None else msgspec.json.decode(stored)


def _definition(task: Task, scheduler: Scheduler) -> str:
    """A digest of all that a named schedule says, without what differs each time it is said: ids, times, signatures."""
    said = {
        field: _unsigned(value) if isinstance(value, bytes) else value
        for field, value in msgspec.structs.asdict(task).items()
        if field not in _NOT_DEFINING
    }
    said |= {"schedule": scheduler.expression(), "runs": scheduler.runs}
    return hashlib.sha256(_sorted_json(said)).hexdigest()


_NOT_DEFINING: Final = ("id", "due_time", "scheduled_time", "enqueue_time", "definition")


def _unsigned(stored: bytes) -> bytes:
    return stored[PICKLE_START:] if stored.startswith(PICKLE_MARK) else stored
