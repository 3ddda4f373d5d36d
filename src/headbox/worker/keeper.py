"""Keeps the children: raises them, hears what they say, settles the runs of those that end, and replaces them."""

from __future__ import annotations

import contextlib
import logging
import selectors
import signal
import socket
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from itertools import groupby
from typing import cast

from headbox.clock import Clock
from headbox.config import Settings
from headbox.domain.errors import HeadboxError
from headbox.domain.outcomes import Outcome
from headbox.domain.schedulers import format_duration
from headbox.domain.states import Event
from headbox.domain.task import Instant, Span, Work
from headbox.worker.children import Child, death
from headbox.worker.dispatcher import Dispatcher
from headbox.worker.journal import Journals
from headbox.worker.ledger import Ledger, outcome_of
from headbox.worker.nursery import Gone, Nursery
from headbox.worker.pace import AHEAD
from headbox.worker.process import resident_memory
from headbox.worker.protocol import (
    ChildFailed,
    ChildReady,
    Ended,
    Exited,
    Failed,
    FromChild,
    Kind,
    Progressed,
    Raised,
    Ready,
    Reason,
    Started,
    Unknown,
)

MAX_FAILED_STARTS = 3  # children in a row that could not start, until the worker gives up

EVENTS: Mapping[Reason, Event] = {Reason.CANCEL: "cancel", Reason.TIMEOUT: "expire", Reason.SHUTDOWN: "lose"}

logger = logging.getLogger(__name__)


class WorkerFailed(HeadboxError):
    """The worker cannot go on; the message says why."""


