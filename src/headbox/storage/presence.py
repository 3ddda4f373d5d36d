"""The verbs about workers: coming, being alive, going, being lost; and what they publish and declare."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from json import dumps, loads
from typing import Any

import msgspec
from msgspec.structs import asdict

from headbox.domain.outcomes import Outcome
from headbox.domain.schedulers import format_instant
from headbox.domain.states import RUNNING
from headbox.domain.task import DAY, SYSTEM_QUEUE, Instant, Span, Task
from headbox.storage.database import Database, Transaction
from headbox.storage.holds import unhold
from headbox.storage.lifecycle import enqueue, get, remove, settle
from headbox.storage.records import Callable, Survey, Worker

FORGETTING: Span = DAY  # after which a callable that no worker knows is forgotten
_LISTS = ("queues", "names", "declares")


def register(
    database: Database,
    tx: Transaction,
    worker: Worker,
    callables: Sequence[Callable],
    schedules: Sequence[Task],
    now: Instant,
) -> None:
    """Adds the worker, publishes what it can run, and upserts the schedules that its application declares."""
    row: dict[str, Any] = asdict(worker)
    tx.change("add_worker", **row | {name: dumps(row[name]) for name in _LISTS})
    for published in callables:
        tx.change("publish", name=published.name, publication=msgspec.json.encode(published).decode(), now=now)
    _forget_old_callables(tx, now)
    for name in worker.names:
        unhold(tx, f"callable:{name}")
    for task in schedules:
        schedule(database, tx, task)


def _forget_old_callables(tx: Transaction, now: Instant) -> None:
    """What no worker knows any more and none has published for a while was renamed or is gone."""
    known = {name for (names,) in tx.all("worker_names") for name in loads(names)}
    for name, publish_time in tx.all("published"):
        if name not in known and publish_time < now - FORGETTING:
            tx.change("unpublish", name=name)


def workers(tx: Transaction) -> list[Worker]:
    """All workers that have a row."""
    fields = Worker.__struct_fields__
    rows = [dict(zip(fields, row, strict=True)) for row in tx.all("workers")]
    return [Worker(**row | {name: tuple(loads(row[name])) for name in _LISTS}) for row in rows]


def survey(tx: Transaction, worker: str, since: str) -> Survey:
    """What there is to do for the whole system, by the eyes of one worker."""
    row = tx.one("survey", worker=worker, housekeeping=SYSTEM_QUEUE, since=since)
    assert row is not None
    return Survey(*row)


def callables(tx: Transaction) -> list[Callable]:
    """What workers have published, by name."""
    return [msgspec.json.decode(text, type=Callable) for (text,) in tx.all("callables")]


def rescue(tx: Transaction, dead: Iterable[Worker], now: Instant, *, by_itself: bool) -> list[Task]:
    """Resets the tasks of dead workers and deletes their rows; the same for running tasks of workers without a row.
    Returns the lost runs as they were archived."""
    lost: list[Task] = []
    for worker in dead:
        reason = f"worker {worker.id} on host {worker.host} lost at {format_instant(now)}"
        lost += [_lose(tx, Task(*row), reason, now, by_itself) for row in tx.all("running_of", worker=worker.id)]
        tx.change("delete_worker", worker=worker.id)
    for row in tx.all("running_without_worker"):
        task = Task(*row)
        lost.append(_lose(tx, task, f"worker {task.worker} lost at {format_instant(now)}", now, by_itself))
    return lost


def _lose(tx: Transaction, task: Task, reason: str, now: Instant, by_itself: bool) -> Task:
    counts = by_itself and task.start_time is not None
    outcome = Outcome(task.id, task.run, "lose", now, task.start_time, exception=reason, counts=counts)
    settle(tx, task, outcome, now)
    archived = tx.one("archived_run", id=task.id, run=task.run)
    assert archived is not None
    return Task(*archived)


def schedule(database: Database, tx: Transaction, task: Task) -> Task:
    """Upserts the task of a schedule's name. The same definition changes nothing; another replaces it in place."""
    row = tx.one("named_schedule", schedule_name=task.schedule_name)
    if row is None:
        return enqueue(database, tx, [task])[0]
    present = Task(*row)
    same = present.definition == task.definition and present.declared_by == task.declared_by
    if same and not present.removed:
        return present
    values: dict[str, Any] = asdict(task)
    if (present.scheduler, present.schedule) == (task.scheduler, task.schedule):
        values |= {field: getattr(present, field) for field in ("scheduled_time", "due_time", "runs_left")}
    elif present.state == RUNNING:  # the run in progress belongs to the old schedule and uses up none of the new one's
        values |= {"scheduled_time": present.scheduled_time, "due_time": present.due_time}
        values["runs_left"] = None if task.runs_left is None else task.runs_left + 1
    tx.change("redeclare", **values | {"id": present.id})
    if task.queue != present.queue:
        tx.tally.move(present.queue, present.state, None)
        tx.tally.move(task.queue, None, present.state)
    tx.tally.touch(present.id)
    return get(tx, present.id)


def end_undeclared(tx: Transaction, alive: Sequence[Worker], now: Instant) -> list[Task]:
    """Removes declared schedules whose application has live workers of which none declares them any more."""
    return [remove(tx, id, now) for id in undeclared(tx, alive)]


def undeclared(tx: Transaction, alive: Sequence[Worker]) -> list[str]:
    """The ids of those schedules."""
    applications = {worker.app for worker in alive if worker.app is not None}
    declared = {name for worker in alive for name in worker.declares}
    tasks = [Task(*row) for row in tx.all("declared_schedules")]
    return [
        task.id
        for task in tasks
        if task.declared_by in applications and task.schedule_name not in declared and not task.removed
    ]
