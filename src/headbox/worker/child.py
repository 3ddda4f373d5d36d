"""How every child begins and ends, a fork of the forkserver or a fresh interpreter (`python -m headbox.worker.child`):
the leader of its process group, not outliving its parent, with signals as a program expects them. From here on it runs
user code, and knows nothing of the store."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING, NamedTuple, NoReturn, cast

from headbox.task_queue.queue import TaskQueue
from headbox.worker.application import ApplicationError, load
from headbox.worker.journal import Journal
from headbox.worker.log import log_to_stderr
from headbox.worker.process import die_with_parent
from headbox.worker.protocol import ChildFailed, Kind, Outlet
from headbox.worker.slot import Slot
from headbox.worker.sync_child import SyncChild

if TYPE_CHECKING:
    from headbox.worker.async_child import AsyncChild

logger = logging.getLogger(__name__)


class Birth(NamedTuple):
    """What a child is given: its kind, the process that starts it, the pipes from and to the supervisor, its slot, and
    its journal."""

    kind: Kind
    parent: int
    inlet: int
    outlet: int
    slot: int
    journal: int

    @property
    def descriptors(self) -> tuple[int, int, int, int]:
        """What it inherits; the process that starts it closes them."""
        return self.inlet, self.outlet, self.slot, self.journal


def live(birth: Birth, queue: TaskQueue | None, app: str | None) -> NoReturn:
    """Runs what the supervisor hands over until it says Stop or is gone. Never returns into the caller's stack: a fork
    must not go on as a second forkserver, nor run exit functions that are its parent's."""
    status = 1
    try:
        _settle(birth.parent)
        outlet = Outlet(birth.outlet)
        try:
            _run(birth, queue, app, outlet)
        except ApplicationError as error:
            outlet.send(ChildFailed(str(error)))
        else:
            status = 0
    except ConnectionError:
        logger.debug("the supervisor is gone")
    except BaseException:
        logger.exception("a child of the worker ends by an error")
    finally:
        _flush()
        os._exit(status)


def _run(birth: Birth, queue: TaskQueue | None, app: str | None, outlet: Outlet) -> None:
    if queue is None:
        if app is None:
            raise ApplicationError("a worker without an application has nothing to run in children")
        queue = load(app)
        log_to_stderr()
    _call_hooks(queue)
    runner = _async_child() if birth.kind == "async" else SyncChild
    runner(queue, birth.inlet, outlet, Slot(birth.slot), Journal(birth.journal)).run()


def _async_child() -> type[AsyncChild]:
    from headbox.worker.async_child import AsyncChild  # and an event loop, which synchronous tasks need not have

    return AsyncChild


def _settle(parent: int) -> None:
    with contextlib.suppress(PermissionError):  # it leads a session, and so its group, already
        os.setpgid(0, 0)
    _reset_signals()
    die_with_parent(signal.SIGKILL, parent)


def _reset_signals() -> None:
    """Undoes what the forkserver and the application set. A terminal or a service manager may send SIGINT or SIGTERM to
    every process: they are for the supervisor and do nothing here (a handler: subprocesses don't inherit those).
    SIGUSR1 is a sync child's interrupt, once that is ready for it."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE, signal.SIGXFSZ}:
        if callable(signal.getsignal(number)) or number in DISREGARDED:
            signal.signal(number, _disregard if number in DISREGARDED else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


DISREGARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


def _disregard(number: int, frame: object) -> None:
    """Lets the signal pass."""


def _call_hooks(queue: TaskQueue) -> None:
    for name, hook in queue.registry.hooks["on_child_start"].items():
        try:
            hook()
        except Exception as error:
            logger.exception("the on_child_start hook %s failed", name)
            raise ApplicationError(f"the on_child_start hook {name} failed: {type(error).__name__}: {error}") from error


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or nobody reads it
            stream.flush()


def main() -> NoReturn:
    """A child in an interpreter of its own; the forkserver passes what a fork would know."""
    import argparse  # which no fork needs

    parser = argparse.ArgumentParser(prog="headbox.worker.child")
    parser.add_argument("--kind", choices=("sync", "async"), required=True)
    parser.add_argument("--app", required=True)
    for name in ("--parent", "--inlet", "--outlet", "--slot", "--journal"):
        parser.add_argument(name, type=int, required=True)
    given = parser.parse_args()
    birth = Birth(cast(Kind, given.kind), given.parent, given.inlet, given.outlet, given.slot, given.journal)
    for descriptor in birth.descriptors:
        os.set_inheritable(descriptor, False)
    live(birth, None, given.app)


if __name__ == "__main__":
    main()
