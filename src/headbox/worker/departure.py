"""How a worker goes: at the first signal it lets its runs end, then it interrupts them; at the second it kills."""

from __future__ import annotations

import logging
from collections.abc import Callable

from headbox.config import Settings
from headbox.worker.dispatcher import Dispatcher
from headbox.worker.protocol import Reason
from headbox.worker.signals import Signals

logger = logging.getLogger(__name__)


class Departure:
    """Told by signals; `kill` ends every child at once. Times are nanoseconds of CLOCK_MONOTONIC."""

    def __init__(self, signals: Signals, dispatcher: Dispatcher, settings: Settings, kill: Callable[[], None]) -> None:
        self.is_begun = False
        self.next_time: int | None = None  # when the runs that are left are interrupted
        self._give_up_at = 0
        self._signals = signals
        self._dispatcher = dispatcher
        self._settings = settings
        self._kill = kill

    def heed(self, now: int) -> None:
        """Does what the signals ask for, and what is due."""
        while self._signals.noted:
            self._signals.noted.pop()
            if self.is_begun:
                self._interrupt_all(now)
                self._kill()
            else:
                self._begin(now)
        if self.next_time is not None and now >= self.next_time:
            self.next_time = None
            self._interrupt_all(now)

    def has_waited_enough(self, now: int) -> bool:
        """Whether a database that is away is not waited for any longer."""
        return now > self._give_up_at

    def _begin(self, now: int) -> None:
        self.is_begun = True
        runs = sum(len(child.in_progress()) for child in self._dispatcher.children.values())
        if runs:
            logger.warning("finishing %d run%s; again to stop at once", runs, "" if runs == 1 else "s")
        self._dispatcher.take_back_all(now)
        self.next_time = now + self._settings.grace * 1000
        self._give_up_at = self.next_time + self._settings.cancel_grace * 1000

    def _interrupt_all(self, now: int) -> None:
        for child in self._dispatcher.children.values():
            for seq in list(child.runs):
                self._dispatcher.interrupt(child, seq, Reason.SHUTDOWN, now)
