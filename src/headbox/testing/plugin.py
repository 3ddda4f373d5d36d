"""Pytest fixtures. To have them: `pytest_plugins = ["headbox.testing.plugin"]` in the top `conftest.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from headbox.config import Settings
from headbox.task_queue.queue import TaskQueue
from headbox.testing import FakeClock, inline


@pytest.fixture
def headbox_clock() -> FakeClock:
    """A clock that stands at noon of 1 January 2026, UTC, until the test moves it."""
    return FakeClock()


@pytest.fixture
def headbox_queue(tmp_path: Path, headbox_clock: FakeClock) -> Iterator[TaskQueue]:
    """An empty queue in a database of its own, on `headbox_clock`. `headbox.testing.drain` runs what is ready."""
    settings = Settings(database=f"sqlite:///{tmp_path / 'headbox.db'}")
    with TaskQueue(settings=settings, clock=headbox_clock) as queue:
        yield queue


@pytest.fixture
def headbox_inline(headbox_clock: FakeClock) -> Iterator[Callable[[TaskQueue], TaskQueue]]:
    """`headbox_inline(queue)` lets a queue's tasks run where they are enqueued, until the test ends."""
    with ExitStack() as stack:
        yield lambda queue: stack.enter_context(inline(queue, clock=headbox_clock))
