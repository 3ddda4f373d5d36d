"""The task that is running here: who it is, and its way to report progress. Held in a context variable, so that async
tasks of one event loop each find their own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final

from headbox.domain.errors import PayloadRefused, UnknownTask

MAX_PROGRESS: Final = 64 * 1024  # bytes
REPORT_INTERVAL: Final = 0.05  # seconds

_current: ContextVar[CurrentTask | None] = ContextVar("headbox_current_task", default=None)


class CurrentTask:
    """A run in progress, as its own code sees it. `send_progress` takes JSON text, from any thread; `show` makes it."""

    __slots__ = (
        "_due", "_lock", "_monotonic", "_pending", "_send_progress", "_show", "_timer",
        "id", "job_id", "method_name", "owner", "run",
    )  # fmt: skip

    def __init__(
        self,
        id: str,
        run: int,
        method_name: str,
        job_id: str | None,
        owner: str | None,
        send_progress: Callable[[str], None],
        show: Callable[[Any], str],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.id = id
        self.run = run
        self.method_name = method_name
        self.job_id = job_id
        self.owner = owner
        self._send_progress = send_progress
        self._show = show
        self._monotonic = monotonic
        self._lock = threading.RLock()
        self._pending: str | None = None
        self._due = 0.0
        self._timer: threading.Timer | None = None

    def report(self, value: Any) -> None:
        """Makes a JSON value the task's progress. It is sent at most every 50 ms, and the latest always arrives.

        PayloadRefused over 64 KiB.
        """
        progress = self._show(value)
        if len(progress) > MAX_PROGRESS // 4 and (size := len(progress.encode())) > MAX_PROGRESS:
            raise PayloadRefused(
                f"the progress takes {size:,} bytes and at most {MAX_PROGRESS:,} are kept: report less"
            )
        with self._lock:
            self._pending = progress
            wait = self._due - self._monotonic()
            if wait <= 0:
                self._send()
            elif self._timer is None:
                self._timer = threading.Timer(wait, self.flush)
                self._timer.daemon = True
                self._timer.start()

    def flush(self) -> None:
        """Sends what the interval has held back, now."""
        if self._pending is None and self._timer is None:
            return
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._pending is not None:
                self._send()

    def _send(self) -> None:
        progress, self._pending = self._pending, None
        self._due = self._monotonic() + REPORT_INTERVAL
        assert progress is not None
        self._send_progress(progress)


def current_task() -> CurrentTask:
    """The task that is running here. UnknownTask outside of one."""
    current = _current.get()
    if current is None:
        raise UnknownTask("no task is running here: current_task() is for code that a worker, or headbox.testing, runs")
    return current


def find_current_task() -> CurrentTask | None:
    """The task that is running here, None outside of one."""
    return _current.get()


class Running:
    """Makes `current` the current task; at the end its progress is flushed. (A class, for every run goes through it:
    `contextmanager` would cost a tenth of a short one.)"""

    __slots__ = ("_current", "_token")

    def __init__(self, current: CurrentTask) -> None:
        self._current = current

    def __enter__(self) -> CurrentTask:
        self._token = _current.set(self._current)
        return self._current

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)
        self._current.flush()
