"""Ids of tasks, snapshots and workers: UUIDs of version 7 (RFC 9562, 5.7), in order of creation within a process."""

from __future__ import annotations

import os
import threading
import time
from random import SystemRandom

from headbox.forks import forget_in_forks

_RANDOM_BITS = 74


class IdMaker:
    """Makes version 7 UUIDs as text, each greater than the last (RFC 9562, 6.2, method 2). Safe between threads and
    after a fork."""

    def __init__(self) -> None:
        self.after_fork()
        forget_in_forks(self)
        self._random = SystemRandom()
        self._pid = 0
        self._millisecond = 0
        self._tail = 0

    def after_fork(self) -> None:
        """A thread that the fork does not have may have held the lock."""
        self._lock = threading.Lock()

    def __call__(self) -> str:
        """The next id, 36 characters."""
        with self._lock:
            millisecond = time.time_ns() // 1_000_000
            if millisecond > self._millisecond or self._pid != os.getpid():
                self._pid = os.getpid()
                self._millisecond = max(millisecond, self._millisecond)
                self._tail = self._random.getrandbits(_RANDOM_BITS - 1)  # the top bit is room to count
            else:
                self._tail += 1 + (time.monotonic_ns() & 0xFFFF)
            number = self._millisecond << 80 | 7 << 76 | (self._tail >> 62) << 64 | 2 << 62 | self._tail & (1 << 62) - 1
        text = f"{number:032x}"
        return _with_dashes(text)


def earliest_id(instant: int) -> str:
    """The lowest id that can have been made at an instant (microseconds UTC) or later."""
    return _with_dashes(f"{instant // 1000 << 80 | 7 << 76 | 2 << 62:032x}")


def _with_dashes(text: str) -> str:
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


new_id = IdMaker()
