"""The application under chaos: short tasks of every kind, each of which tells the journal when it starts and ends. What
it gives back names the run that gave it, so that a result can be held against the journal."""

from __future__ import annotations

import asyncio
import os
import time
from functools import cache
from typing import NamedTuple
from zlib import crc32

from headbox import Retry, TaskQueue, current_task

queue = TaskQueue()
SUPERVISOR = os.getppid()  # of the forkserver, which imports this for all children


class Begun(NamedTuple):
    """A run that has said so: `mark` is its own and no other's."""

    token: str
    mark: str


@cache
def _journal(pid: int) -> int:
    return os.open(os.environ["CHAOS_JOURNAL"], os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _write(what: str, token: str, mark: str) -> None:
    """One line in one write, padded so that none crosses a page: the kernel cuts a write short there when its process
    is killed, and the rest of the line would be somebody else's."""
    task = current_task()
    true_time = time.clock_gettime_ns(time.CLOCK_REALTIME) // 1000  # whatever the wall clock says
    line = f"{what} {task.id} {task.run} {token} {mark} {SUPERVISOR} {true_time}"
    os.write(_journal(os.getpid()), line.ljust(255).encode() + b"\n")


def _begin(token: str) -> Begun:
    begun = Begun(token, f"{os.getpid()}-{time.monotonic_ns()}")
    _write("start", *begun)
    return begun


def _end(begun: Begun) -> str:
    _write("end", *begun)
    return begun.mark


@queue.task
def nothing(token: str) -> str:
    return _end(_begin(token))


@queue.task
def nap(token: str, milliseconds: int) -> str:
    begun = _begin(token)
    time.sleep(milliseconds / 1000)
    return _end(begun)


@queue.task
async def nap_async(token: str, milliseconds: int) -> str:
    begun = _begin(token)
    await asyncio.sleep(milliseconds / 1000)
    return _end(begun)


@queue.task
def tell(token: str, steps: int) -> str:
    """Reports its progress."""
    begun = _begin(token)
    for step in range(steps):
        current_task().report({"done": step + 1, "total": steps})
        time.sleep(0.01)
    return _end(begun)


@queue.task
def bulk(token: str, size: int) -> str:
    """Has a long result."""
    return _end(_begin(token)) + " " + "x" * size


@queue.task
def linger(token: str) -> str:
    """Long enough to be canceled."""
    begun = _begin(token)
    time.sleep(0.5)
    return _end(begun)


@queue.task
def fail(token: str) -> None:
    raise ValueError(_end(_begin(token)))


@queue.task(attempts=3)
def stumble(token: str) -> str:
    """Fails and asks to be tried again, or not, by the toss of a coin."""
    mark = _end(_begin(token))
    if crc32(f"{token}/{current_task().run}".encode()) % 2:
        raise Retry(after=0.1, reason=mark)
    return mark


@queue.task
def tick(token: str) -> str:
    """What the schedules run."""
    return _end(_begin(token))
