"""The one place that knows what time it is. Everybody else is given `now`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from headbox.domain.errors import StorageError
from headbox.domain.task import Instant
from headbox.forks import forget_in_forks


class Clock(Protocol):
    """Gives instants (microseconds UTC)."""

    def now(self) -> Instant:
        """The present instant."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> Instant:
        return time.time_ns() // 1000


class SharedClock:
    """A clock that many hosts share: what `ask` said last (a database's time), plus the time that this machine has
    counted since, suspended or not. It never looks at the machine's own date, and only the first answer is waited for:
    later ones come by a thread, however long they take. One that took long says little: it is not believed where it
    agrees with a better one. `prepare` is called before the first is asked for, as to open a connection takes long."""

    AGE = 10_000_000_000  # ns after which it asks again
    STEP = 1_000_000  # microseconds: a difference that no drift explains
    DRIFT = 10_000  # by one part in so many, two clocks may go apart

    def __init__(self, ask: Callable[[], Instant], prepare: Callable[[], object] = lambda: None) -> None:
        self._ask = ask
        self._prepare = prepare
        self.after_fork()
        forget_in_forks(self)
        self._asked_at: int | None = None
        self._offset = 0
        self._error = 0  # microseconds by which the offset may have been wrong
        self._learned_at = 0  # then
        self.set_at: int | None = None  # when it was last found to have been set, by `boot_time`

    def after_fork(self) -> None:
        """A thread that the fork does not have may have held the lock, while it asked."""
        self._lock = threading.Lock()

    def now(self) -> Instant:
        """The present instant. Raises what `ask` raises, but only until it has answered once."""
        with self._lock:
            if self._asked_at is None:
                self._prepare()
            now = boot_time()
            if self._asked_at is None:
                self._set(self._ask(), now)
            elif now - self._asked_at > self.AGE:
                self._asked_at = now  # without an answer, that of last time will do for another while
                threading.Thread(target=self._synchronise, name="headbox-clock", daemon=True).start()
            return boot_time() // 1000 + self._offset

    def learn(self, instant: Instant, asked_at: int) -> None:
        """Takes what the database said for another purpose, asked at `asked_at` by `boot_time`: no need to ask soon."""
        with self._lock:
            self._set(instant, asked_at)

    def _set(self, instant: Instant, asked_at: int) -> None:
        now = boot_time()
        offset = instant - (asked_at + now) // 2000  # it was asked half-way there and back
        error = (now - asked_at) // 2000
        is_first, self._asked_at = self._asked_at is None, asked_at
        if not is_first:
            known = self._error + (asked_at - self._learned_at) // 1000 // self.DRIFT
            difference = abs(offset - self._offset)
            if difference > self.STEP + error + self._error:
                self.set_at = now
            if difference <= error + known and error > known:
                return
        self._offset, self._error, self._learned_at = offset, error, asked_at

    def _synchronise(self) -> None:
        before = boot_time()
        with suppress(StorageError):
            self.learn(self._ask(), before)


def boot_time() -> int:
    """Nanoseconds that this machine has counted since it started, suspended ones included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
