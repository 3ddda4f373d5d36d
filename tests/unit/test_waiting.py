"""On an event loop any number of waits share one watch, which is closed behind the last."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import pytest

from headbox.domain.errors import StorageUnavailable
from headbox.task_queue.waiting import Changes, wait_for


class PipeWatch:
    """A watch whose changes a test makes."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        self.closed = False

    def fileno(self) -> int:
        return self._read

    def change(self) -> None:
        os.write(self._write, b"!")

    def changed(self) -> bool:
        try:
            return bool(os.read(self._read, 100))
        except BlockingIOError:
            return False

    def pause(self) -> float:
        return 10.0

    def wait(self, seconds: float) -> bool:
        raise NotImplementedError

    def close(self) -> None:
        self.closed = True
        os.close(self._read)
        os.close(self._write)


@pytest.fixture
def watches() -> Iterator[list[PipeWatch]]:
    watches: list[PipeWatch] = []
    yield watches
    assert all(watch.closed for watch in watches)


def changes_on(watches: list[PipeWatch]) -> Changes:
    def open_watch() -> PipeWatch:
        watches.append(PipeWatch())
        return watches[-1]

    return Changes(open_watch)


def test_all_that_wait_hear_one_change_through_one_watch(watches: list[PipeWatch]) -> None:
    changes = changes_on(watches)

    async def waiter(ready: asyncio.Semaphore) -> bool:
        async with changes.listen() as next_change:
            change = next_change()
            ready.release()
            await wait_for(change, 30)
            return change.is_set() and not next_change().is_set()

    async def scenario() -> list[bool]:
        ready = asyncio.Semaphore(0)
        waiters = [asyncio.create_task(waiter(ready)) for _ in range(500)]
        for _ in waiters:
            await ready.acquire()
        (watch,) = watches
        watch.change()
        return await asyncio.gather(*waiters)

    assert asyncio.run(scenario()) == [True] * 500


def test_the_watch_is_closed_behind_the_last_also_when_it_is_canceled(watches: list[PipeWatch]) -> None:
    changes = changes_on(watches)

    async def waiter(ready: asyncio.Event) -> None:
        async with changes.listen() as next_change:
            ready.set()
            await wait_for(next_change(), 30)

    async def scenario() -> None:
        for _ in range(2):
            ready = asyncio.Event()
            task = asyncio.create_task(waiter(ready))
            await ready.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert watches[-1].closed

    asyncio.run(scenario())
    assert len(watches) == 2


def test_a_watch_that_cannot_be_opened_is_an_error_of_each_wait() -> None:
    def unavailable() -> Any:
        raise StorageUnavailable("away")

    async def scenario() -> None:
        changes = Changes(unavailable)
        for _ in range(2):
            with pytest.raises(StorageUnavailable):
                async with changes.listen():
                    pass

    asyncio.run(scenario())


def test_waiting_for_an_event_ends_after_its_time() -> None:
    asyncio.run(asyncio.wait_for(wait_for(asyncio.Event(), 0), 30))
