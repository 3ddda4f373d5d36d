"""The supervisor's end of one child: its pipes, its slot and its process. Nothing here waits."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
from collections.abc import Sequence

import msgspec

from headbox.domain.task import Work
from headbox.worker.protocol import (
    RECEIVE_BYTES,
    CancelRun,
    ChildReady,
    Chunk,
    Frames,
    FromChild,
    Kind,
    Limit,
    Stop,
    ToChild,
    frame,
)
from headbox.worker.slot import Slot

# Of what a child has to say, so that it need not wait while the supervisor is busy with the store: some 7,000 ends of
# short runs. (Pipes, because a socket takes 278 of them, at twice the cost.)
PIPE_BYTES = 256 * 1024


class ChildLink:
    """One child, from `Nursery.raise_child` on. `pid` is None until the child or the forkserver has said it; `ready`
    once the child waits for runs; `closed` once it can say no more. The runs of a dead child are settled by reading
    `receive` until `closed`, and then asking `slot.in_progress` (sync) or `slot.last_started`."""

    def __init__(self, number: int, kind: Kind, slot: Slot, inlet: int, outlet: int) -> None:
        self.number = number
        self.kind = kind
        self.slot = slot
        self.pid: int | None = None
        self.ready = False
        self.closed = False
        self.is_garbled = False  # what came was no message: nothing that it says can be trusted
        self.last_seq = 0  # of the last run that was handed over
        self._inlet = inlet
        self._outlet = outlet
        self._frames: Frames[FromChild] = Frames(FromChild)
        self._outgoing = bytearray()
        self._is_backed_up = False
        self._events = select.epoll()
        self._events.register(inlet, select.EPOLLIN)

    @classmethod
    def open(cls, number: int, kind: Kind) -> tuple[ChildLink, tuple[int, int]]:
        """A link, and the ends of its pipes that are the child's: what it reads from, what it writes to."""
        from_us, outlet = os.pipe()
        inlet, to_us = os.pipe()
        with contextlib.suppress(PermissionError):  # the user has many pipes: the usual size will do
            fcntl.fcntl(inlet, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        for descriptor in (inlet, outlet):
            os.set_blocking(descriptor, False)
        return cls(number, kind, Slot.create(), inlet, outlet), (from_us, to_us)

    def fileno(self) -> int:
        """For selectors: readable when `receive` has something to do."""
        return self._events.fileno()

    def hand(self, works: Sequence[Work]) -> range:
        """Gives the child runs to start. Returns their sequence numbers, in the same order."""
        first = self.last_seq + 1
        self.last_seq += len(works)
        self._send(Chunk(list(enumerate(works, first))))
        return range(first, self.last_seq + 1)

    def take_back(self) -> int:
        """Takes back every run that has not started: those above the sequence number that this returns."""
        return self.slot.take_back(self.last_seq)

    def interrupt(self, seq: int, reason: int) -> None:
        """Interrupts the run if it is in progress; nothing happens if it is not. May be repeated."""
        if self.kind == "async":
            self._send(CancelRun(seq, reason))
        elif seq == self.slot.last_started and self.pid is not None and not self.closed:
            self.slot.aim(seq, reason)
            # A dead child's pid is not used again so soon: pids go round before they come again.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGUSR1)

    def limit(self, runs: int) -> None:
        """Lets an async child have so many runs in progress at once."""
        self._send(Limit(runs))

    def stop(self) -> None:
        """Asks the child to end after the runs that it has; `take_back` first if it is not to start them."""
        self._send(Stop())

    def receive(self) -> list[FromChild] | None:
        """What the child has said, in one reading: None if it has said nothing since, [] if what it said is not whole
        yet. Sets `closed` when it can say no more. Sends on what waited for room. A child that was killed in the middle
        of a message loses that one."""
        if self._outgoing:
            self._flush()
        try:
            data = os.read(self._inlet, RECEIVE_BYTES)
        except BlockingIOError:
            return None
        if not data:
            self.closed = True
            return []
        try:
            messages = self._frames.feed(data)
        except msgspec.DecodeError:
            self.closed = self.is_garbled = True
            return []
        if not self.ready:
            self._note_readiness(messages)
        return messages

    def close(self) -> None:
        """Gives up the descriptors; a child that still lives sees it and ends."""
        self.closed = True
        self._events.close()
        os.close(self._inlet)
        os.close(self._outlet)
        self.slot.close()

    def _send(self, message: ToChild) -> None:
        self._outgoing += frame(message)
        self._flush()

    def _flush(self) -> None:
        """Sends as far as there is room; `fileno` says when there is more of it."""
        try:
            sent = os.write(self._outlet, self._outgoing)
        except BlockingIOError:
            sent = 0
        except BrokenPipeError:  # its death is seen by `receive`
            sent = len(self._outgoing)
        del self._outgoing[:sent]
        is_backed_up = bool(self._outgoing)
        if is_backed_up and not self._is_backed_up:
            self._events.register(self._outlet, select.EPOLLOUT)
        elif self._is_backed_up and not is_backed_up:
            self._events.unregister(self._outlet)
        self._is_backed_up = is_backed_up

    def _note_readiness(self, messages: list[FromChild]) -> None:
        for message in messages:
            if isinstance(message, ChildReady):
                self.pid, self.ready = message.pid, True
