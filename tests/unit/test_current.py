"""Progress is sent at most every 50 ms, and the latest always arrives."""

from __future__ import annotations

import contextvars
import json
import threading
from typing import Any

import pytest

from headbox.domain.errors import PayloadRefused
from headbox.storage.payload import Payloads
from headbox.task_queue.current import MAX_PROGRESS, CurrentTask, Running, current_task


class Recorder:
    """Takes progress, and lets a test wait for it."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.arrived = threading.Semaphore(0)
        self.seconds = 100.0

    def task(self) -> CurrentTask:
        return CurrentTask("t-1", 1, "f", None, None, self.send, Payloads(()).public, lambda: self.seconds)

    def send(self, progress: str) -> None:
        self.sent.append(json.loads(progress))
        self.arrived.release()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def test_a_first_report_is_sent_at_once_and_what_follows_soon_is_held_back(recorder: Recorder) -> None:
    task = recorder.task()
    for number in range(100):
        task.report(number)
    assert recorder.sent == [0]
    recorder.seconds += 0.06
    task.report(100)
    assert recorder.sent == [0, 100]


def test_the_latest_arrives_by_itself(recorder: Recorder) -> None:
    task = recorder.task()
    for number in range(5):
        task.report(number)
    assert recorder.arrived.acquire(timeout=10)
    assert recorder.arrived.acquire(timeout=10)
    assert recorder.sent == [0, 4]


def test_the_latest_arrives_at_the_end_of_the_run_and_only_once(recorder: Recorder) -> None:
    with Running(recorder.task()) as task:
        task.report(1)
        task.report(2)
    task.flush()
    assert recorder.sent == [1, 2]


def test_the_latest_arrives_also_when_the_run_is_interrupted(recorder: Recorder) -> None:
    def interrupted() -> None:
        with Running(recorder.task()) as task:
            task.report(1)
            task.report(2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert recorder.sent == [1, 2]


def test_progress_is_shown_like_all_values(recorder: Recorder) -> None:
    recorder.task().report({"done": 3, "token": "x", "at": (1, 2)})
    assert recorder.sent == [{"done": 3, "token": "********", "at": "(1, 2)"}]


def test_too_much_progress_is_refused_with_both_sizes(recorder: Recorder) -> None:
    task = recorder.task()
    task.report("x" * (MAX_PROGRESS - 2))
    for text in ("x" * (MAX_PROGRESS - 1), "é" * (MAX_PROGRESS // 2)):
        with pytest.raises(PayloadRefused, match="at most 65,536"):
            task.report(text)


def test_each_context_has_its_own_task(recorder: Recorder) -> None:
    with Running(recorder.task()) as outer:

        def nested() -> CurrentTask:
            with Running(recorder.task()) as inner:
                assert current_task() is inner
                return inner

        assert contextvars.copy_context().run(nested) is not outer
        assert current_task() is outer
