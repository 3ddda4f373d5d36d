"""The supervisor's end of one child: its socket, its slot and its process. Nothing here waits."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Sequence

from headbox.running import Work
from headbox.worker.protocol import (
    RECEIVE_BYTES,
    CancelRun,
    ChildReady,
    Chunk,
    Frames,
    FromChild,
    Kind,
    Stop,
    ToChild,
    frame,
)
from headbox.worker.slot import Slot


class ChildLink:
    """One child, from `Nursery.raise_child` on. `pid` is None until the child or the forkserver has said it; `ready`
    once the child waits for runs; `closed` once its socket has ended. The runs of a dead child are settled by reading
    `receive` until `closed`, and then asking `slot.in_progress` (sync) or `slot.last_started`."""

    def __init__(self, number: int, kind: Kind, connection: socket.socket, slot: Slot) -> None:
        self.number = number
        self.kind = kind
        self.slot = slot
        self.pid: int | None = None
        self.ready = False
        self.closed = False
        self.last_seq = 0  # of the last run that was handed over
        self._connection = connection
        self._connection.setblocking(False)
        self._frames: Frames[FromChild] = Frames(FromChild)
        self._outgoing = bytearray()

    def fileno(self) -> int:
        """For selectors: readable when `receive` has something, writable when `flush` could go on."""
        return self._connection.fileno()

    @property
    def is_backed_up(self) -> bool:
        """Whether something waits to be sent: call `flush` when the socket is writable."""
        return bool(self._outgoing)

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
        """Interrupts a run that may be in progress; nothing happens if it is not. May be repeated."""
        if self.kind == "async":
            self._send(CancelRun(seq, reason))
            return
        self.slot.aim(seq, reason)
        if self.pid is not None and not self.closed:
            # A dead child's pid is not used again so soon: pids go round before they come again.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGUSR1)

    def stop(self) -> None:
        """Asks the child to end after the runs that it has; `take_back` first if it is not to start them."""
        self._send(Stop())

    def receive(self) -> list[FromChild]:
        """What the child has said, in one reading; sets `closed` when it can say no more. A child that was killed in
        the middle of a message loses that one."""
        try:
            data = self._connection.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return []
        except ConnectionResetError:  # it died with messages of ours unread
            data = b""
        if not data:
            self.closed = True
            return []
        messages = self._frames.feed(data)
        if not self.ready:
            self._note_readiness(messages)
        return messages

    def flush(self) -> None:
        """Sends what waited for room, as far as there is room."""
        if not self._outgoing or self.closed:
            return
        try:
            sent = self._connection.send(self._outgoing)
        except BlockingIOError:
            return
        except ConnectionError:  # its death is seen by `receive`
            sent = len(self._outgoing)
        del self._outgoing[:sent]

    def close(self) -> None:
        """Gives up the descriptors; a child that still lives sees it and ends."""
        self.closed = True
        self._connection.close()
        self.slot.close()

    def _send(self, message: ToChild) -> None:
        self._outgoing += frame(message)
        self.flush()

    def _note_readiness(self, messages: list[FromChild]) -> None:
        for message in messages:
            if isinstance(message, ChildReady):
                self.pid, self.ready = message.pid, True
