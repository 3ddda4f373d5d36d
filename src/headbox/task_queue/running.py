"""Runs one task: finds its callable, loads its arguments, calls it and says how it ended. The one place for that, used
by the workers' children and by headbox.testing. It knows nothing of the store."""

from __future__ import annotations

import inspect
import logging
import traceback
from collections.abc import Callable
from datetime import timedelta
from os.path import dirname
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from headbox.domain.errors import Discard, HeadboxError, Interrupted, PayloadRefused, Retry
from headbox.domain.iso8601 import MAX_SPAN
from headbox.domain.task import SECOND, Span, Work
from headbox.storage.payload import Payloads, binding
from headbox.task_queue.current import CurrentTask, Running
from headbox.task_queue.importing import importing
from headbox.task_queue.registry import Registration, Registry

if TYPE_CHECKING:
    import asyncio

MAX_TEXT: Final = 64 * 1024  # characters of an exception or a traceback that are kept

logger = logging.getLogger(__name__)


class UnknownCallable(HeadboxError, LookupError):
    """The application has no task of this name."""


class Ending(msgspec.Struct, frozen=True, array_like=True):
    """How a run ended, as its Outcome will say it. `interrupted`: a child was told to end it, and it let that pass."""

    event: Literal["succeed", "fail", "interrupted"]
    result: bytes | None = None
    public_result: str | None = None
    exception: str | None = None
    traceback: str | None = None
    retry_after: Span | None = None
    discard: bool = False


_NO_RESULT: Final = Ending("succeed")


def execute(registry: Registry, payloads: Payloads, work: Work, send_progress: Callable[[str], None]) -> Ending:
    """Runs a task to its end, in this thread. An async function gets an event loop of its own.

    Raises UnknownCallable where the application lacks the callable, and lets Interrupted pass; whatever else the task
    raises, SystemExit included, is how it ended.
    """
    with Running(_current(payloads, work, send_progress)) as current:
        registration = None
        try:
            registration, function = resolve(registry, payloads, work)
            _call_hooks(registry, current)
            args, kwargs = load_arguments(payloads, work, current)
            result = function(*args, **kwargs)
            if inspect.iscoroutine(result):
                import asyncio

                result = asyncio.run(result)
            ending = _succeeded(payloads, work, result)
        except (UnknownCallable, Interrupted):
            raise
        except BaseException as error:  # noqa: BLE001 - that is how the run ended
            ending = failed(error, registration)
        _call_after_hooks(registry, current, ending)
    return ending


async def execute_async(
    registry: Registry, payloads: Payloads, work: Work, send_progress: Callable[[str], None]
) -> Ending:
    """As `execute`, on the running event loop. CancelledError passes if this asyncio task was asked to cancel."""
    import asyncio

    with Running(_current(payloads, work, send_progress)) as current:
        registration = None
        try:
            registration, function = resolve(registry, payloads, work)
            _call_hooks(registry, current)
            args, kwargs = load_arguments(payloads, work, current)
            result = function(*args, **kwargs)
            if inspect.isawaitable(result):
                result = await result
            ending = _succeeded(payloads, work, result)
        except (UnknownCallable, Interrupted):
            raise
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and _is_cancelling(asyncio.current_task()):
                raise
            ending = failed(error, registration)
        _call_after_hooks(registry, current, ending)
    return ending


def resolve(registry: Registry, payloads: Payloads, work: Work) -> tuple[Registration | None, Callable[..., Any]]:
    """The callable of a task and its registration, if it has one. UnknownCallable; PayloadRefused for a callable whose
    signature does not hold."""
    registration = registry.resolve(work.callable)
    if work.callable_payload is None:
        if registration is None:
            raise UnknownCallable(f"this application has no task {work.callable}")
        return registration, registration.function
    function = _load(payloads, work, "callable", work.callable_payload)
    if not callable(function):
        raise PayloadRefused(
            f"the stored callable of task {work.id} is {type(function).__name__}, which is not callable"
        )
    return registration, function


def load_arguments(payloads: Payloads, work: Work, current: CurrentTask) -> tuple[list[Any], dict[str, Any]]:
    """The arguments for the task's callable, that for progress included."""
    args = [] if work.args is None else _load(payloads, work, "args", work.args)
    kwargs = {} if work.kwargs is None else _load(payloads, work, "kwargs", work.kwargs)
    if work.progress_arg is not None:
        kwargs[work.progress_arg] = _reporter(payloads, work, current)
    return args, kwargs


