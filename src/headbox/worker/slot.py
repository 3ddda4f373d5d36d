"""What a child and its supervisor see of each other at any moment, even when one of them is stuck or dead: a few words
of shared memory. A lock of the kernel's guards the start of a run and its taking back, so that never both happen; the
kernel frees it when its holder is killed."""

from __future__ import annotations

import fcntl
import mmap
import os
import time
from collections.abc import Sequence
from typing import NamedTuple

STARTED, STARTED_AT, ENDED, WITHDRAWN, INTERRUPT, REASON, DEADLINE = range(7)
SIZE = 4096


class RunInProgress(NamedTuple):
    """A run's sequence number, and when it started: nanoseconds of CLOCK_MONOTONIC."""

    seq: int
    started_at: int


class Slot:
    """One child's words. Each is eight aligned bytes, stored and loaded at once, so a single one is never torn; those
    that belong together are read under the lock. Sequence numbers start at 1 and grow from run to run.

    The lock is a record lock, so it excludes the other process, not another thread of one's own: in each process one
    thread alone may call `begin`, `begin_all`, `take_back` and `in_progress`.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, SIZE)
        self._words = memoryview(self._memory).cast("Q")

    @classmethod
    def create(cls) -> Slot:
        """A slot of zeros. Its descriptor is for the child, and closes with it."""
        descriptor = os.memfd_create("headbox-slot", os.MFD_CLOEXEC)
        os.ftruncate(descriptor, SIZE)
        return cls(descriptor)

    def close(self) -> None:
        """Gives up the memory and the descriptor."""
        self._words.release()
        self._memory.close()
        os.close(self.descriptor)

    # the child

    def begin(self, seq: int) -> bool:
        """Notes that the run starts now; False if it may not: it was taken back, or the worker's deadline is past."""
        words = self._words
        fcntl.lockf(self.descriptor, fcntl.LOCK_EX)
        try:
            if seq <= words[WITHDRAWN] or (words[DEADLINE] and _boot_time() > words[DEADLINE]):
                return False
            words[STARTED_AT] = time.monotonic_ns()
            words[STARTED] = seq
            return True
        finally:
            fcntl.lockf(self.descriptor, fcntl.LOCK_UN)

    def begin_all(self, seqs: Sequence[int]) -> Sequence[int]:
        """Notes that runs start now, all at once; their numbers ascend. Those that may."""
        words = self._words
        fcntl.lockf(self.descriptor, fcntl.LOCK_EX)
        try:
            if words[DEADLINE] and _boot_time() > words[DEADLINE]:
                return ()
            begun = [seq for seq in seqs if seq > words[WITHDRAWN]]
            if begun:
                words[STARTED_AT] = time.monotonic_ns()
                words[STARTED] = begun[-1]
            return begun
        finally:
            fcntl.lockf(self.descriptor, fcntl.LOCK_UN)

    def end(self, seq: int) -> None:
        """Notes that the run's end has been reported."""
        self._words[ENDED] = seq

    def interruption(self) -> int:
        """The reason why the run in progress is to be interrupted; 0 if it is not the one that is meant."""
        words = self._words
        return words[REASON] if words[INTERRUPT] == words[STARTED] else 0

    @property
    def started_at(self) -> int:
        """When the last run started."""
        return self._words[STARTED_AT]

    # the supervisor

    def take_back(self, up_to: int) -> int:
        """Forbids all runs up to this sequence number that have not started. Returns the last that has (0: none did):
        it and those before it are the child's, the rest will never start."""
        words = self._words
        fcntl.lockf(self.descriptor, fcntl.LOCK_EX)
        try:
            words[WITHDRAWN] = up_to
            return words[STARTED]
        finally:
            fcntl.lockf(self.descriptor, fcntl.LOCK_UN)

    def in_progress(self) -> RunInProgress | None:
        """The run that a sync child is at, or died in; None between runs. For a moment it may be one whose Ended has
        been heard already."""
        words = self._words
        fcntl.lockf(self.descriptor, fcntl.LOCK_EX)
        try:
            started, started_at, ended = words[STARTED], words[STARTED_AT], words[ENDED]
        finally:
            fcntl.lockf(self.descriptor, fcntl.LOCK_UN)
        return RunInProgress(started, started_at) if started != ended else None

    @property
    def last_started(self) -> int:
        """The sequence number of the last run that started, ended or not; 0: none did."""
        return self._words[STARTED]

    def aim(self, seq: int, reason: int) -> None:
        """Says which run the next signal is meant for, and why. The reason first: the child looks at the number."""
        self._words[REASON] = reason
        self._words[INTERRUPT] = seq

    @property
    def deadline(self) -> int:
        """No run starts after this time: nanoseconds of CLOCK_BOOTTIME; 0: no deadline. Any thread may set it."""
        return self._words[DEADLINE]

    @deadline.setter
    def deadline(self, time: int) -> None:
        self._words[DEADLINE] = time


def _boot_time() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
