"""The workers as the API shows them: each with what it holds."""

from __future__ import annotations

from headbox.domain.iso8601 import time_of
from headbox.storage.records import Load, Worker
from headbox.storage.store import Store
from headbox.web.representations import ShownWorker


def shown_workers(store: Store) -> list[ShownWorker]:
    """All of them, oldest first."""
    loads = store.loads()
    return [show_worker(worker, loads.get(worker.id, Load())) for worker in store.workers()]


def show_worker(worker: Worker, load: Load) -> ShownWorker:
    """The worker's row, without what only the rescue needs."""
    return ShownWorker(
        id=worker.id,
        host=worker.host,
        pid=worker.pid,
        app=worker.app,
        queues=list(worker.queues),
        concurrency=worker.concurrency,
        start_time=time_of(worker.start_time),
        heartbeat_time=time_of(worker.heartbeat_time),
        running=load.running,
        weight=load.weight,
        names=sorted(worker.names),
    )
