"""Imports the application once and forks children from it (`python -m headbox.worker.forkserver`). It reports what the
application offers and every child's death, and kills what a dead child leaves in its process group. It runs no task."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from headbox.domain.errors import HeadboxError, StorageError
from headbox.memory import give_back_memory
from headbox.task_queue.queue import TaskQueue
from headbox.worker.application import load
from headbox.worker.child import Birth, live
from headbox.worker.log import log_to_stderr
from headbox.worker.openings import openings
from headbox.worker.process import die_with_parent, kill_child, kill_group
from headbox.worker.protocol import (
    RECEIVE_BYTES,
    Exited,
    Failed,
    Frames,
    FromForkserver,
    Kind,
    Prepare,
    Raise,
    Raised,
    Ready,
    ToForkserver,
    frame,
)

logger = logging.getLogger(__name__)

DESCRIPTORS_AT_ONCE = 64
EXIT_SECONDS = 2


class Child(NamedTuple):
    """A living child: its number, and how its exit code is fetched."""

    number: int
    wait: Callable[[], int]


class Forkserver:
    """Serves one supervisor, until that closes the connection or dies."""

    def __init__(self, connection: socket.socket, supervisor: int) -> None:
        self._connection = connection
        self._supervisor = supervisor
        self._frames: Frames[ToForkserver] = Frames(ToForkserver)
        self._descriptors: deque[int] = deque()  # that came for Raise messages still to be read
        self._children: dict[int, Child] = {}  # by pid
        self._selector = selectors.DefaultSelector()
        self._selector.register(connection, selectors.EVENT_READ, self._receive)
        self._wakeup: tuple[socket.socket, ...] = ()
        self._queue: TaskQueue | None = None
        self._app: str | None = None
        self._preload = True
        self._serving = True
        self._status = 0

    def run(self) -> int:
        """Prepares, raises children, reports their ends. Whatever ends it, no child outlives it. Returns the status to
        exit with: 1 if the application could not be used."""
        try:
            while self._serving:
                for key, _ in self._selector.select():
                    key.data()
            return self._status
        finally:
            self._kill_children()
            self._connection.detach()  # it ends with the process: that is how the supervisor sees the end

    def _receive(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._connection, RECEIVE_BYTES, DESCRIPTORS_AT_ONCE)
        except ConnectionResetError:  # the supervisor was killed with messages of ours unread
            data, descriptors = b"", []
        self._descriptors.extend(descriptors)
        if not data:
            self._serving = False
        for message in self._frames.feed(data):
            match message:
                case Prepare(app, database, preload):
                    self._prepare(app, database, preload)
                case Raise(number, kind):
                    self._raise(number, kind)

    # the application

    def _prepare(self, app: str | None, database: str | None, preload: bool) -> None:
        if database is not None:
            os.environ["HEADBOX_DATABASE"] = database
        self._app = app
        try:
            ready = self._import(app, preload) if app else Ready(None, True, [], [], [], [], True)
        except HeadboxError as error:
            self._send(Failed(str(error)))
            self._serving, self._status = False, 1
            return
        log_to_stderr()
        self._preload = ready.preloaded
        self._watch_signals()
        give_back_memory()
        gc.freeze()  # so that collections in children don't copy the pages they share with this process
        self._send(ready)

    def _import(self, app: str, preload: bool) -> Ready:
        before = openings()
        queue = self._queue = load(app)
        warnings = openings().since(before)
        if not queue.database_is_default:
            os.environ["HEADBOX_DATABASE"] = queue.database
        callables, declarations = queue.registry.catalog(), queue.declarations(app)
        with contextlib.suppress(StorageError):  # which a child that needs the keys will tell
            queue.payloads  # noqa: B018 - made once for all children
        if any(callable.is_async for callable in callables):
            import headbox.worker.async_child  # noqa: F401 - once for all of them, too
        return Ready(
            database=queue.database,
            database_is_default=queue.database_is_default,
            callables=callables,
            declarations=declarations,
            schedule_names=[task.schedule_name for task in declarations if task.schedule_name is not None],
            warnings=warnings,
            preloaded=preload and not warnings,
        )

    # signals

    def _watch_signals(self) -> None:
        """From now on a signal wakes the loop. Until here SIGTERM ended the process, import or not: it had no children.
        Now it may as well come from a service manager that sends it to every process, while the supervisor drains."""
        self._wakeup = ours, theirs = socket.socketpair()
        for end in self._wakeup:
            end.setblocking(False)
        signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, _wake)
        self._selector.register(ours, selectors.EVENT_READ, self._on_signal)

    def _on_signal(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wakeup[0].recv(RECEIVE_BYTES)
        self._serving = self._serving and os.getppid() == self._supervisor
        for pid in list(self._children):
            self._reap(pid)

    def _reap(self, pid: int) -> None:
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return
        kill_group(pid)  # before its pid is free to be used again
        child = self._children.pop(pid)
        self._send(Exited(child.number, pid, child.wait()))

    # children

    def _raise(self, number: int, kind: Kind) -> None:
        birth = Birth(kind, os.getpid(), *(self._descriptors.popleft() for _ in range(4)))
        try:
            pid, wait = self._fork(birth) if self._preload else self._spawn(birth)
        except OSError as error:
            logger.error("a child could not be started: %s", error)
            self._send(Exited(number, 0, 1))
        else:
            self._children[pid] = Child(number, wait)
            self._send(Raised(number, pid))
        finally:
            for descriptor in birth.descriptors:
                os.close(descriptor)

    def _fork(self, birth: Birth) -> tuple[int, Callable[[], int]]:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            try:
                self._forget()
                live(birth, self._queue, self._app)
            finally:  # a fork never goes on as a forkserver
                os._exit(1)
        with contextlib.suppress(OSError):  # it has done so itself, or is dead
            os.setpgid(pid, pid)
        return pid, lambda: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def _forget(self) -> None:
        """In a fork: closes what is the forkserver's, or meant for the next child."""
        for end in (self._connection, *self._wakeup):
            end.close()
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._selector.close()

    def _spawn(self, birth: Birth) -> tuple[int, Callable[[], int]]:
        assert self._app is not None
        command = [sys.executable, "-P", "-m", "headbox.worker.child", "--kind", birth.kind, "--app", self._app]
        for name in ("parent", "inlet", "outlet", "slot", "journal"):
            command += [f"--{name}", str(getattr(birth, name))]
        process = subprocess.Popen(command, pass_fds=birth.descriptors, process_group=0)
        return process.pid, process.wait

    def _kill_children(self) -> None:
        for pid in self._children:
            kill_child(pid)
        for child in self._children.values():
            child.wait()

    def _send(self, message: FromForkserver) -> None:
        with contextlib.suppress(ConnectionError):  # the supervisor's end is seen by `_receive`
            self._connection.sendall(frame(message))


def _wake(number: int, frame: object) -> None:
    """The wakeup descriptor has said it."""


def main() -> NoReturn:
    """Serves the supervisor that started this process. The arguments: this end of the socketpair, that one's pid."""
    connection, supervisor = map(int, sys.argv[1:])
    signal.signal(signal.SIGINT, _wake)  # Ctrl-C in a terminal reaches every process; it is for the supervisor
    die_with_parent(signal.SIGTERM, supervisor)
    os.set_inheritable(connection, False)
    status = Forkserver(socket.socket(fileno=connection), supervisor).run()
    # The application's exit functions may run, but not hold up the end.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(EXIT_SECONDS)
    sys.exit(status)


if __name__ == "__main__":
    main()
