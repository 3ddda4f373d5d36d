"""What `@queue.task` makes of a function: that function to whoever calls it, a task to whoever enqueues it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload

from headbox.domain.errors import InvalidTask
from headbox.task_queue.enqueueing import Call
from headbox.task_queue.handle import Task
from headbox.task_queue.options import TASK_OPTIONS, EnqueueOptions, read_options, schedule_text
from headbox.task_queue.registry import Registration, describe

if TYPE_CHECKING:
    from typing import Unpack  # only read by type checkers

P = ParamSpec("P")
Q = ParamSpec("Q")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")


class Enqueuer(Protocol):
    """Where calls are enqueued: a TaskQueue."""

    def enqueue_many(self, calls: list[Call]) -> list[Task]: ...


class Caller(Generic[P]):
    """Makes calls for `enqueue_many`, with options of their own."""

    def __init__(self, function: TaskFunction[P, Any]) -> None:
        self._function = function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Call:
        """A call with these arguments, to be given to `enqueue_many`."""
        return Call(self._function, list(args), kwargs, self._function.given)

    def options(self, **options: Unpack[EnqueueOptions]) -> Caller[P]:
        """The same, with these options of `enqueue`."""
        return Caller(self._function.options(**options))


class TaskFunction(Generic[P, R_co]):
    """A registered function. Calling it runs it here and now; `enqueue` has its signature."""

    def __init__(
        self,
        queue: Enqueuer,
        registration: Registration,
        function: Callable[P, R_co],
        given: EnqueueOptions | None = None,
        instance: Any = None,
    ) -> None:
        functools.update_wrapper(self, function)
        self.queue = queue
        self.registration = registration
        self.function = function
        self.given: EnqueueOptions = given or {}
        self.instance = instance

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        return self.function(*args, **kwargs)

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Task:
        """Enqueues a call with these arguments. Errors as of `TaskQueue.enqueue`."""
        return self.queue.enqueue_many([Call(self, list(args), kwargs, self.given)])[0]

    async def enqueue_async(self, *args: P.args, **kwargs: P.kwargs) -> Task:
        """As `enqueue`, in a thread."""
        import asyncio

        return await asyncio.to_thread(self.enqueue, *args, **kwargs)

    @property
    def call(self) -> Caller[P]:
        """Makes calls for `enqueue_many`: `sync.call("fedora")`, `sync.call.options(weight=2)("fedora")`."""
        return Caller(self)

    def options(self, **options: Unpack[EnqueueOptions]) -> TaskFunction[P, R_co]:
        """The same task with these options of `enqueue`: `sync.options(priority=5).enqueue("fedora")`."""
        given: EnqueueOptions = {**self.given, **options}
        return TaskFunction(self.queue, self.registration, self.function, given, self.instance)

    @overload
    def __get__(self, instance: None, owner: type) -> TaskFunction[P, R_co]: ...
    @overload
    def __get__(
        self: TaskFunction[Concatenate[S, Q], R_co], instance: S, owner: type | None = None
    ) -> TaskFunction[Q, R_co]: ...
    def __get__(self, instance: Any, owner: type | None = None) -> TaskFunction[Any, R_co]:
        if instance is None:
            return self
        method = self.function.__get__(instance, owner)
        return TaskFunction(self.queue, self.registration, method, self.given, instance)

    def __reduce__(self) -> str | tuple[Any, ...]:
        """By name, as functions are pickled."""
        if self.instance is not None:
            return getattr, (self.instance, self.function.__name__)
        return self.function.__qualname__

    def __repr__(self) -> str:
        return f"<task {self.registration.name}>"


def describe_task(
    function: Any, name: Any, aliases: Any, schedule: Any, retry_on: Any, options: Mapping[str, Any]
) -> Registration:
    """The registration that `@queue.task(…)` asks for. InvalidTask for a function or an option that cannot be."""
    if isinstance(function, (staticmethod, classmethod)):
        raise InvalidTask(f"put @queue.task below @{type(function).__name__}, next to the function")
    if isinstance(function, (TaskFunction, type)) or not (callable(function) and hasattr(function, "__qualname__")):
        raise InvalidTask(f"{function!r:.80} cannot be registered: give a function that is no task yet")
    if schedule is not None and not _needs_nothing(function):
        raise InvalidTask(
            f"{function.__qualname__} needs arguments and a declared schedule gives none: "
            "give its parameters defaults, or use queue.schedule(name, …, args=…)"
        )
    return describe(
        function,
        name,
        aliases=_aliases(aliases),
        options=read_options(options, 0, TASK_OPTIONS),
        retry_on=_exceptions(retry_on),
        schedule=None if schedule is None else schedule_text(schedule),
    )


def _needs_nothing(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind()
    except TypeError:
        return False
    except ValueError:  # it does not say
        return True
    return True


def _aliases(aliases: Any) -> tuple[str, ...]:
    if isinstance(aliases, str):
        raise InvalidTask(f"aliases is {aliases!r:.80}: give a list of names")
    return tuple(aliases)


def _exceptions(retry_on: Any) -> tuple[type[BaseException], ...] | None:
    if retry_on is None:
        return None
    kinds = retry_on if isinstance(retry_on, (tuple, list)) else (retry_on,)
    if not all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds):
        raise InvalidTask(f"retry_on is {retry_on!r:.80}: give an exception class or a tuple of them")
    return tuple(kinds)
