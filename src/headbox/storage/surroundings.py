"""What tasks may have to wait for: suspended queues, who serves which queues and what is under way there; for one task
also how many are claimed before it. Never costs more than the workers and what they run."""

from __future__ import annotations

from headbox.domain.states import READY
from headbox.domain.task import Instant, Task
from headbox.domain.waiting import MOST_BEFORE, Server, Surroundings, UnderWay
from headbox.storage import presence
from headbox.storage.database import Level, Transaction


def read(tx: Transaction, now: Instant, task: Task | None) -> Surroundings:
    """The surroundings as they are now; `before` only for a task that is ready and due."""
    runs: dict[str, list[UnderWay]] = {}
    for worker, id, method_name, weight in tx.all("under_way"):
        runs.setdefault(worker, []).append(UnderWay(id, method_name, weight))
    servers = [
        Server(
            id=worker.id,
            queues=worker.queues,
            concurrency=worker.concurrency,
            names=frozenset(worker.names),
            under_way=tuple(runs.get(worker.id, ())),
        )
        for worker in presence.workers(tx)
        if worker.app is not None
    ]
    is_ready = task is not None and task.state in READY and not task.held and task.due_time <= now
    return Surroundings(
        suspended_queues=frozenset(queue for queue, _ in tx.all("suspended_queues")),
        servers=tuple(servers),
        before=_count_before(tx, task, now) if task is not None and is_ready else None,
    )


def _count_before(tx: Transaction, task: Task, now: Instant) -> int:
    """The ready tasks that come first: all due ones of higher priorities, and the longer due ones of its own."""
    own = {"queue": task.queue, "is_async": task.is_async}
    levels = [Level(*row) for row in tx.all("levels", queues=None)]
    higher = [
        level.priority
        for level in levels
        if (level.queue, level.is_async) == (task.queue, task.is_async)
        and level.priority > task.priority
        and level.first_time <= now
    ]
    places = [(priority, now + 1, "") for priority in higher] + [(task.priority, task.due_time, task.id)]
    count = 0
    for priority, due_time, id in places:
        left = MOST_BEFORE + 1 - count
        (found,) = tx.one("ready_before", priority=priority, due_time=due_time, id=id, limit=left, **own) or (0,)
        count += int(found)
    return count
