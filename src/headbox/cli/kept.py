"""One process that `serve` keeps: how it is started, what it reports, and how it is told to end."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

FIRST_PAUSE: Final = 1.0  # seconds before a process is started again; doubled each time it dies young
LONGEST_PAUSE: Final = 30.0
STEADY: Final = 60.0  # seconds after which a process no longer dies young
OF_PYTHON: Final = (signal.SIGPIPE, signal.SIGXFSZ)  # what it ignores, and a new process is not to
NEVER: Final = float("inf")


class Kept:
    """`headbox work` or `headbox api` as a child of this process, over and over under the same name."""

    def __init__(self, name: str, options: list[str], program: str, heed: Callable[[Mapping[str, Any]], None]) -> None:
        self.name = name
        self.options = options
        self.start_at = NEVER  # by `time.monotonic`
        self.is_replaced = False  # it was told to end so that another can take its place
        self.has_worked = False  # one of them got as far as to report
        self._program = program
        self._heed = heed
        self._pid: int | None = None
        self._reports = -1
        self._unread = b""
        self._started = 0.0
        self._pause = FIRST_PAUSE

    @property
    def is_alive(self) -> bool:
        """Whether there is a process."""
        return self._pid is not None

    def fileno(self) -> int:
        """For selectors: readable when there is something to `listen` to. Another one for each process."""
        return self._reports

    def start(self, environment: Mapping[str, str]) -> None:
        """Starts it, in a process group of its own: the terminal's Ctrl-C is for the parent, which passes it on."""
        self._reports, writing = os.pipe()
        os.set_blocking(self._reports, False)
        os.set_inheritable(writing, True)
        words = [sys.executable, "-P", "-m", "headbox", self.name, *self.options]
        words += ["--status-fd", str(writing), "--parent", str(os.getpid()), "--program", self._program]
        no_input = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
        try:
            self._pid = os.posix_spawn(
                sys.executable, words, environment, file_actions=[no_input], setpgroup=0, setsigdef=OF_PYTHON
            )
        finally:
            os.close(writing)
        self.is_replaced, self.start_at, self._started, self._unread = False, NEVER, time.monotonic(), b""

    def listen(self) -> bool:
        """Heeds what it has reported, a line of JSON each time. Whether more may come."""
        with suppress(BlockingIOError):
            while data := os.read(self._reports, 65536):
                *lines, self._unread = (self._unread + data).split(b"\n")
                for line in lines:
                    self.has_worked = True
                    self._heed(json.loads(line))
            return False
        return True

    def end_of_it(self) -> int | None:
        """The exit status, minus the signal that ended it, once it has ended; what it reported last has been heeded."""
        if self._pid is None:
            return None
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        if not pid:
            return None
        self.listen()
        os.close(self._reports)
        self._pid = None
        return os.waitstatus_to_exitcode(status)

    def start_again(self) -> None:
        """It is to be started again, at once."""
        self._pause, self.start_at = FIRST_PAUSE, 0.0

    def start_later(self) -> float:
        """It is to be started again, after a pause: later each time that it dies young. Gives the seconds."""
        now = time.monotonic()
        pause = FIRST_PAUSE if now - self._started > STEADY else self._pause
        self._pause, self.start_at = min(2 * pause, LONGEST_PAUSE), now + pause
        return pause

    def end(self) -> None:
        """Asks it to finish what it does."""
        self._send(signal.SIGTERM)

    def end_at_once(self) -> None:
        """Asks it to interrupt what it does. Two signals that differ: equal ones can arrive as one."""
        self._send(signal.SIGTERM)
        self._send(signal.SIGINT)

    def kill(self) -> None:
        """Ends it, whatever it does."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self._pid is not None:  # not waited for yet, so its number is nobody else's
            os.kill(self._pid, number)


def describe_end(status: int) -> str:
    """An exit status in words."""
    return f"ended with status {status}" if status >= 0 else f"was killed by {signal.Signals(-status).name}"
