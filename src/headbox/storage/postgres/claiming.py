"""A claim of a worker that has nothing to report and nothing in progress: one statement in place of a look and of a
transaction's eight. That is most of the time from an enqueue to the start of its task."""

from __future__ import annotations

from collections.abc import Iterable
from json import dumps

from headbox.domain.task import SYSTEM_QUEUE, Instant
from headbox.storage.database import Level
from headbox.storage.exchange import MOST_BYTES, superseded
from headbox.storage.postgres.frontier import Frontier
from headbox.storage.postgres.transaction import PostgresTransaction
from headbox.storage.queries import payload_bytes
from headbox.storage.records import ClaimRequest, Claims


def is_simple(request: ClaimRequest, frontier: Frontier) -> bool:
    """Whether one statement may do: no task may have to be passed over, and nothing keeps it from looking from the
    start."""
    queues = dumps(request.queues) if request.queues else None
    return request.max_weight is None and not request.unknown and frontier.known(queues) is None


def claim(tx: PostgresTransaction, worker: str, request: ClaimRequest, now: Instant) -> Claims | Instant | None:
    """Claims what is due of one level; where nothing is due, says when something will be (None: nothing waits). Where
    tasks of several levels are, it leaves them all, and the claim is empty. Superseded if the worker's row is gone."""
    until = now + request.ahead
    rows, is_present, next_time, tasks = tx.claim_alone(
        queues=dumps(request.queues) if request.queues else None,
        limit=request.limit,
        async_limit=request.async_limit,
        most_bytes=MOST_BYTES,
        worker=worker,
        now=now,
        until=until,
        housekeeping=SYSTEM_QUEUE,
    )
    levels = [Level(*row) for row in rows if request.queues or row[0] != SYSTEM_QUEUE]
    due = [level for level in levels if level.first_time <= until]
    later = _first([level.first_time for level in levels if level.first_time > until])
    if not due:
        return later
    if len(due) > 1:
        return Claims([], more=True)
    if not is_present:
        raise superseded(worker)
    tasks.sort(key=lambda task: (task.due_time, task.id))
    limit = request.async_limit if due[0].is_async else request.limit
    is_full = bool(limit) and (len(tasks) >= limit or payload_bytes(tasks) >= MOST_BYTES)
    return Claims(tasks, _first([later, next_time]), more=is_full)


def _first(times: Iterable[Instant | None]) -> Instant | None:
    return min((time for time in times if time is not None), default=None)
