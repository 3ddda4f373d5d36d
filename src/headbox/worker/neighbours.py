"""The other workers of this machine: the kernel tells their death, so that nothing waits for a lease or a poll."""

from __future__ import annotations

import os
import selectors
import socket
from collections.abc import Callable

from headbox.storage.records import Worker
from headbox.worker.process import boot_id, process_start


def is_here(worker: Worker) -> bool:
    """Whether the worker's process is, or was, one of this machine."""
    return (worker.host, worker.boot_id) == (socket.gethostname(), boot_id())


def is_of_this_boot(worker: Worker) -> bool:
    """Whether the worker ran on this machine since it was started, in whatever container."""
    return worker.boot_id.partition("/")[0] == boot_id().partition("/")[0]


def is_dead_here(worker: Worker) -> bool:
    """Whether the worker's process was one of this machine and has ended."""
    return is_here(worker) and process_start(worker.pid) != worker.process_start


class Neighbours:
    """Descriptors of their processes, in the loop's selector; `died` is called when one has ended."""

    def __init__(self, selector: selectors.BaseSelector, died: Callable[[], None]) -> None:
        self._selector = selector
        self._died = died
        self._descriptors: dict[str, int] = {}

    def watch(self, workers: list[Worker], but: str) -> None:
        """Watches those of `workers` that live here, but one, and no others."""
        present = {
            worker.id: worker
            for worker in workers
            if is_here(worker) and worker.id != but and worker.pid != os.getpid()
        }
        for id in self._descriptors.keys() - present.keys():
            self._forget(id)
        for id in present.keys() - self._descriptors.keys():
            if process_start(present[id].pid) != present[id].process_start or not self._add(id, present[id].pid):
                self._died()  # just now: the next round finds it dead

    def _add(self, id: str, pid: int) -> bool:
        try:
            self._descriptors[id] = os.pidfd_open(pid)
        except ProcessLookupError:
            return False
        self._selector.register(self._descriptors[id], selectors.EVENT_READ, lambda: self._notice(id))
        return True

    def _notice(self, id: str) -> None:
        self._forget(id)
        self._died()

    def _forget(self, id: str) -> None:
        descriptor = self._descriptors.pop(id)
        self._selector.unregister(descriptor)
        os.close(descriptor)

    def close(self) -> None:
        """Stops watching."""
        for id in list(self._descriptors):
            self._forget(id)
