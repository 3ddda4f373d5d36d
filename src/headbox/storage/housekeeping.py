"""The two tasks that a fresh database has (the document's sample, A.20.4): they cull the audit log and the history. And
how the history is culled."""

from __future__ import annotations

from headbox.domain.schedulers import format_instant, parse_schedule
from headbox.domain.task import DAY, HOUR, SYSTEM_QUEUE, Instant, Task
from headbox.identifiers import new_id
from headbox.storage.database import Database, Transaction
from headbox.storage.lifecycle import enqueue
from headbox.storage.statistics import counted

TIMES = {"cull_audited_events": 1 * HOUR, "cull_history": 6 * HOUR}  # after midnight UTC, daily


def accept_housekeeping(database: Database, tx: Transaction, now: Instant) -> None:
    """Enqueues them, in a new database."""
    counted(lambda tx: enqueue(database, tx, housekeeping(now)), now)(tx)


def housekeeping(now: Instant) -> list[Task]:
    """The tasks, each due next at its time of day."""
    return [_daily(name, offset, now) for name, offset in TIMES.items()]


def _daily(name: str, offset: int, now: Instant) -> Task:
    midnight = now - now % DAY
    first = midnight + offset if midnight + offset > now else midnight + DAY + offset
    scheduler = parse_schedule(f"{format_instant(first)}/P1D")
    return Task(
        id=new_id(),
        run=1,
        state="waiting",
        queue=SYSTEM_QUEUE,
        priority=0,
        due_time=first,
        callable=f"headbox:{name}",
        method_name=name,
        scheduler=scheduler.kind,
        schedule=scheduler.expression(),
        scheduled_time=first,
        weight=0,
        enqueue_time=now,
        schedule_name=f"headbox:{name}",
    )


def cull_history(tx: Transaction, before: Instant, runs_per_schedule: int, limit: int) -> int:
    """Deletes archived runs that ended before that time, and of each schedule all but its newest; the number of them,
    at most `limit`."""
    culled = int(tx.change("cull_history", before=before, limit=limit))
    for id, run in tx.all("long_schedules", runs=runs_per_schedule):
        if culled < limit:
            culled += tx.change("cull_runs", id=id, run=run - runs_per_schedule, limit=limit - culled)
    return culled
