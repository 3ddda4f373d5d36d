"""The verbs about queues: nothing of a suspended one is claimed, whatever waits in it or comes to it. What runs already
goes on."""

from __future__ import annotations

from msgspec.structs import replace

from headbox.domain.errors import StateConflict
from headbox.domain.statistics import QueueCounts
from headbox.domain.task import SYSTEM_QUEUE, Instant
from headbox.storage import presence, statistics
from headbox.storage.database import Transaction


def suspend(tx: Transaction, name: str, now: Instant) -> None:
    """Nothing of the queue is claimed until it is resumed. StateConflict for the housekeeping's."""
    if name == SYSTEM_QUEUE:
        raise StateConflict("the housekeeping's queue is not suspended, or the history would grow for ever")
    tx.change("suspend_queue", queue=name, now=now)


def resume(tx: Transaction, name: str) -> None:
    """What waits in the queue may be claimed again."""
    tx.change("resume_queue", queue=name)


def queues(tx: Transaction, now: Instant, since: str) -> list[QueueCounts]:
    """Those that have incomplete tasks, are suspended, or are named by a worker; by name."""
    workers = presence.workers(tx)
    found = {queue.name: queue for queue in statistics.read(tx, now, since).statistics.queues}
    named = {name for worker in workers for name in worker.queues}
    return [
        replace(
            found.get(name) or QueueCounts(name=name),
            workers=len(workers) if name == SYSTEM_QUEUE else sum(worker.serves(name) for worker in workers),
        )
        for name in sorted(found.keys() | named)
    ]
