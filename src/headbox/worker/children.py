"""A child as the dispatcher sees it: the runs that it was given, what is being interrupted, and if it may get more."""

from __future__ import annotations

import signal

import msgspec

from headbox.domain.task import Instant, Work
from headbox.worker.child_link import ChildLink
from headbox.worker.journal import JournalFile
from headbox.worker.protocol import Reason

REPEAT = 1_000_000_000  # ns between two interrupts of a run that does not end


class Interruption(msgspec.Struct):
    """A run that was told to end. Times are nanoseconds of CLOCK_MONOTONIC."""

    reason: Reason
    since: int
    repeat_at: int


class Child:
    """One living child and its runs, by sequence number."""

    def __init__(self, link: ChildLink, journal: JournalFile) -> None:
        self.link = link
        self.is_sync = link.kind == "sync"  # runs one task after another
        self.journal = journal
        self.runs: dict[int, Work] = {}
        self.started: dict[int, int] = {}  # of an async child: when each run started
        self.recorded: dict[int, Instant] = {}  # the starts that were noted
        self.interruptions: dict[int, Interruption] = {}
        self.ended = 0  # runs so far
        self.weight = 0  # the heaviest of a sync child's runs, which it works off one by one; the sum of an async one's
        self.solitary = False  # has a run that must not share it
        self.retiring = False  # gets no more
        self.killed = False
        self.pending = 0  # runs that are placed here and not sent yet

    @property
    def may_get_runs(self) -> bool:
        """Whether runs may be handed to it."""
        return self.link.ready and not (self.retiring or self.killed or self.solitary or self.is_stuck)

    @property
    def is_stuck(self) -> bool:
        """Whether a run that was told to end has not, and the child may have to be killed for it."""
        if self.is_sync:
            return bool(self.interruptions)
        return bool(self.interruptions) and any(
            interruption.repeat_at > interruption.since + REPEAT for interruption in self.interruptions.values()
        )

    def add(self, seq: int, task: Work) -> None:
        """The run was handed to it."""
        self.runs[seq] = task
        if not self.is_sync:
            self.weight += task.weight
        elif task.weight > self.weight:
            self.weight = task.weight

    def drop(self, seq: int) -> Work | None:
        """The run is no longer its; None if it was not."""
        task = self.runs.pop(seq, None)
        if task is None:
            return None
        for known in (self.started, self.recorded, self.interruptions):
            if known:  # of a short run there is nothing
                known.pop(seq, None)
        if not self.runs:
            self.weight, self.solitary = 0, False
        elif not self.is_sync:
            self.weight -= task.weight
        return task

    def begun(self) -> dict[int, int]:
        """When the runs started that a dead child was at. Of an async one, also what it had no time to say."""
        begun = dict(self.in_progress())
        if not self.is_sync:
            last = self.link.slot.last_started
            begun |= {seq: self.link.slot.started_at for seq in self.runs if seq <= last and seq not in begun}
        return begun

    def forget(self) -> None:
        """Its runs are nobody's business any more."""
        for seq in list(self.runs):
            self.drop(seq)

    def in_progress(self) -> list[tuple[int, int]]:
        """(sequence number, start) of the runs that have started and not been reported ended."""
        if not self.is_sync:
            return list(self.started.items())
        run = self.link.slot.in_progress() if self.runs else None
        return [(run.seq, run.started_at)] if run is not None and run.seq in self.runs else []


def death(status: int) -> str:
    """How a process ended, in words: from its exit code, or minus the signal."""
    if status >= 0:
        return f"exited with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"
