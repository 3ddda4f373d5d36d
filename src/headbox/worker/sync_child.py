"""Runs synchronous tasks one after another in the main thread: there a signal can interrupt them wherever they are."""

from __future__ import annotations

import functools
import os
import signal
import threading
import time
from types import FrameType

from headbox.domain.errors import Interrupted
from headbox.domain.task import Work
from headbox.task_queue.queue import TaskQueue
from headbox.task_queue.running import Ending, UnknownCallable, execute
from headbox.worker.interruption import interrupted
from headbox.worker.journal import Journal
from headbox.worker.protocol import (
    RECEIVE_BYTES,
    SENTENCES,
    ChildReady,
    Chunk,
    Ended,
    Frames,
    Outlet,
    Progressed,
    Stop,
    ToChild,
    Unknown,
)
from headbox.worker.slot import Slot


class SyncChild:
    """A child for synchronous tasks.

    An interrupt is raised only while a task is in progress, only if the slot says that it is the one meant, and never
    in a method of this class: so no frame is cut in two and no outcome changes once it is known. What comes while
    progress is being sent is raised when that is done.
    """

    def __init__(self, queue: TaskQueue, inlet: int, outlet: Outlet, slot: Slot, journal: Journal) -> None:
        self._registry = queue.registry
        self._payloads = queue.payloads
        self._inlet = inlet
        self._outlet = outlet
        self._slot = slot
        self._journal = journal
        self._pid = os.getpid()
        self._main_thread = threading.get_ident()
        self._in_task = False
        self._in_report = False
        self._deferred = False
        self._interrupted = False

    def run(self) -> None:
        """Runs what comes, until Stop, the end of the supervisor or an interrupt: nobody knows what an interrupted task
        left half done, so nothing else runs here after it."""
        signal.signal(signal.SIGUSR1, self._interrupt)
        frames: Frames[ToChild] = Frames(ToChild)
        self._outlet.send(ChildReady(self._pid))
        while data := os.read(self._inlet, RECEIVE_BYTES):
            for message in frames.feed(data):
                match message:
                    case Chunk(runs):
                        for seq, work in runs:
                            self._start(seq, work)
                            if self._interrupted:
                                return
                    case Stop():
                        return

    def _start(self, seq: int, work: Work) -> None:
        if not self._slot.begin(seq):
            return
        ending = self._execute(seq, work)
        if ending is None:
            self._outlet.send(Unknown(seq))
        else:
            now = time.monotonic_ns()
            ended = Ended(seq, self._slot.started_at, now, self._interrupted, ending)
            self._outlet.write(self._journal.note(work, ended))
        # Only now: if the child dies before the end is reported, the run is lost with it.
        self._slot.end(seq)

    def _execute(self, seq: int, work: Work) -> Ending | None:
        self._deferred = False
        self._in_task = True
        try:
            return execute(self._registry, self._payloads, work, functools.partial(self._report, seq))
        except Interrupted as interruption:
            return interrupted(interruption)
        except UnknownCallable:
            return None
        finally:
            self._in_task = False
            if os.getpid() != self._pid:  # the task forked, and this is the fork: it is no second runner
                os._exit(0)

    def _report(self, seq: int, progress: str) -> None:
        message = Progressed(seq, progress)
        if threading.get_ident() != self._main_thread:
            self._outlet.send(message)
            return
        self._in_report = True
        try:
            self._outlet.send(message)
        finally:
            self._in_report = False
        if self._deferred:
            self._raise_interrupt()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        """On SIGUSR1. The supervisor sends another each second, so one that comes at a bad moment may be missed."""
        if not self._in_task:
            return
        if self._in_report or (frame is not None and frame.f_code in OWN_CODE):
            self._deferred = True
        else:
            self._raise_interrupt()

    def _raise_interrupt(self) -> None:
        self._deferred = False
        if reason := self._slot.interruption():
            self._interrupted = True
            raise Interrupted(SENTENCES[reason])


OWN_CODE = frozenset({SyncChild._execute.__code__, SyncChild._report.__code__})
