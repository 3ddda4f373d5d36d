"""What `serve` becomes once it has read its options: a parent that runs nothing itself and keeps two processes alive,
`work` and `api`. It is there as long as they are, so it imports next to nothing.

`work` comes first and tells which database the application names, since only its children import task code.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NoReturn

from headbox.cli.kept import NEVER, Kept, describe_end

if TYPE_CHECKING:
    from headbox.cli.code_watch import CodeWatch

PLAN: Final = "_HEADBOX_SERVE"  # the variable by which `serve` tells the process that it becomes what to do
REFUSALS: Final = (1, 2)  # exit statuses of a process that said why it cannot run: it would say so again
SETTLING: Final = 0.2  # seconds in which an editor's changes to several files count as one
STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
INTERRUPTED: Final = 130


def main() -> NoReturn:
    """Keeps what the plan says, and exits with the status of that. In it are `work` and `api`, the options of each;
    `app`, the application; `program`, how it was called; `reload`, whether to restart for a change of the code;
    `patience`, seconds that the two have to end; `keeps_port`, whether an API that chose its port gets it again."""
    try:
        _settle_descriptors()
        sys.exit(Service(json.loads(os.environ.pop(PLAN))).run())
    except KeyboardInterrupt:  # before anything was started
        sys.exit(INTERRUPTED)
    except OSError as error:
        say(f"a process could not be started: {error.strerror}")
        sys.exit(1)


def _settle_descriptors() -> None:
    """A stream that was closed is nothing to read and nowhere to write, not the next pipe that is opened; and what
    else this process was given is not for those that it starts."""
    for number in range(3):
        with suppress(OSError):
            os.fstat(number)
            continue
        os.open(os.devnull, os.O_RDWR)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            with suppress(OSError):  # the one by which they were listed
                os.set_inheritable(int(name), False)


class Service:
    """The parent: one loop over what its two processes, its signals and the code's changes tell."""

    def __init__(self, plan: Mapping[str, Any]) -> None:
        self._plan = plan
        self._work = Kept("work", plan["work"], plan["program"], self._heed_work)
        self._api = Kept("api", plan["api"], plan["program"], self._heed_api)
        self._both = (self._work, self._api)
        self._environment = dict(os.environ)
        self._is_database_known = False
        self._noted: list[int] = []  # stop signals that are not heeded yet
        self._stops = 0
        self._end_of_patience = NEVER
        self._selector = selectors.DefaultSelector()
        self._watch: CodeWatch | None = None
        self._replace_at = NEVER
        self._status = 0

    def run(self) -> int:
        """Serves until it is told to stop, and gives the exit status."""
        self._hear_signals()
        if self._plan["reload"]:
            self._watch_code()
        self._work.start_again()
        while self._is_needed():
            for key, _ in self._selector.select(self._pause()):
                key.data()
            self._heed_signals()
            if time.monotonic() >= self._replace_at:
                self._reload()
            if time.monotonic() >= self._end_of_patience:
                self._lose_patience()
        return self._status

    def _is_needed(self) -> bool:
        for kept in self._both:
            self._tend(kept)
        return not self._stops or any(kept.is_alive for kept in self._both)

    def _pause(self) -> float | None:
        first = min(self._work.start_at, self._api.start_at, self._replace_at, self._end_of_patience)
        return None if first == NEVER else max(0.0, first - time.monotonic())

    # signals

    def _hear_signals(self) -> None:
        reading, writing = os.pipe()
        for end in (reading, writing):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        self._selector.register(reading, selectors.EVENT_READ, lambda: os.read(reading, 65536))
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        for number in STOP_SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # under nohup, the terminal's end is not ours
                signal.signal(number, lambda number, frame: self._noted.append(number))

    def _heed_signals(self) -> None:
        while self._noted:
            self._noted.pop()
            self._stop()

    def _stop(self) -> None:
        self._stops += 1
        if self._stops == 1:
            self._end_of_patience = time.monotonic() + self._plan["patience"]
        for kept in self._both:
            kept.start_at = NEVER
            kept.end() if self._stops == 1 else kept.end_at_once()

    def _lose_patience(self) -> None:
        """Kills what has not ended long after it should have."""
        self._end_of_patience = NEVER
        for kept in self._both:
            kept.kill()

    # the two processes

    def _tend(self, kept: Kept) -> None:
        """Sees whether it has ended, and starts it when it is to be."""
        if kept.is_alive:
            reports = kept.fileno()
            status = kept.end_of_it()
            if status is not None:
                with suppress(KeyError):
                    self._selector.unregister(reports)
                self._judge(kept, status)
        if time.monotonic() >= kept.start_at:
            kept.start(self._environment_of(kept))
            self._selector.register(kept, selectors.EVENT_READ, lambda: self._listen(kept))

    def _listen(self, kept: Kept) -> None:
        if not kept.listen():
            self._selector.unregister(kept)

    def _judge(self, kept: Kept, status: int) -> None:
        """What becomes of a process that has ended: another, unless the service stops or it says that it cannot run."""
        if self._stops:
            self._status = max(self._status, status)
        elif kept.is_replaced:
            kept.start_again()
        elif status in REFUSALS and self._watch is not None and kept is self._work:
            say("waiting for a change of the code")
        elif status in REFUSALS and not kept.has_worked:
            self._status = status
            self._stop()
        else:
            pause = kept.start_later()
            say(f"`headbox {kept.name}` {describe_end(status)}: starting it again in {pause:.0f} s")

    def _environment_of(self, kept: Kept) -> dict[str, str]:
        """What tasks could find out, they should not find in it: the admin's password is for the API."""
        hidden = ("HEADBOX_ADMIN_PASSWORD",) if kept is self._work else ()
        return {name: value for name, value in self._environment.items() if name not in hidden}

    def _heed_work(self, report: Mapping[str, Any]) -> None:
        """The worker has opened the database: the API is to serve the same."""
        is_another = report["database"] != self._environment.get("HEADBOX_DATABASE")
        self._environment["HEADBOX_DATABASE"] = report["database"]
        if self._is_database_known and is_another:
            self._replace(self._api)
        elif not (self._is_database_known or self._stops):
            self._api.start_again()
        self._is_database_known = True

    def _heed_api(self, report: Mapping[str, Any]) -> None:
        """The API accepts calls. If it chose the port, it is to have the same again."""
        if self._plan["keeps_port"]:
            self._api.options += ["--port", report["url"].rpartition(":")[2].partition("/")[0]]

    def _replace(self, kept: Kept) -> None:
        kept.is_replaced = True
        kept.end_at_once()

    # the code

    def _watch_code(self) -> None:
        from headbox.cli.code_watch import CodeWatch

        self._watch = CodeWatch(self._plan["app"])
        self._selector.register(self._watch, selectors.EVENT_READ, self._see_change)

    def _see_change(self) -> None:
        assert self._watch is not None
        path = self._watch.change()
        if path is not None and self._replace_at == NEVER:
            say(f"{path} has changed: restarting the worker")
            self._replace_at = time.monotonic() + SETTLING

    def _reload(self) -> None:
        """Replaces the worker. What it runs is interrupted, and run again."""
        self._replace_at = NEVER
        if self._work.is_alive:
            self._replace(self._work)
        elif not self._stops:
            self._work.start_again()


def say(text: str) -> None:
    """A line for the operator, beside the log. If nobody reads it any more, the service goes on."""
    with suppress(OSError):
        os.write(2, f"headbox: {text}\n".encode(errors="backslashreplace"))
