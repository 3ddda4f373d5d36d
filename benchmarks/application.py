"""The tasks that the benchmark runs. Those that are timed write down when they began, by the clock of the machine."""

from __future__ import annotations

import os
import time

from headbox import TaskQueue

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
