"""What a process has opened or locked is not its forks'. They forget it while they have one thread: of several that
came first at the same time, each would see what another had forgotten only half."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Opened(Protocol):
    """Something that belongs to one process: what it has opened, a lock that one of its threads may hold."""

    def after_fork(self) -> None:
        """Begins afresh, if this is another process; also called where Python has not heard of the fork."""
        ...


_opened: WeakSet[Opened] = WeakSet()


def forget_in_forks(opened: Opened) -> None:
    """Each fork begins without it."""
    _opened.add(opened)


def _forget() -> None:
    for opened in list(_opened):
        opened.after_fork()


os.register_at_fork(after_in_child=_forget)