class Keeper:
    """The children of one worker. What their runs came to goes into the ledger; a callable that the application lacks
    is told to `lack`. `changed`: a run has ended since somebody last looked, so there may be room."""

    def __init__(
        self,
        nursery: Nursery,
        dispatcher: Dispatcher,
        ledger: Ledger,
        settings: Settings,
        clock: Clock,
        selector: selectors.BaseSelector,
        journals: Journals,
        lack: Callable[[Work], None],
    ) -> None:
        self.worker = ""
        self._deadline = 0
        self.changed = False
        self._nursery = nursery
        self._dispatcher = dispatcher
        self._ledger = ledger
        self._settings = settings
        self._clock = clock
        self._selector = selector
        self._journals = journals
        self._lack = lack
        self._next_number = 0
        self._failed_starts = 0
        selector.register(nursery, selectors.EVENT_READ, self._hear_nursery)

    def extend(self, deadline: int) -> None:
        """Lets the children start runs until then (nanoseconds by CLOCK_BOOTTIME). From the heartbeat's thread."""
        self._deadline = deadline
        for child in list(self._dispatcher.children.values()):
            with contextlib.suppress(ValueError):  # it has just been buried
                child.link.slot.deadline = deadline

    def raise_children(self) -> None:
        """Sees to it that there are as many sync children as tasks may run at once, and an async one once there is work
        for it."""
        sync = sum(child.is_sync and not child.killed for child in self._dispatcher.children.values())
        for _ in range(sync, self._settings.concurrency):
            self._raise_child("sync")
        if self._dispatcher.has_async_work and all(
            child.is_sync or child.killed or child.solitary for child in self._dispatcher.children.values()
        ):
            self._raise_child("async")

    def _raise_child(self, kind: Kind) -> None:
        self._next_number += 1
        journal = self._journals.open(self.worker, self._next_number)
        child = Child(self._nursery.raise_child(self._next_number, kind, journal.descriptor), journal)
        child.link.slot.deadline = self._deadline
        if kind == "async":
            child.link.limit(self._settings.async_concurrency)
        self._dispatcher.children[self._next_number] = child
        self._selector.register(child.link, selectors.EVENT_READ, lambda: self._notice(child))

    def _notice(self, child: Child) -> None:
        if not child.link.closed:  # it may have been buried in this very turn of the loop
            self._hear(child)

    def _hear(self, child: Child) -> bool:
        """Reads what a child says; False if it has nothing to say at the moment."""
        messages = child.link.receive()
        if messages is None:
            return False
        for kind, said in groupby(messages, type):
            if kind is Ended:  # nearly all of them
                self._end_all(child, cast("list[Ended]", list(said)))
            else:
                for message in said:
                    self._heed(child, message)
        if child.link.closed:
            self._selector.unregister(child.link)
        if child.link.is_garbled:
            logger.error("child %d says what is no message; it is killed, and its run is lost", child.link.number)
            child.retiring = True
            self._nursery.kill(child.link.number)
        return True

    def _offset(self) -> Span:
        """What makes an instant of a time by CLOCK_MONOTONIC (in microseconds), which all processes here share."""
        return self._clock.now() - time.monotonic_ns() // 1000

    def _heed(self, child: Child, message: FromChild) -> None:
        match message:
            case Progressed(seq, progress):
                if (task := child.runs.get(seq)) is not None:
                    self._ledger.progress(task, progress)
            case Started(seqs, started_at):
                child.started |= dict.fromkeys((seq for seq in seqs if seq in child.runs), started_at)
            case Unknown(seq):
                if (task := child.drop(seq)) is not None:
                    self._lack(task)
            case ChildReady():
                self._failed_starts = 0
                self.changed = True
            case ChildFailed(text):
                self._failed_starts += 1
                logger.error("a child could not start: %s", text)
                if self._failed_starts >= MAX_FAILED_STARTS:
                    raise WorkerFailed(text)

    def _end_all(self, child: Child, ends: list[Ended]) -> None:
        """Settles runs that the child has told the end of, all at once: this is done for every task there is."""
        offset, settle = self._offset(), self._ledger.outcomes.append
        lasted: defaultdict[str, list[int]] = defaultdict(list)
        child.journal.heard += len(ends)
        for ended in ends:
            seq, started_at, ended_at, ending = ended.seq, ended.started_at, ended.ended_at, ended.ending
            interruption = child.interruptions.get(seq) if ended.interrupted else None
            recorded = child.recorded.get(seq)
            task = child.drop(seq)
            if task is None:
                continue
            lasted[task.callable].append(ended_at - started_at)
            start = started_at // 1000 + offset if recorded is None else recorded
            finish = ended_at // 1000 + offset
            if task.scheduled_time is not None and recorded is None:
                self._judge_lateness(task, start)
            if interruption is None:
                settle(outcome_of(task.id, task.run, start, finish, ending, task.queue))
            else:
                settle(self._interrupted(task, interruption.reason, start, finish, ending.traceback))
        pace = self._dispatcher.pace if child.is_sync else self._dispatcher.async_pace
        for callable, times in lasted.items():
            pace.note(callable, sum(times), len(times))
            child.ended += len(times)
            self.changed = True
        child.retiring = child.retiring or (child.is_sync and ends[-1].interrupted)
        self._recycle(child)

    def _interrupted(
        self, task: Work, reason: Reason, start: Instant | None, finish: Instant, traceback: str | None = None
    ) -> Outcome:
        sentences = {
            Reason.CANCEL: None,
            Reason.TIMEOUT: f"the run lasted longer than its timeout of {format_duration(task.timeout or 0)}",
            Reason.SHUTDOWN: f"worker {self.worker} on host {socket.gethostname()} was shut down before the run ended",
        }
        return Outcome(
            task.id,
            task.run,
            EVENTS[reason],
            finish,
            start,
            exception=sentences[reason],
            traceback=traceback if reason == Reason.TIMEOUT else None,
            counts=False,
        )

    def _recycle(self, child: Child) -> None:
        """Replaces a child that has had its number of runs, or has grown beyond its memory."""
        runs, memory = self._settings.child_runs, self._settings.child_memory
        if child.retiring or (runs is None and memory is None):
            return
        if (runs is not None and child.ended >= runs) or (
            memory is not None and child.link.pid and resident_memory(child.link.pid) > memory
        ):
            self._retire(child)

    def _retire(self, child: Child) -> None:
        child.retiring = True
        self._dispatcher.take_back_from(child, time.monotonic_ns())
        child.link.stop()

    def kill(self, child: Child) -> None:
        """SIGKILL to the child and what its tasks have started."""
        child.killed = True
        self._nursery.kill(child.link.number)

    def _hear_nursery(self) -> None:
        for message in self._nursery.receive():
            match message:
                case Exited(number, _, status):
                    self._bury(number, status)
                case Gone(status):
                    self._replace_forkserver(status)
                case Failed(text):
                    raise WorkerFailed(text)
                case Raised() | Ready():
                    pass

    def _bury(self, number: int, status: int, *, by_itself: bool = True) -> None:
        """Settles the runs of a child that has ended, and forgets it. `by_itself`: its run may have been the cause."""
        child = self._dispatcher.children.get(number)
        if child is None:
            return
        self._hear_out(child)
        del self._dispatcher.children[number]
        in_progress = child.begun()
        now, offset = self._clock.now(), self._offset()
        unstarted = []
        for seq, task in child.runs.items():
            interruption = child.interruptions.get(seq)
            if seq not in in_progress and interruption is None:
                unstarted.append(task)
                continue
            start = in_progress[seq] // 1000 + offset if seq in in_progress else None
            if interruption is not None:
                self._ledger.outcomes.append(self._interrupted(task, interruption.reason, start, now))
                continue
            reason = f"the process that ran it (pid {child.link.pid}) {death(status)}"
            guilty = by_itself and not child.killed
            if child.killed:
                reason += ", since a neighbour on its event loop could not be interrupted"
            logger.warning("task %s (%s), run %d: lost: %s", task.id, task.method_name, task.run, reason)
            lost = Outcome(task.id, task.run, "lose", now, start, exception=reason, counts=guilty)
            self._ledger.outcomes.append(lost)
        self._dispatcher.shelve(unstarted, time.monotonic_ns(), first=True)
        self.changed = True
        child.link.close()
        child.journal.is_over = True

    def _hear_out(self, child: Child) -> None:
        """All that a dead child has said. A process of its task that left its group may keep the socket open."""
        while not child.link.closed and self._hear(child):
            pass
        if not child.link.closed:
            self._selector.unregister(child.link)

    def _replace_forkserver(self, status: int) -> None:
        logger.error("the forkserver %s; starting another", death(status))
        self._selector.unregister(self._nursery)
        for number in list(self._dispatcher.children):
            self._dispatcher.children[number].killed = False
            self._bury(number, -signal.SIGKILL, by_itself=False)
        self._nursery.start()
        self._selector.register(self._nursery, selectors.EVENT_READ, self._hear_nursery)

    def note_starts(self, now: int) -> None:
        """Records the starts of runs that have lasted a while."""
        offset = self._offset()
        for child in self._dispatcher.children.values():
            for seq, started_at in child.in_progress():
                if seq not in child.recorded and now - started_at >= AHEAD:
                    task = child.runs[seq]
                    start = child.recorded[seq] = started_at // 1000 + offset
                    if task.scheduled_time is not None:
                        self._judge_lateness(task, start)
                    self._ledger.start(task, start)

    def _judge_lateness(self, task: Work, start: Instant) -> None:
        threshold = task.schedule_threshold
        late = max(0, start - max(task.due_time, task.enqueue_time))  # an *at* of the past was not late then
        is_late = late > (self._settings.schedule_threshold if threshold is None else threshold)
        self._ledger.note_lateness(late, is_late=is_late)
        if is_late:
            logger.error("task %s (%s) started %s late", task.id, task.method_name, format_duration(late))
