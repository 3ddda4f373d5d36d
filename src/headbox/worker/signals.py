"""Signals for a loop over a selector: noted when they come, heeded when the loop gets to them."""

from __future__ import annotations

import selectors
import signal
import socket


class Signals:
    """Notes SIGTERM and SIGINT while it is entered, and wakes the selector for them."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self.noted: list[int] = []

    def __enter__(self) -> None:
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)
        self._selector.register(self._read, selectors.EVENT_READ, lambda: self._read.recv(64))
        signal.set_wakeup_fd(self._write.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: self.noted.append(number))

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(-1)
        self._selector.unregister(self._read)
        self._read.close()
        self._write.close()
