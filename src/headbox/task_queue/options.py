"""The options of a task: as users give them, and as the domain takes them. Every refusal is one sentence."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from operator import index
from typing import Any, Final, TypedDict, get_args

import msgspec

from headbox.domain.errors import InvalidTask
from headbox.domain.iso8601 import MAX_SPAN, time_of
from headbox.domain.schedulers import AtScheduler, ImmediateScheduler, Scheduler, parse_schedule
from headbox.domain.task import SECOND, SYSTEM_QUEUE, Instant, Span

Seconds = float | timedelta

MAX_WEIGHT: Final = 1_000_000
MAX_COUNT: Final = 1_000_000_000
MAX_NAME: Final = 200
IMMEDIATE: Final = ImmediateScheduler()


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How a task is to be run, spans in microseconds."""

    queue: str = "default"
    priority: int = 0
    weight: int = 1
    timeout: Span | None = None
    attempts: int = 1
    failure_threshold: int | None = None
    schedule_threshold: Span | None = None
    unique: bool = False
    job_id: str | None = None
    owner: str | None = None
    progress_arg: str | None = None
    progress_callback: Callable[..., Any] | None = None
    scheduler: Scheduler = IMMEDIATE


class TaskOptions(TypedDict, total=False):
    """What `@queue.task` and `enqueue` take alike."""

    queue: str
    priority: int  # -9 to 9, the highest first
    weight: int  # of a worker's concurrency
    timeout: Seconds | None
    attempts: int
    failure_threshold: int | None  # failures in a row that end a schedule
    schedule_threshold: Seconds | None  # how late a start is logged as an error
    unique: bool
    progress_arg: str | None


class EnqueueOptions(TaskOptions, total=False):
    """What `enqueue` takes. Of `scheduler`, `schedule` and `delay` one."""

    scheduler: Scheduler
    schedule: str | Scheduler
    delay: Seconds
    job_id: str | None
    owner: str | None
    progress_callback: Callable[..., Any] | None


TASK_OPTIONS: Final = frozenset(TaskOptions.__annotations__)
OPTIONS: Final = frozenset(EnqueueOptions.__annotations__)


def read_options(given: Mapping[str, Any], now: Instant, valid: Collection[str] = OPTIONS) -> dict[str, Any]:
    """The given options as fields of `Options`. InvalidTask for one that is not among the valid or cannot be so."""
    for name in given:
        if name not in valid:
            raise _unknown(name, valid)
    values = {name: _READERS[name](value) for name, value in given.items() if name not in _WHENS}
    whens = [name for name in _WHENS if name in given]
    if len(whens) > 1:
        raise InvalidTask(f"{' and '.join(whens)} each say when the task runs: give one of them")
    if whens:
        values["scheduler"] = _WHENS[whens[0]](given[whens[0]], now)
    return values


def read_span(name: str, lowest: Span) -> Callable[[Any], Span | None]:
    """A reader of a timedelta or seconds, None allowed."""

    def read(value: Any) -> Span | None:
        if value is None:
            return None
        if isinstance(value, timedelta):
            span = value // timedelta(microseconds=1)
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < MAX_SPAN:  # not NaN
            span = round(value * SECOND)
        else:
            raise InvalidTask(f"{name} is {value!r:.80}: give seconds or a timedelta")
        if not lowest <= span <= MAX_SPAN:
            least = "more than 0" if lowest else "0 or more"
            raise InvalidTask(f"{name} is {value!r:.80}: give {least} seconds, and at most {MAX_SPAN // SECOND:,}")
        return span

    return read


def _unknown(name: str, valid: Collection[str]) -> InvalidTask:
    from difflib import get_close_matches

    close = get_close_matches(name, valid, n=1)
    advice = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(valid))}"
    return InvalidTask(f"there is no option {name}: {advice}")


def _whole(name: str, lowest: int, highest: int, optional: bool = False) -> Callable[[Any], int | None]:
    def read(value: Any) -> int | None:
        if value is None and optional:
            return None
        try:
            number = index(value)
        except TypeError:
            number = lowest - 1
        if isinstance(value, bool) or not lowest <= number <= highest:
            raise InvalidTask(f"{name} is {value!r:.80}: give a whole number from {lowest} to {highest:,}")
        return number

    return read


def read_name(what: str, value: Any) -> str:
    """The value, if it is a text that can be a name. InvalidTask."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME or not value.isprintable():
        raise InvalidTask(f"{what} is {value!r:.80}: give a text of 1 to {MAX_NAME} printable characters")
    return str(value)


def _name(name: str) -> Callable[[Any], str | None]:
    return lambda value: None if value is None else read_name(name, value)


def _queue(value: Any) -> str:
    name = read_name("queue", value)
    if name == SYSTEM_QUEUE or "," in name or " " in name:
        raise InvalidTask(
            f"queue is {value!r:.80}: give another name, without commas and spaces ({SYSTEM_QUEUE} is taken)"
        )
    return name


def _unique(value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidTask(f"unique is {value!r:.80}: give True or False")
    return value


def _progress_arg(value: Any) -> str | None:
    if value is not None and not (isinstance(value, str) and value.isidentifier()):
        raise InvalidTask(f"progress_arg is {value!r:.80}: give the name of a parameter of the task")
    return value


def _progress_callback(value: Any) -> Any:
    if value is not None and not callable(value):
        raise InvalidTask(f"progress_callback is {value!r:.80}: give a function that returns the progress")
    return value


def _scheduler(value: Any, now: Instant) -> Scheduler:
    if value is None:
        return IMMEDIATE
    if not isinstance(value, get_args(Scheduler)):
        raise InvalidTask(f"scheduler is {value!r:.80}: give one such as IntervalScheduler(timedelta(hours=6))")
    scheduler: Scheduler = value
    return scheduler


def read_schedule(value: Any, now: Instant = 0) -> Scheduler:
    """The scheduler that a text or a scheduler means. InvalidSchedule, InvalidTask."""
    return parse_schedule(value) if isinstance(value, str) else _scheduler(value, now)


def _delay(value: Any, now: Instant) -> Scheduler:
    span = read_span("delay", 0)(value)
    return IMMEDIATE if span is None else AtScheduler(time_of(now + span))


_READERS: Final[dict[str, Callable[[Any], Any]]] = {
    "queue": _queue,
    "priority": _whole("priority", -9, 9),
    "weight": _whole("weight", 0, MAX_WEIGHT),
    "timeout": read_span("timeout", 1),
    "attempts": _whole("attempts", 1, MAX_COUNT),
    "failure_threshold": _whole("failure_threshold", 1, MAX_COUNT, optional=True),
    "schedule_threshold": read_span("schedule_threshold", 0),
    "unique": _unique,
    "job_id": _name("job_id"),
    "owner": _name("owner"),
    "progress_arg": _progress_arg,
    "progress_callback": _progress_callback,
}
_WHENS: Final[dict[str, Callable[[Any, Instant], Scheduler]]] = {
    "scheduler": _scheduler,
    "schedule": read_schedule,
    "delay": _delay,
}


def schedule_text(schedule: str | Scheduler) -> str:
    """The text of a recurring schedule, runs included, such that `parse_schedule` gives it back. InvalidTask for one
    that does not recur."""
    scheduler = read_schedule(schedule)
    text = scheduler.expression()
    if not scheduler.is_recurring or text is None:
        raise InvalidTask("a declared schedule recurs: give an interval such as PT30M or a cron expression")
    return text if scheduler.runs is None else f"R{scheduler.runs}/{text}"
