"""Where the supervisor gets its children: it starts the forkserver, asks it for children and hears of their deaths.
No user code runs on this side."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys

import msgspec

from headbox.worker.child_link import ChildLink
from headbox.worker.process import kill_child, kill_group
from headbox.worker.protocol import (
    RECEIVE_BYTES,
    Exited,
    Frames,
    FromForkserver,
    Kind,
    Prepare,
    Raise,
    Raised,
    frame,
)

SECRETS = ("HEADBOX_ADMIN_PASSWORD",)  # of the service; no task is to see them
STOP_SECONDS = 5


class Gone(msgspec.Struct, frozen=True):
    """The forkserver has ended, and with it every child: `start` makes a new one. `status` as in Exited."""

    status: int


class Nursery:
    """The supervisor's end of the forkserver, and through it the maker of children.

    `app` is `module:queue`, None for none; `database` what the children's HEADBOX_DATABASE is to say (None: leave it);
    `preload` False makes every child a fresh interpreter. The thread that calls `start` must live as long as the
    worker: the forkserver ends with it.
    """

    def __init__(self, app: str | None, database: str | None = None, *, preload: bool = True) -> None:
        self._prepare = Prepare(app, database, preload)
        self._process: subprocess.Popen[bytes] | None = None
        self._links: dict[int, ChildLink] = {}  # of the children that live
        self._doomed: set[int] = set()  # to be killed, and not known to be there yet

    def start(self) -> None:
        """Starts the forkserver. `receive` gives its Ready or Failed when the application is imported."""
        ours, theirs = socket.socketpair()
        # -P: what lies in the current directory must not stand in for Python's own modules; the application may.
        command = [sys.executable, "-P", "-m", "headbox.worker.forkserver", str(theirs.fileno()), str(os.getpid())]
        environment = {name: value for name, value in os.environ.items() if name not in SECRETS}
        with theirs:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, env=environment, pass_fds=[theirs.fileno()]
            )
        self._connection = ours
        self._connection.setblocking(False)
        self._frames: Frames[FromForkserver] = Frames(FromForkserver)
        self._send(frame(self._prepare), [])

    @property
    def pid(self) -> int | None:
        """The forkserver's process; None when there is none."""
        return self._process.pid if self._process else None

    def fileno(self) -> int:
        """For selectors: readable when `receive` has something. Another one after each `start`."""
        return self._connection.fileno()

    def raise_child(self, number: int, kind: Kind, journal: int) -> ChildLink:
        """Asks for a child, under a number that no living child has; it takes over the descriptor of its journal. Runs
        may be handed to it once it is `ready`."""
        link, pipes = ChildLink.open(number, kind)
        self._send(frame(Raise(number, kind)), [*pipes, link.slot.descriptor, journal])
        for descriptor in (*pipes, journal):
            os.close(descriptor)
        self._links[number] = link
        return link

    def kill(self, number: int) -> None:
        """SIGKILL to the child and the subprocesses of its tasks, as soon as its pid is known; its Exited follows."""
        link = self._links.get(number)
        if link is None:
            return
        if link.pid is None:
            self._doomed.add(number)
        else:
            kill_child(link.pid)

    def receive(self) -> list[FromForkserver | Gone]:
        """What the forkserver has said, in one reading. Gone comes last: by then every child has been killed."""
        try:
            data = self._connection.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return []
        except ConnectionResetError:
            data = b""
        if not data:
            return [self._bury()]
        messages: list[FromForkserver | Gone] = [*self._frames.feed(data)]
        for message in messages:
            self._note(message)
        return messages

    def stop(self) -> None:
        """Ends the forkserver and every child that is left, at once."""
        if self._process:
            with contextlib.suppress(OSError):  # it has ended already
                self._connection.shutdown(socket.SHUT_RDWR)
            self._process.terminate()  # which it heeds only while it imports the application, and reads nothing
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
            self._bury()

    def _note(self, message: FromForkserver | Gone) -> None:
        match message:
            case Raised(number, pid) if number in self._links:
                self._links[number].pid = pid
                if number in self._doomed:
                    kill_group(pid)
            case Exited(number):
                self._links.pop(number, None)
                self._doomed.discard(number)

    def _bury(self) -> Gone:
        """Kills the children's groups too: the children die with the forkserver, but not the subprocesses of tasks."""
        assert self._process is not None
        self._process.kill()
        for number in self._links:
            self.kill(number)
        self._links.clear()
        self._doomed.clear()
        self._connection.close()
        status = self._process.wait()
        self._process = None
        return Gone(status)

    def _send(self, data: bytes, descriptors: list[int]) -> None:
        with contextlib.suppress(ConnectionError):  # its death is seen by `receive`
            if descriptors:
                socket.send_fds(self._connection, [data], descriptors)
            else:
                self._connection.send(data)
