"""Runs asynchronous tasks, many at a time on one event loop; a cancel is `asyncio.Task.cancel`."""

from __future__ import annotations

import asyncio
import functools
import os
import sys
import time
from collections import deque

from headbox.domain.task import Work
from headbox.task_queue.queue import TaskQueue
from headbox.task_queue.running import Ending, UnknownCallable, execute_async
from headbox.worker.interruption import interrupted
from headbox.worker.journal import Journal
from headbox.worker.protocol import (
    RECEIVE_BYTES,
    SENTENCES,
    CancelRun,
    ChildReady,
    Chunk,
    Ended,
    Frames,
    Limit,
    Outlet,
    Progressed,
    Started,
    Stop,
    ToChild,
    Unknown,
    frame,
)
from headbox.worker.slot import Slot


class AsyncChild:
    """A child for asynchronous tasks. Each run is an asyncio task, and so has context variables of its own."""

    def __init__(self, queue: TaskQueue, inlet: int, outlet: Outlet, slot: Slot, journal: Journal) -> None:
        self._registry = queue.registry
        self._payloads = queue.payloads
        self._inlet = inlet
        self._outlet = outlet
        self._slot = slot
        self._journal = journal
        self._frames: Frames[ToChild] = Frames(ToChild)
        self._limit = sys.maxsize
        self._waiting: deque[tuple[int, Work]] = deque()
        self._runs: dict[int, asyncio.Task[None]] = {}
        self._unsaid: list[bytes] = []
        self._interrupted: set[int] = set()
        self._pid = os.getpid()
        self._stopping = False
        self._is_to_start = False

    def run(self) -> None:
        """Runs what comes, and after Stop what is left of it. The end of the supervisor ends all at once."""
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        self._loop.add_reader(self._inlet, self._read)
        self._outlet.send(ChildReady(self._pid))
        await self._stopped.wait()

    def _read(self) -> None:
        data = os.read(self._inlet, RECEIVE_BYTES)
        if not data:
            os._exit(0)
        for message in self._frames.feed(data):
            match message:
                case Chunk(runs):
                    self._waiting.extend(runs)
                    self._start()
                case CancelRun(seq, reason) if seq in self._runs:
                    self._interrupted.add(seq)
                    # Behind its first step: a task that is canceled before that never comes to report its end.
                    self._loop.call_soon(self._runs[seq].cancel, SENTENCES[reason])
                case Limit(runs):
                    self._limit = runs
                    self._start()
                case Stop():
                    self._stopping = True
        self._stop_when_idle()

    def _start(self) -> None:
        """Starts what waits, as far as it may. The runs themselves begin when the loop is back."""
        self._is_to_start = False
        while (room := min(len(self._waiting), self._limit - len(self._runs))) > 0:
            works = dict(self._waiting.popleft() for _ in range(room))
            if begun := self._slot.begin_all(list(works)):
                started_at = self._slot.started_at
                self._say(frame(Started(list(begun), started_at)))
                for seq in begun:
                    self._run_beside(seq, works[seq], started_at)
        self._stop_when_idle()  # all that waited may have been taken back

    def _run_beside(self, seq: int, work: Work, started_at: int) -> None:
        name = f"{work.method_name} {work.id}"
        self._runs[seq] = self._loop.create_task(self._run(seq, work, started_at), name=name)

    def _start_soon(self) -> None:
        """Starts others in the place of all that end in this turn of the loop."""
        if self._waiting and not self._is_to_start:
            self._is_to_start = True
            self._loop.call_soon(self._start)

    def _say(self, data: bytes) -> None:
        """Tells the supervisor, all of one turn of the loop in one write."""
        if not self._unsaid:
            self._loop.call_soon(self._tell)
        self._unsaid.append(data)

    def _tell(self) -> None:
        unsaid, self._unsaid = self._unsaid, []
        self._outlet.write(b"".join(unsaid))

    async def _run(self, seq: int, work: Work, started_at: int) -> None:
        ending = await self._execute(seq, work)
        if ending is None:
            self._say(frame(Unknown(seq)))
        else:
            ended = Ended(seq, started_at, time.monotonic_ns(), seq in self._interrupted, ending)
            self._say(self._journal.note(work, ended))
        self._interrupted.discard(seq)
        del self._runs[seq]
        self._start_soon()
        self._stop_when_idle()

    async def _execute(self, seq: int, work: Work) -> Ending | None:
        try:
            return await execute_async(self._registry, self._payloads, work, functools.partial(self._report, seq))
        except asyncio.CancelledError as cancellation:
            return interrupted(cancellation)
        except UnknownCallable:
            return None
        finally:
            if os.getpid() != self._pid:  # the task forked, and this is the fork: it is no second runner
                os._exit(0)

    def _report(self, seq: int, progress: str) -> None:
        self._outlet.send(Progressed(seq, progress))

    def _stop_when_idle(self) -> None:
        if self._stopping and not self._runs and not self._waiting:
            self._loop.call_soon(self._stopped.set)  # behind what is unsaid
