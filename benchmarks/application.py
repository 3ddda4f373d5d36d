"""The tasks that the benchmark runs. Those that are timed write down when they began, by the clock of the machine."""

from __future__ import annotations

import asyncio
import os
import time

from headbox import Retry, TaskQueue, current_task

queue = TaskQueue(os.environ["HEADBOX_DATABASE"])
journal = os.open(os.environ["BENCHMARK_JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


@queue.task
def nothing() -> None:
    """The least that a task can do."""


@queue.task
async def nothing_async() -> None:
    """The least that an async task can do."""


@queue.task
def note(number: int) -> None:
    """Writes down that it began."""
    began = time.time_ns()
    os.write(journal, f"{number} {began}\n".encode())


@queue.task
def rest(number: int, seconds: float) -> None:
    """Writes down that it began, and takes a while."""
    note(number)
    time.sleep(seconds)


@queue.task(attempts=3)
def work(seconds: float, failures: int, pause: float) -> None:
    """Takes a while and reports how far it is; fails the first times, to be tried again after a pause."""
    for part in range(3):
        time.sleep(seconds / 3)
        current_task().report({"done": part + 1, "total": 3})
    if current_task().run <= failures:
        raise Retry(after=pause)


@queue.task(attempts=3)
async def work_async(seconds: float, failures: int, pause: float) -> None:
    """The same on an event loop."""
    for part in range(3):
        await asyncio.sleep(seconds / 3)
        current_task().report({"done": part + 1, "total": 3})
    if current_task().run <= failures:
        raise Retry(after=pause)
