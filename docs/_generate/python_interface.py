"""The reference of the Python interface, from the signatures and docstrings of all public names."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from types import MemberDescriptorType
from typing import Any, Final, get_args, get_overloads

import msgspec

import headbox
import headbox.testing
import headbox.web
from docs._generate.markdown import code, docstring, page, table
from headbox.domain.iso8601 import format_duration
from headbox.task_queue.options import EnqueueOptions, Options, TaskOptions
from headbox.web.representations import FIELDS

SECTIONS: Final = {
    "Queues and tasks": ("TaskQueue", "TaskFunction", "Task", "Call", "Draft", "Ending"),
    "Inside a task": ("current_task", "CurrentTask", "Retry", "Discard", "Interrupted"),
    "Schedules": (
        "ImmediateScheduler", "AtScheduler", "IntervalScheduler", "CronScheduler", "Scheduler", "parse_schedule",
    ),
    "Errors": (
        "HeadboxError", "ConfigError", "InvalidFilter", "InvalidSchedule", "InvalidTask", "NonUniqueTask",
        "PayloadRefused", "StateConflict", "StorageError", "StorageUnavailable", "TaskCanceled", "TaskFailed",
        "TaskTimedOut", "UnknownName", "UnknownTask",
    ),
    "Settings": ("Settings",),
}  # fmt: skip
# Nobody makes one: they are given.
GIVEN: Final = (headbox.Task, headbox.TaskFunction, headbox.CurrentTask, headbox.Ending, headbox.Draft, headbox.Call)
MODULES: Final = {"headbox.web": headbox.web, "headbox.testing": headbox.testing}

OPTIONS: Final = {
    "queue": "the queue that it waits in",
    "priority": "-9 to 9; of what is due, the highest first",
    "weight": "what it takes of a worker's concurrency",
    "timeout": "how long a run may take",
    "attempts": "how often it is tried before its failure is final; of one that is not recurring",
    "failure_threshold": "failures in a row that end a schedule",
    "schedule_threshold": "how late a start is logged as an error",
    "unique": "refuse it with `NonUniqueTask` while the same call is incomplete",
    "progress_arg": "the parameter under which the function receives a callable that reports progress",
    "progress_callback": "turns what that callable is given into the progress",
    "job_id": "tasks with the same are a job: listed and canceled together",
    "owner": "the user of the API that it belongs to",
    "scheduler": "when it runs, as an object",
    "schedule": "when it runs, as text (`PT6H`, `cron: 30 2 * * *`) or an object",
    "delay": "how long from now it runs",
}
SOURCES: Final = {
    "scheduler": "Scheduler", "schedule": "str | Scheduler", "delay": "float | timedelta", "unique": "bool",
}  # fmt: skip


def render() -> str:
    """The page. ValueError if an option has no meaning."""
    if odd := set(OPTIONS) ^ set(EnqueueOptions.__annotations__):
        raise ValueError(f"OPTIONS and EnqueueOptions differ in {', '.join(sorted(odd))}: say what each means")
    return page(
        "# Python interface",
        "All public names, as the code describes them. `headbox` itself offers those of the first sections.",
        *(_section(title, [(name, getattr(headbox, name)) for name in names]) for title, names in _sections().items()),
        *(
            _section(name, [(each, getattr(module, each)) for each in module.__all__])
            for name, module in MODULES.items()
        ),
    )


def _sections() -> dict[str, list[str]]:
    """Every public name under its title; one that nobody has placed is at the end."""
    placed = {name for names in SECTIONS.values() for name in names}
    sections = {title: [name for name in names if name in headbox.__all__] for title, names in SECTIONS.items()}
    return sections | {"Further names": [name for name in headbox.__all__ if name not in placed]}


def _section(title: str, things: list[tuple[str, Any]]) -> str:
    return page(f"## {title}", *(_describe(name, thing) for name, thing in things)) if things else ""


def _describe(name: str, thing: Any) -> str:
    if isinstance(thing, type) and issubclass(thing, BaseException):
        bases = ", ".join(f"`{base.__name__}`" for base in thing.__bases__)
        return page(f"### {name}", docstring(thing), f"Derived from {bases}.")
    if thing is headbox.Settings:
        return page(f"### {name}", docstring(thing), "Its fields are the [settings](configuration.md).")
    if isinstance(thing, type):
        made = "" if thing in GIVEN else _signatures(name, thing)
        return page(f"### {name}", made, docstring(thing), _attributes(thing), *_members(thing))
    if not inspect.isfunction(thing):  # a type alias
        return page(f"### {name}", f"Any of {', '.join(f'`{each.__name__}`' for each in get_args(thing))}.")
    return page(f"### {name}", _signatures(name, thing), docstring(thing))


def _members(cls: type) -> Iterator[str]:
    """The public methods, each with what it says of itself; the async twins of all in one line."""
    twins = []
    for name, member in vars(cls).items():
        plain = member.__func__ if isinstance(member, (classmethod, staticmethod)) else member
        if name.startswith("_") or not inspect.isfunction(plain):
            continue
        if name.endswith("_async") and name.removesuffix("_async") in vars(cls):
            twins.append(f"`{name}`")
            continue
        yield page(f"#### {cls.__name__}.{name}", _signatures(f"{cls.__name__}.{name}", plain), docstring(plain))
        if name == "enqueue" and cls is headbox.TaskQueue:
            yield _options()
    if twins:
        yield f"From asyncio: {', '.join(twins)}; each is the call of that name without `_async`, in a thread."


def _attributes(cls: type) -> str:
    """What can be read of an object: properties, descriptors that know their type, and fields."""
    fields = inspect.get_annotations(cls if issubclass(cls, msgspec.Struct) else cls.__init__)
    rows = []
    members = vars(cls)
    for name in [*(name for name in fields if name in members), *(name for name in members if name not in fields)]:
        member = members[name]
        if name.startswith("_"):
            continue
        if isinstance(member, property):
            rows.append(
                (f"`{name}`", f"`{_kind(inspect.get_annotations(member.fget or cls)['return'])}`", docstring(member))
            )
        elif hasattr(member, "__orig_class__"):
            rows.append((f"`{name}`", f"`{_kind(get_args(member.__orig_class__)[0])}`", _meaning(name)))
        elif isinstance(member, MemberDescriptorType) and name in fields:
            rows.append((f"`{name}`", f"`{_kind(fields[name])}`", ""))
    return table(("attribute", "type", ""), rows)


def _meaning(name: str) -> str:
    """What an attribute of a task is, as the API says it of the same one."""
    said = str(FIELDS[name].schema.get("description", "")) if name in FIELDS else ""
    return said.replace("null", "None")


def _signatures(name: str, thing: Callable[..., Any]) -> str:
    """How it is called; once for each overload."""
    shown = []
    for each in get_overloads(thing) or [thing]:
        try:
            signature = inspect.signature(each)
        except ValueError:
            continue
        shown.append(_wrapped(name, list(_parameters(signature)), signature.return_annotation))
    return code("\n\n".join(shown), "python") if shown else ""


def _parameters(signature: inspect.Signature) -> Iterator[str]:
    """The parameters as they stand in code, a star before those that are given by name."""
    starred = False
    for parameter in signature.parameters.values():
        if parameter.name == "self":
            continue
        starred = starred or parameter.kind is parameter.VAR_POSITIONAL
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            starred = True
            yield "*"
        yield _parameter(parameter)


def _parameter(parameter: inspect.Parameter) -> str:
    star = "*" * (parameter.kind is parameter.VAR_POSITIONAL) + "**" * (parameter.kind is parameter.VAR_KEYWORD)
    default = repr(parameter.default)
    if parameter.default is parameter.empty:
        default = ""
    elif default.startswith("<"):
        default = " = …"
    else:
        default = f" = {default}"
    return f"{star}{parameter.name}: {_kind(parameter.annotation)}{default}"


def _wrapped(name: str, parameters: list[str], returned: Any) -> str:
    end = "" if returned in (inspect.Signature.empty, None, "None") else f" -> {_kind(returned)}"
    line = f"{name}({', '.join(parameters)}){end}"
    if len(line) <= 88:
        return line
    return f"{name}(\n" + "".join(f"    {parameter},\n" for parameter in parameters) + f"){end}"


def _kind(annotation: Any) -> str:
    """A type as one writes it."""
    text = str(getattr(annotation, "__forward_arg__", annotation))
    if isinstance(annotation, type) and "[" not in text:
        text = annotation.__name__
    return re.sub(r"\b(typing|collections\.abc)\.", "", text)


def _options() -> str:
    """The options of `enqueue`, with the types and defaults of the code."""
    defaults = Options()
    annotations = {**TaskOptions.__annotations__, **EnqueueOptions.__annotations__}
    rows = [
        (f"`{name}`", f"`{_annotation(name, annotations[name])}`", _default(name, defaults), meaning)
        for name, meaning in OPTIONS.items()
    ]
    return page(
        "The options, of which `@queue.task` takes the first nine too:", table(("option", "type", "default", ""), rows)
    )


def _annotation(name: str, kind: Any) -> str:
    text = getattr(kind, "__forward_arg__", str(kind))
    return SOURCES.get(name, text.replace("Seconds", "float | timedelta").replace("Callable[..., Any]", "Callable"))


def _default(name: str, defaults: Options) -> str:
    value = getattr(defaults, name, None)
    if name == "schedule_threshold":
        return f"the setting ({format_duration(headbox.Settings().schedule_threshold)})"
    return "" if value is None or name == "scheduler" else f"`{value!r}`"
