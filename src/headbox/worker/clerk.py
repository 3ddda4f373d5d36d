"""Goes to the store for the worker's loop, on a thread of its own: however long the database takes, timeouts, cancels
and signals are heeded meanwhile, and SQLite works while the loop does."""

from __future__ import annotations

import os
import queue
import selectors
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Clerk(Generic[T]):
    """Runs one errand at a time. Its end is told in the loop's own thread."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self.is_out = False
        self._errands: queue.SimpleQueue[Callable[[], T] | None] = queue.SimpleQueue()
        self._result: tuple[T | None, BaseException | None] = (None, None)
        self._told: tuple[Callable[[T], None], Callable[[BaseException], None]]
        self._back = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._selector = selector
        selector.register(self._back, selectors.EVENT_READ, self._return)
        self._thread = threading.Thread(target=self._serve, name="headbox-clerk", daemon=True)
        self._thread.start()

    def send(self, errand: Callable[[], T], done: Callable[[T], None], failed: Callable[[BaseException], None]) -> None:
        """Sends the clerk out; it must be in. `done` or `failed` is called when it is back."""
        self.is_out = True
        self._told = (done, failed)
        self._errands.put(errand)

    def _serve(self) -> None:
        while (errand := self._errands.get()) is not None:
            try:
                self._result = (errand(), None)
            except BaseException as error:  # noqa: BLE001 - it is told in the loop's thread
                self._result = (None, error)
            os.eventfd_write(self._back, 1)

    def _return(self) -> None:
        os.eventfd_read(self._back)
        self.is_out = False
        (value, error), (done, failed) = self._result, self._told
        if error is not None:
            failed(error)
        else:
            done(value)  # type: ignore[arg-type]  # it is None only where T is

    def close(self) -> None:
        """Ends the thread, behind an errand that it is on."""
        self._errands.put(None)
        self._thread.join()
        self._selector.unregister(self._back)
        os.close(self._back)
