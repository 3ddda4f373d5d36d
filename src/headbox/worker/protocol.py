"""What the worker's processes say to each other: msgpack arrays, each with a tag and behind its length. The supervisor
talks with the forkserver over a socketpair and with each child over two pipes; those never with each other. Times are
nanoseconds of CLOCK_MONOTONIC, which all processes of one machine share."""

from __future__ import annotations

import os
import struct
import threading
from enum import IntEnum
from typing import Any, Generic, Literal, TypeVar

import msgspec

from headbox.domain.task import Task, Work
from headbox.storage.records import Callable
from headbox.task_queue.running import Ending

Kind = Literal["sync", "async"]
Message = TypeVar("Message")

RECEIVE_BYTES = 65536
LENGTH = struct.Struct("!I")
MAX_FRAME = 64 << 20  # bytes; payloads are bounded well below


class Reason(IntEnum):
    """Why a run is interrupted. The child only tells it to the task; the supervisor decides what becomes of the run."""

    CANCEL = 1
    TIMEOUT = 2
    SHUTDOWN = 3


SENTENCES: dict[int, str] = {
    Reason.CANCEL: "the task was canceled",
    Reason.TIMEOUT: "the task ran longer than its timeout",
    Reason.SHUTDOWN: "the worker is shutting down",
}


# supervisor → forkserver


class Prepare(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The first message: import the application (`module:queue`; None: there is none) and be ready to raise children.
    `database` is what HEADBOX_DATABASE is to say there; `preload` False: children import the application themselves."""

    app: str | None
    database: str | None
    preload: bool = True


class Raise(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Start a child. Four descriptors travel with it: the pipes from and to the supervisor, the slot, the journal."""

    number: int
    kind: Kind


# forkserver → supervisor


class Ready(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The application is imported. All that the supervisor knows of it, since it never imports task code itself."""

    database: str | None  # the URL of the application's queue; None without an application
    database_is_default: bool
    callables: list[Callable]
    declarations: list[Task]  # for `@queue.task(schedule=…)`
    schedule_names: list[str]  # of the declarations
    warnings: list[str]  # threads and sockets that the import opened, in sentences
    preloaded: bool  # children are forks; False: fresh interpreters


class Failed(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """The application cannot be used; `message` is one sentence. The forkserver ends after it."""

    message: str


class Raised(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """A child was started; it is not ready before its own ChildReady."""

    number: int
    pid: int


class Exited(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """A child has ended, and what was left of its process group was killed. `status`: its exit code, or minus the
    signal that ended it."""

    number: int
    pid: int
    status: int


# supervisor → child


class Chunk(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Runs to start, in order: each with its sequence number, which grows by one from run to run of the child."""

    runs: list[tuple[int, Work]]


class CancelRun(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """To an async child: cancel this run's asyncio task. (A sync child gets a signal instead: ChildLink.interrupt.)"""

    seq: int
    reason: int


class Stop(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """End, once all runs that were given before have ended."""


class Limit(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """To an async child: so many runs may be in progress at once; the others wait in it, in order."""

    runs: int


# child → supervisor


class ChildReady(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The child has run its `on_child_start` hooks and waits for runs."""

    pid: int


class ChildFailed(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """The child cannot start: the application could not be imported, or a hook raised. It ends after this."""

    message: str


class Started(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=3):
    """An async child has started runs. (Of a sync child the slot says so.)"""

    seqs: list[int]
    started_at: int


class Progressed(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=4):
    """A run's latest progress, as JSON. May come from a thread that outlived its run: then it is to be dropped."""

    seq: int
    progress: str


class Ended(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=5):
    """A run has ended. `interrupted`: it was told to end, whatever `ending` says (a task may swallow that and return).
    A sync child that was interrupted starts nothing more and exits."""

    seq: int
    started_at: int
    ended_at: int
    interrupted: bool
    ending: Ending


class Unknown(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=6):
    """Instead of Ended: the run was not executed, for the application has no such callable."""

    seq: int


ToForkserver = Prepare | Raise
FromForkserver = Ready | Failed | Raised | Exited
ToChild = Chunk | CancelRun | Stop | Limit
FromChild = ChildReady | ChildFailed | Started | Progressed | Ended | Unknown

_encode = msgspec.msgpack.Encoder().encode


def frame(message: Any) -> bytes:
    """The message as it travels: its length in four bytes, then itself."""
    body = _encode(message)
    return LENGTH.pack(len(body)) + body


class Frames(Generic[Message]):
    """Cuts a stream of bytes into messages of one conversation (`Frames[FromChild](FromChild)`)."""

    def __init__(self, conversation: Any) -> None:
        self._decode = msgspec.msgpack.Decoder(conversation).decode
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """The messages that `data` completes, in order; what is left over waits for the next call. DecodeError for what
        is no message: a task may have written to a descriptor that it had closed, and that is ours now."""
        if self._rest:
            self._rest += data
            data = bytes(self._rest) if self._is_complete() else b""
        messages: list[Message] = []
        at, size = 0, len(data)
        while size - at >= 4:
            end = at + 4 + LENGTH.unpack_from(data, at)[0]
            if end > size:
                if end - at > MAX_FRAME:
                    raise msgspec.DecodeError("no message is that long")
                break
            messages.append(self._decode(data[at + 4 : end]))
            at = end
        if data:
            self._rest = bytearray(data[at:])
        return messages

    def _is_complete(self) -> bool:
        """Whether the rest holds a message. A large one comes in many pieces and is to be copied only once."""
        return len(self._rest) >= 4 and len(self._rest) >= 4 + LENGTH.unpack_from(self._rest)[0]


class Outlet:
    """A child's way to its supervisor: writes whole frames, from any thread of the process that made it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def send(self, message: FromChild) -> None:
        """Writes one message."""
        self.write(frame(message))

    def write(self, data: bytes) -> None:
        """Sends whole frames in one write; waits for room. RuntimeError in a process that a task forked: the frames
        would mix. Ends the process when the supervisor is gone: nobody could take its word any more."""
        if os.getpid() != self._pid:
            raise RuntimeError("only the process that runs the task can report its progress, not one that it forked")
        with self._lock:
            try:
                while (sent := os.write(self._descriptor, data)) < len(data):  # a signal cut it short
                    data = data[sent:]
            except BrokenPipeError:
                os._exit(1)
