"""Signals for a loop over a selector: noted when they come, heeded when the loop gets to them."""

from __future__ import annotations

import selectors
import signal
import socket


class Signals:
    """Notes SIGTERM and SIGINT while it is entered, and wakes the selector for them.

    Where repeats do not count, each is noted once: a service manager sends SIGTERM to every process of a service, and
    the parent passes its own on.
    """

    def __init__(self, selector: selectors.BaseSelector, *, repeats_count: bool = True) -> None:
        self._selector = selector
        self._repeats_count = repeats_count
        self._seen: set[int] = set()
        self.noted: list[int] = []

    def _note(self, number: int, _: object) -> None:
        if self._repeats_count or number not in self._seen:
            self._seen.add(number)
            self.noted.append(number)

    def __enter__(self) -> None:
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)
        self._selector.register(self._read, selectors.EVENT_READ, lambda: self._read.recv(64))
        signal.set_wakeup_fd(self._write.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(-1)
        self._selector.unregister(self._read)
        self._read.close()
        self._write.close()