def failed(error: BaseException, registration: Registration | None = None) -> Ending:
    """The ending of a run that raised `error`."""
    retry_after, bad = (None, None) if not isinstance(error, Retry) else _read_after(error.after)
    given_up = isinstance(error, Discard) or (
        registration is not None
        and registration.retry_on is not None
        and not isinstance(error, (Retry, *registration.retry_on))
    )
    return Ending(
        "fail",
        exception=_kept(bad or _text(error)),
        traceback=_kept(_format(error)),
        retry_after=retry_after,
        discard=given_up,
    )


def _current(payloads: Payloads, work: Work, send_progress: Callable[[str], None]) -> CurrentTask:
    return CurrentTask(
        work.id, work.run, work.method_name, work.job_id, work.owner, send_progress, payloads.public
    )  # fmt: skip


def _load(payloads: Payloads, work: Work, field: str, stored: bytes) -> Any:
    with importing():
        return payloads.decode(stored, task_id=binding(work), field=field, callable=work.callable, empty=None)


def _reporter(payloads: Payloads, work: Work, current: CurrentTask) -> Callable[..., None]:
    """What a task is given under `progress_arg`: what it is called with goes through the callback, as in Pulp."""
    if work.progress_callback is None:
        return current.report
    callback = _load(payloads, work, "progress_callback", work.progress_callback)

    def report(*args: Any, **kwargs: Any) -> None:
        current.report(callback(*args, **kwargs))

    return report


def _call_hooks(registry: Registry, current: CurrentTask) -> None:
    for hook in registry.hooks["before_run"].values():
        hook(current)


def _call_after_hooks(registry: Registry, current: CurrentTask, ending: Ending) -> None:
    """The run has ended: a hook that fails is logged, and changes nothing."""
    for name, hook in registry.hooks["after_run"].items():
        try:
            hook(current, ending)
        except Exception:
            logger.exception("the after_run hook %s failed for task %s", name, current.id)


def _succeeded(payloads: Payloads, work: Work, result: Any) -> Ending:
    if result is None:
        return _NO_RESULT
    stored, public, warning = payloads.encode_result(
        result, task_id=binding(work), field="result", callable=work.callable
    )
    if warning is not None:
        logger.warning("task %s: %s", work.id, warning)
    return Ending("succeed", stored, public)


def _is_cancelling(task: asyncio.Task[Any] | None) -> bool:
    return task is not None and task.cancelling() > 0


def _read_after(after: Any) -> tuple[Span | None, str | None]:
    """The wait that `raise Retry(after=…)` asks for, or what is wrong with it."""
    if after is None:
        return None, None
    try:
        seconds = after.total_seconds() if isinstance(after, timedelta) else float(after)
        return min(max(0, round(seconds * SECOND)), MAX_SPAN), None
    except (TypeError, ValueError, OverflowError):
        return None, f"Retry(after=…) takes seconds or a timedelta, not {after!r}"


def _text(error: BaseException) -> str:
    """`str(error)` as in Pulp, or the type's name where that is empty or fails."""
    try:
        return str(error) or type(error).__name__
    except Exception:  # noqa: BLE001 - the user's own code
        return type(error).__name__


def _format(error: BaseException) -> str:
    """The traceback as one string, from the task's own frames on."""
    try:
        return "".join(traceback.format_exception(type(error), error, _of_the_task(error.__traceback__)))
    except Exception:  # noqa: BLE001 - the user's own code
        return f"{type(error).__name__}: its traceback cannot be shown\n"


_NOT_OF_THE_TASK: Final = (__file__, f"{dirname(__file__)}/function.py", f"{dirname(inspect.__file__)}/asyncio/")


def _of_the_task(frames: TracebackType | None) -> TracebackType | None:
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_NOT_OF_THE_TASK):
        frames = frames.tb_next
    return frames


def _kept(text: str) -> str:
    """The text as a database can hold it: no lone surrogates, and its beginning and end if it is very long."""
    text = text.encode("utf-8", "backslashreplace").decode()
    if len(text) <= MAX_TEXT:
        return text
    return f"{text[: MAX_TEXT // 2]}\n… {len(text) - MAX_TEXT:,} characters …\n{text[-MAX_TEXT // 2 :]}"
