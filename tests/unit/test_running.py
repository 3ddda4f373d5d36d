"""One run of a task: however it ends, its ending says so, and nothing that the task does breaks the runner."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from headbox.domain.errors import Discard, HeadboxError, Interrupted, Retry
from headbox.domain.iso8601 import MAX_SPAN
from headbox.domain.task import SECOND, Work
from headbox.storage.payload import Payloads
from headbox.task_queue.current import CurrentTask, current_task
from headbox.task_queue.registry import Registry, describe
from headbox.task_queue.running import MAX_TEXT, Ending, UnknownCallable, execute, execute_async

PAYLOADS = Payloads((b"k" * 32,))


def work(function: Callable[..., Any] | str = "f", args: Any = None, kwargs: Any = None, **fields: Any) -> Work:
    name = function if isinstance(function, str) else "f"

    def encode(value: Any, field: str) -> bytes | None:
        return PAYLOADS.encode(value, task_id="t-1", field=field, callable=name)

    stored = {"args": encode(args or [], "args"), "kwargs": encode(kwargs or {}, "kwargs")}
    return Work("t-1", 1, name, method_name="f", **stored, **fields)


def run(
    function: Callable[..., Any], *args: Any, progress: list[Any] | None = None, options: Any = None, **fields: Any
) -> Ending:
    registry = Registry()
    registry.add(describe(function, "f", **(options or {})))
    reports: list[str] = []
    ending = execute(registry, PAYLOADS, work(args=list(args), **fields), reports.append)
    if progress is not None:
        progress += map(json.loads, reports)
    return ending


def raising(error: BaseException) -> Callable[[], None]:
    def raise_it() -> None:
        raise error

    return raise_it


def test_a_result_is_stored_and_none_is_nothing() -> None:
    assert run(lambda: None) == Ending("succeed")
    assert run(lambda a, b: [a, b], 1, "x") == Ending("succeed", b'[1,"x"]')
    assert run(lambda **kw: kw, kwargs={"b": (1,)}).public_result == '{"b":"(1,)"}'


def test_an_error_is_told_by_its_text_and_the_tasks_own_frames() -> None:
    def fails() -> None:
        raise ValueError("the feed is empty")

    ending = run(fails)
    assert (ending.event, ending.exception, ending.discard) == ("fail", "the feed is empty", False)
    lines = (ending.traceback or "").splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert "in fails" in lines[1]
    assert lines[-1] == "ValueError: the feed is empty"


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt("stop"), GeneratorExit("g"), RecursionError("r")])
def test_whatever_else_a_task_raises_is_how_it_ended(error: BaseException) -> None:
    assert run(raising(error)).exception == str(error)


def test_an_error_without_text_is_told_by_its_type() -> None:
    assert run(raising(KeyError())).exception == "KeyError"


def test_an_error_that_cannot_be_shown_breaks_nothing() -> None:
    class Unspeakable(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    ending = run(raising(Unspeakable()))
    assert ending.exception == "Unspeakable"
    ending = run(raising(ValueError("\ud800 and " + "x" * 10 * MAX_TEXT)))
    assert (ending.exception or "").startswith("\\ud800 and xxx")
    assert len((ending.exception or "").encode()) < 1.1 * MAX_TEXT


def test_wrong_arguments_are_an_error_of_the_task() -> None:
    ending = run(lambda a: a)
    assert "missing 1 required positional argument" in (ending.exception or "")
    assert "running.py" not in (ending.traceback or "")


def test_an_interrupt_passes_through() -> None:
    with pytest.raises(Interrupted):
        run(raising(Interrupted("canceled")))


def test_retry_says_after_how_long() -> None:
    assert run(raising(Retry(after=1.5))).retry_after == SECOND * 3 // 2
    assert run(raising(Retry(after=timedelta(minutes=1)))).retry_after == 60 * SECOND
    assert run(raising(Retry(after=-1))).retry_after == 0
    assert run(raising(Retry(after=1e300))).retry_after == MAX_SPAN
    ending = run(raising(Retry(reason="busy")))
    assert (ending.event, ending.exception, ending.retry_after, ending.discard) == ("fail", "busy", None, False)
    assert "takes seconds or a timedelta" in (run(raising(Retry(after="soon"))).exception or "")
    assert "takes seconds" in (run(raising(Retry(after=float("nan")))).exception or "")


def test_discard_and_errors_outside_of_retry_on_give_up() -> None:
    assert run(raising(Discard("why"))).discard
    only = {"retry_on": (OSError,)}
    assert run(raising(ValueError("x")), options=only).discard
    assert not run(raising(ConnectionError("x")), options=only).discard
    assert not run(raising(Retry()), options=only).discard


def test_an_async_function_is_run_on_an_event_loop() -> None:
    async def double(number: int) -> int:
        await asyncio.sleep(0)
        return number * 2 if current_task().id == "t-1" else 0

    assert run(double, 21).result == b"42"
    registry = Registry()
    registry.add(describe(double, "f"))
    assert asyncio.run(execute_async(registry, PAYLOADS, work(args=[4]), lambda text: None)).result == b"8"


def test_only_a_cancellation_that_was_asked_for_passes() -> None:
    async def waits() -> None:
        started.set()
        await asyncio.Event().wait()

    async def cancels_itself() -> None:
        raise asyncio.CancelledError

    async def scenario() -> None:
        registry = Registry()
        registry.add(describe(waits, "waits"))
        registry.add(describe(cancels_itself, "itself"))
        ending = await execute_async(registry, PAYLOADS, work("itself"), lambda text: None)
        assert ending.exception == "CancelledError"
        task = asyncio.create_task(execute_async(registry, PAYLOADS, work("waits"), lambda text: None))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    started = asyncio.Event()
    asyncio.run(scenario())


def test_an_unknown_callable_is_not_an_ending() -> None:
    with pytest.raises(UnknownCallable, match="no task nobody:knows"):
        execute(Registry(), PAYLOADS, work("nobody:knows"), lambda text: None)


def test_a_payload_whose_signature_does_not_hold_ends_in_error() -> None:
    tampered = work(args=[(1,)])
    assert tampered.args is not None
    ending = run(lambda a: a)  # the function itself is fine
    registry = Registry()
    registry.add(describe(lambda a: a, "f"))
    for field in ("args", "kwargs", "callable_payload"):
        bad = msgspec.structs.replace(tampered, **{"args": None, field: tampered.args[:-1] + b"!"})
        ending = execute(registry, PAYLOADS, bad, lambda text: None)
        assert ending.event == "fail"
        assert "signature" in (ending.exception or "")


def test_a_callable_that_is_none_is_refused() -> None:
    ending = execute(Registry(), PAYLOADS, msgspec.structs.replace(work(), callable_payload=b'"os:system"'), print)
    assert "not callable" in (ending.exception or "")


def test_the_current_task_is_known_inside_and_only_there() -> None:
    def who() -> list[Any]:
        current = current_task()
        return [current.id, current.run, current.method_name, current.job_id, current.owner]

    assert json.loads(run(who, job_id="j", owner="ann").result or b"") == ["t-1", 1, "f", "j", "ann"]
    with pytest.raises(HeadboxError, match="no task is running here"):
        current_task()


def test_progress_goes_through_the_callback_as_in_pulp() -> None:
    def sync(progress: Any) -> None:
        progress(3, total=10)

    progress: list[Any] = []
    callback = PAYLOADS.encode(as_progress, task_id="t-1", field="progress_callback", callable="f")
    assert run(sync, progress=progress, progress_arg="progress", progress_callback=callback).event == "succeed"
    assert run(lambda report: report("half"), progress=progress, progress_arg="report").event == "succeed"
    assert progress == [{"done": 3, "total": 10}, "half"]


def as_progress(done: int, total: int) -> dict[str, int]:
    return {"done": done, "total": total}


def test_hooks_surround_a_run_and_one_that_fails_after_it_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def fails_after(current: CurrentTask, ending: Ending) -> None:
        raise RuntimeError("too late")

    seen: list[Any] = []
    registry = Registry()
    registry.add(describe(lambda: seen.append("run"), "f"))
    registry.add_hook("before_run", lambda current: seen.append(current.id))
    registry.add_hook("after_run", fails_after)
    registry.add_hook("after_run", lambda current, ending: seen.append(ending.event))
    assert execute(registry, PAYLOADS, work(), lambda text: None).event == "succeed"
    assert seen == ["t-1", "run", "succeed"]
    assert "after_run hook" in caplog.text


def test_a_hook_that_fails_before_a_run_is_how_it_ends() -> None:
    registry = Registry()
    registry.add(describe(lambda: None, "f"))
    registry.add_hook("before_run", lambda current: 1 / 0)
    assert execute(registry, PAYLOADS, work(), lambda text: None).exception == "division by zero"
