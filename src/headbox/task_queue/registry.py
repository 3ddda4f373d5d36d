"""What an application can run: its tasks, by name, and its hooks. Filled by the decorators of TaskQueue, read by the
workers' children and by what they publish."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from headbox.domain.errors import InvalidTask
from headbox.storage import records
from headbox.storage.references import reference

Hook = Literal["on_child_start", "before_run", "after_run", "on_enqueue"]
HOOKS: tuple[Hook, ...] = ("on_child_start", "before_run", "after_run", "on_enqueue")
MAX_NAME = 200
MAX_DOCSTRING = 10_000

_PUBLISHED = (bool, int, float, str)
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """A registered function and the options that its decorator gave. Compared by identity of the function alone."""

    name: str  # `module:qualname`, or its `name=`
    short_name: str
    function: Callable[..., Any]
    aliases: tuple[str, ...] = ()
    is_async: bool = False
    signature: str = "(…)"
    parameters: tuple[str, ...] = ()  # of the positional ones, in order
    docstring: str | None = None
    options: dict[str, Any] = {}  # as enqueueing reads them: spans in microseconds
    retry_on: tuple[type[BaseException], ...] | None = None  # None: any error is tried again
    schedule: str | None = None  # declared when a worker starts


class Registry:
    """The tasks and hooks of one TaskQueue."""

    def __init__(self) -> None:
        self.hooks: dict[Hook, dict[str, Callable[..., Any]]] = {hook: {} for hook in HOOKS}
        self._by_name: dict[str, Registration] = {}
        self._registered: dict[str, Registration] = {}
        self.resolve = self._by_name.get  # a name or alias -> its Registration, None if there is none

    def add(self, registration: Registration) -> Registration:
        """Takes a registration in. A function that is defined again (a module that is loaded anew) replaces itself;
        InvalidTask where the name or an alias is another's."""
        names = (registration.name, *registration.aliases)
        for name in names:
            _check_name(name)
            present = self._by_name.get(name)
            if present is not None and not _is_same(present, registration):
                raise InvalidTask(f"the name {name!r} is taken by {present.name}: give one of the two another name=")
        previous = self._registered.get(registration.name)
        if previous is not None:
            for name in (previous.name, *previous.aliases):
                del self._by_name[name]
        self._registered[registration.name] = registration
        self._by_name.update(dict.fromkeys(names, registration))
        return registration

    def add_hook(self, hook: Hook, function: Callable[..., Any]) -> None:
        """Takes a hook in, by its function's name: the same function again is one hook. InvalidTask if it is async."""
        if inspect.iscoroutinefunction(function):
            raise InvalidTask(
                f"{hook} hooks run between tasks, so {function!r} cannot be async: make it a plain function"
            )
        self.hooks[hook][f"{function.__module__}:{getattr(function, '__qualname__', repr(function))}"] = function

    def registrations(self) -> list[Registration]:
        """All registrations, in the order in which they were first made."""
        return list(self._registered.values())

    def catalog(self) -> list[records.Callable]:
        """What a worker publishes."""
        return [_published(registration) for registration in self._registered.values()]


def describe(function: Callable[..., Any], name: str | None, **rest: Any) -> Registration:
    """A registration with all that can be learned from the function itself. InvalidTask if no worker could import it
    (a `name` does not need that)."""
    parameters = parameters_of(function)
    return Registration(
        name=reference(function) if name is None else name,
        short_name=function.__name__ if name is None else name,
        function=function,
        is_async=inspect.iscoroutinefunction(function),
        signature=_signature(function),
        parameters=parameters,
        docstring=(inspect.getdoc(function) or "")[:MAX_DOCSTRING] or None,
        **rest,
    )


def parameters_of(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names of the positional parameters, in order; () where the function does not say."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return ()
    return tuple(parameter.name for parameter in parameters if parameter.kind in _POSITIONAL)


def _signature(function: Callable[..., Any]) -> str:
    try:
        return str(inspect.signature(function))
    except (TypeError, ValueError):
        return "(…)"


def _published(registration: Registration) -> records.Callable:
    return records.Callable(
        name=registration.name,
        short_name=registration.short_name,
        aliases=registration.aliases,
        is_async=registration.is_async,
        signature=registration.signature,
        parameters=registration.parameters,
        docstring=registration.docstring,
        defaults={
            name: value for name, value in registration.options.items() if value is None or type(value) in _PUBLISHED
        },
    )


def _is_same(one: Registration, other: Registration) -> bool:
    def identity(registration: Registration) -> tuple[str, Any, Any]:
        function = registration.function
        return registration.name, getattr(function, "__module__", None), getattr(function, "__qualname__", None)

    return identity(one) == identity(other)


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or not name.isprintable() or name != name.strip():
        raise InvalidTask(f"{name!r} cannot name a task: give 1 to {MAX_NAME} printable characters")
