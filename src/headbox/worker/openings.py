"""What an import opened that a fork would break: threads, which only one of the two processes has, and sockets, which
both would talk through at once."""

from __future__ import annotations

import os
import socket
import threading
from typing import NamedTuple


class Openings(NamedTuple):
    """The threads and sockets of this process at one moment; sockets by what the kernel calls them."""

    threads: frozenset[threading.Thread]
    sockets: dict[str, int]  # to a descriptor

    def since(self, before: Openings) -> list[str]:
        """One sentence for each that was not there before."""
        threads = sorted(thread.name for thread in self.threads - before.threads)
        sockets = [self.sockets[name] for name in self.sockets.keys() - before.sockets.keys()]
        return [f"importing the application started the thread {name!r}" for name in threads] + [
            f"importing the application opened {_describe(descriptor)}" for descriptor in sorted(sockets)
        ]


def openings() -> Openings:
    """What is open now."""
    return Openings(frozenset(threading.enumerate()), dict(_sockets()))


def _sockets() -> list[tuple[str, int]]:
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:  # the descriptor of the listing itself
            continue
        if target.startswith("socket:"):
            found.append((target, int(name)))
    return found


def _describe(descriptor: int) -> str:
    with socket.socket(fileno=os.dup(descriptor)) as copy:
        family = getattr(copy.family, "name", copy.family)  # a number where Python has no name for it
        for direction, ask in (("to", copy.getpeername), ("at", copy.getsockname)):
            try:
                address = ask()
            except OSError:  # not connected, or not bound
                continue
            if address:
                return f"a socket ({family}) {direction} {address}"
    return f"a socket ({family})"
