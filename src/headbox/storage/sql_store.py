"""The contract on any SQL database: each verb runs its function of lifecycle, exchange, presence, reading or accounts
in one transaction. Written once; SQLite and PostgreSQL differ below, in their `Database`."""

from __future__ import annotations

from collections.abc import Callable as Call
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import starmap
from typing import Any, Final, TypeVar

from headbox.domain.errors import NonUniqueTask
from headbox.domain.schedulers import Scheduler
from headbox.domain.states import Event as TaskEvent
from headbox.domain.statistics import Period, QueueCounts, Statistics
from headbox.domain.task import FIELDS, SECOND, Instant, Span, Task
from headbox.domain.waiting import Surroundings
from headbox.identifiers import earliest_id
from headbox.storage import (
    accounts,
    exchange,
    housekeeping,
    jobs,
    lifecycle,
    lookups,
    presence,
    queues,
    reading,
    statistics,
    surroundings,
)
from headbox.storage.database import Database, Row, Transaction
from headbox.storage.feed import Feed
from headbox.storage.lookups import Lookup
from headbox.storage.records import (
    Callable,
    ClaimRequest,
    Claims,
    End,
    EndsByDay,
    Event,
    Exchange,
    Filter,
    Job,
    JobCancellation,
    JobCounts,
    Load,
    Page,
    Report,
    Session,
    Survey,
    Token,
    User,
    Worker,
)
from headbox.storage.visit import visit

T = TypeVar("T")

FOUND: Final = 10_000  # ids that are read at a time of the tasks that a filter finds
TOGETHER: Final = 200  # tasks that one transaction changes: nobody waits for it for long
MOST: Final = 2**62


class SQLStore:
    """Every verb but those about the database itself (see store.py for what each gives and raises)."""

    def __init__(self, database: Database, finished_lifetime: Span) -> None:
        self._database = database
        self._finished_lifetime = finished_lifetime
        self.url = database.url
        self._first_unfolded = "0"

    def _change(self, verb: Call[[Transaction], T], now: Instant) -> T:
        """Runs a verb that moves tasks from state to state: with it goes what that changes in the counts."""
        return self._database.write(statistics.counted(verb, now))

    # enqueue and change

    def enqueue(self, tasks: Sequence[Task], now: Instant, connection: Any = None) -> list[Task]:
        if not tasks:
            return []
        work = statistics.counted(lambda tx: lifecycle.enqueue(self._database, tx, tasks), now)
        if connection is not None:
            with self._database.join(connection) as tx:
                return work(tx)
        return self._database.write(work, is_repeatable=True)

    def cancel(self, id: str, now: Instant) -> Task:
        return self._change(lambda tx: lifecycle.cancel(tx, id, now), now)

    def hasten(self, id: str, now: Instant) -> Task:
        return self._change(lambda tx: lifecycle.hasten(tx, id, now), now)

    def suspend(self, id: str, now: Instant) -> Task:
        return self._change(lambda tx: lifecycle.suspend(tx, id, now), now)

    def resume(self, id: str, now: Instant) -> Task:
        return self._change(lambda tx: lifecycle.resume(tx, id, now), now)

    def reset(self, id: str, now: Instant) -> Task:
        return self._change(lambda tx: lifecycle.reset(self._database, tx, id, now), now)

    def remove(self, id: str, now: Instant) -> Task:
        return self._change(lambda tx: lifecycle.remove(tx, id, now), now)

    def reschedule(self, id: str, scheduler: Scheduler, now: Instant) -> Task:
        return self._change(lambda tx: lifecycle.reschedule(self._database, tx, id, scheduler, now), now)

    def cancel_job(self, job_id: str, now: Instant, visible_to: str | None = None) -> JobCancellation:
        return self._change(lambda tx: jobs.cancel(tx, job_id, now, self._finished_lifetime, visible_to), now)

    def change_found(self, event: TaskEvent, filter: Filter, now: Instant, limit: int | None = None) -> Iterator[Task]:
        place: reading.Cursor | None = reading.Cursor("")
        left = MOST if limit is None else limit
        while place is not None and left > 0:
            found = partial(self._select(filter, now).ids, event=event, after=place, limit=min(FOUND, left))
            ids, place = self._database.read(found)
            for start in range(0, len(ids), TOGETHER):
                changed = self.change_each(event, ids[start : start + TOGETHER], now)
                left -= len(changed)
                yield from changed

    def change_each(self, event: TaskEvent, ids: Sequence[str], now: Instant) -> list[Task]:
        changes: dict[TaskEvent, lifecycle.Change] = {
            "cancel": lifecycle.cancel,
            "suspend": lifecycle.suspend,
            "resume": lifecycle.resume,
            "reset": lambda tx, id, now: lifecycle.reset(self._database, tx, id, now),
        }
        change = changes[event]
        try:
            return self._change(lambda tx: lifecycle.change_each(tx, change, ids, now), now)
        except NonUniqueTask:  # it spoils the transaction of them all, so that each needs its own
            return [task for id in ids for task in self._change_alone(change, id, now)]

    def _change_alone(self, change: lifecycle.Change, id: str, now: Instant) -> list[Task]:
        try:
            return self._change(lambda tx: lifecycle.change_each(tx, change, [id], now), now)
        except NonUniqueTask:
            return []

    def schedule(self, task: Task, now: Instant) -> Task:
        return self._change(lambda tx: presence.schedule(self._database, tx, task), now)

    def delete_snapshot(self, id: str) -> Task:
        return self._database.write(lambda tx: lifecycle.delete_snapshot(tx, id))

    # read

    def _select(self, filter: Filter, now: Instant) -> reading.Selection:
        return reading.Selection(filter, now, self._finished_lifetime, self._database.searched)

    def look_up(self, lookup: Lookup[T]) -> T:
        return self._database.read(lookup)

    def get(self, id: str) -> Task:
        return self.look_up(lookups.task(id))

    def run(self, id: str, run: int) -> Task | None:
        return self._database.read(lambda tx: reading.run(tx, id, run))

    def find(
        self, filter: Filter, now: Instant, limit: int, cursor: str | None = None, counting: int | None = None
    ) -> Page:
        is_long = counting is not None or filter.newest is not None
        page = partial(reading.find, limit=limit, cursor=cursor, counting=counting)
        return self._database.read(lambda tx: page(tx, self._select(filter, now)), is_long=is_long)

    def stream(self, filter: Filter, now: Instant) -> Iterator[Task]:
        yield from starmap(Task, self.rows(filter, now, FIELDS))

    def rows(self, filter: Filter, now: Instant, columns: Sequence[str]) -> Iterator[Row]:
        with self._database.reading() as tx:
            yield from reading.rows(tx, self._select(filter, now), columns)

    def count(self, filter: Filter, now: Instant, limit: int | None = None) -> int:
        is_long = filter.newest is not None
        return self._database.read(lambda tx: self._select(filter, now).count(tx, limit), is_long=is_long)

    def history(self, id: str, limit: int | None = None) -> list[Task]:
        return self._database.read(lambda tx: reading.history(tx, id, limit))

    def running(self, limit: int) -> list[Task]:
        return self._database.read(lambda tx: [Task(*row) for row in tx.all("running", limit=limit)])

    def loads(self) -> dict[str, Load]:
        rows = self._database.read(lambda tx: tx.all("loads"))
        return {worker: Load(int(running), int(weight)) for worker, running, weight in rows}

    def surroundings(self, now: Instant, task: Task | None = None) -> Surroundings:
        return self._database.read(lambda tx: surroundings.read(tx, now, task))

    def schedules(self, limit: int, after: str = "") -> list[Task]:
        return self._database.read(lambda tx: [Task(*row) for row in tx.all("schedules", limit=limit, after=after)])

    def recent_ends(self, tasks: Sequence[Task], runs: int) -> dict[str, list[End]]:
        return self._database.read(lambda tx: reading.recent_ends(tx, tasks, runs))

    def upcoming(self, now: Instant, limit: int) -> list[Task]:
        return self._database.read(lambda tx: reading.upcoming(tx, now, limit))

    def snapshots(self) -> list[Task]:
        return self._database.read(reading.snapshots)

    def jobs(self, now: Instant, visible_to: str | None = None) -> list[Job]:
        return self._database.read(lambda tx: reading.jobs(tx, now, self._finished_lifetime, None, visible_to))

    def job(self, job_id: str, now: Instant, visible_to: str | None = None) -> Job:
        return self._database.read(lambda tx: reading.job(tx, now, self._finished_lifetime, job_id, visible_to))

    def jobs_in_progress(self, now: Instant, limit: int, after: str = "") -> list[JobCounts]:
        current = now - self._finished_lifetime
        return self._database.read(lambda tx: jobs.in_progress(tx, current, limit, after), is_long=True)

    def jobs_ended(self, limit: int) -> list[JobCounts]:
        return self._database.read(lambda tx: jobs.ended(tx, self._finished_lifetime, limit), is_long=True)

    # workers

    def register(self, worker: Worker, callables: Sequence[Callable], schedules: Sequence[Task], now: Instant) -> None:
        self._database.enlist(worker.id)
        try:
            self._change(lambda tx: presence.register(self._database, tx, worker, callables, schedules, now), now)
        except BaseException:
            self._database.discharge(worker.id)
            raise

    def heartbeat(self, worker: str, now: Instant) -> Instant | None:
        beats = self._database.write_alone(lambda tx: tx.all("heartbeat", worker=worker, now=now))
        return int(beats[0][0]) if beats else None

    def deregister(self, worker: str, now: Instant) -> None:
        self._database.discharge(worker)
        self._database.write(lambda tx: tx.change("delete_worker", worker=worker))

    def exchange(self, worker: str, report: Report, claim: ClaimRequest | None, now: Instant) -> Exchange:
        return visit(self._database, worker, report, claim, now)

    def claim(self, worker: str, request: ClaimRequest, now: Instant) -> Claims | Instant | None:
        first_time = self.ready(request, now)
        if first_time is None or first_time > now + request.ahead:
            return first_time
        return self.exchange(worker, Report(), request, now).claims

    def ready(self, claim: ClaimRequest, now: Instant) -> Instant | None:
        return self._database.read(lambda tx: exchange.ready(tx, claim))

    def canceling(self, worker: str) -> list[tuple[str, int]]:
        return self._database.read(lambda tx: [(id, run) for id, run in tx.all("canceling", worker=worker)])

    def held_by(self, worker: str) -> list[tuple[str, int]]:
        return self._database.read(lambda tx: [(id, run) for id, run in tx.all("held_by", worker=worker)])

    def workers(self) -> list[Worker]:
        return self._database.read(presence.workers)

    def is_alive(self, worker: Worker, now: Instant) -> bool:
        return self._database.is_alive(worker, now)

    def survey(self, worker: str) -> Survey:
        return self._database.read(lambda tx: presence.survey(tx, worker, self._first_unfolded))

    def rescue(
        self,
        now: Instant,
        workers: Sequence[str] | None = None,
        *,
        by_itself: bool = True,
        present: Sequence[Worker] | None = None,
    ) -> list[Task]:
        dead = [
            worker
            for worker in (self.workers() if present is None else present)
            if (worker.id in workers if workers is not None else not self._database.is_alive(worker, now))
        ]
        if not dead and not self._database.read(lambda tx: tx.all("running_without_worker")):
            return []  # nearly always: then nothing is to be locked
        lost = self._change(lambda tx: presence.rescue(tx, dead, now, by_itself=by_itself), now)
        for worker in dead:
            self._database.discharge(worker.id)
        return lost

    def bring_forward(self, now: Instant) -> int:
        later = now + SECOND  # the clocks of hosts differ by less
        ahead = {"id": earliest_id(later), "later": later}
        if self._database.read(lambda tx: tx.one("is_ahead", **ahead)) is None:
            return 0
        return self._database.write(lambda tx: tx.change("bring_forward", now=now, **ahead))

    def end_undeclared(self, now: Instant, present: Sequence[Worker] | None = None) -> list[Task]:
        known = self.workers() if present is None else present
        alive = [worker for worker in known if self._database.is_alive(worker, now)]
        if not self._database.read(lambda tx: presence.undeclared(tx, alive)):
            return []
        return self._change(lambda tx: presence.end_undeclared(tx, alive, now), now)

    def callables(self) -> list[Callable]:
        return self._database.read(presence.callables)

    # culling

    def cull_history(self, before: Instant, runs_per_schedule: int, limit: int) -> int:
        return self._database.write(lambda tx: housekeeping.cull_history(tx, before, runs_per_schedule, limit))

    def cull_audited_events(self, before: Instant, limit: int) -> int:
        return self._database.write(lambda tx: tx.change("cull_audited_events", before=before, limit=limit))

    # changes

    def feed(self) -> Feed:
        return Feed(self._database.read)

    # queues

    def suspend_queue(self, name: str, now: Instant) -> None:
        self._database.write(lambda tx: queues.suspend(tx, name, now))

    def resume_queue(self, name: str) -> None:
        self._database.write(lambda tx: queues.resume(tx, name))

    def queues(self, now: Instant) -> list[QueueCounts]:
        return self._database.read(lambda tx: queues.queues(tx, now, self._first_unfolded))

    # statistics

    def statistics(self, now: Instant) -> Statistics:
        since = self._first_unfolded
        reading = self._database.read(lambda tx: statistics.read(tx, now, since))
        self._first_unfolded = reading.first
        if reading.unfolded > statistics.MANY:  # no worker's upkeep does it
            while self.fold(now) == statistics.BATCH:
                pass
        return reading.statistics

    def days(self, now: Instant) -> list[Period]:
        return self._database.read(lambda tx: statistics.days(tx, now, self._first_unfolded))

    def ends_by_day(self, filter: Filter, now: Instant) -> EndsByDay:
        return self._database.read(lambda tx: self._select(filter, now).days(tx), is_long=True)

    def is_foldable(self, now: Instant) -> bool:
        return self._database.read(lambda tx: statistics.is_foldable(tx, now, self._first_unfolded))

    def fold(self, now: Instant) -> int:
        return self._database.write(lambda tx: statistics.fold(tx, now, self._first_unfolded))

    # who may call

    def create_user(self, user: User) -> bool:
        return self._database.write(lambda tx: accounts.create_user(tx, user))

    def user(self, name: str) -> User | None:
        return self.look_up(lookups.user(name))

    def users(self) -> list[User]:
        return self._database.read(accounts.users)

    def change_user(self, name: str, password_hash: str | None = None, roles: tuple[str, ...] | None = None) -> User:
        return self._database.write(lambda tx: accounts.change_user(tx, name, password_hash, roles))

    def delete_user(self, name: str) -> None:
        self._database.write(lambda tx: accounts.delete_user(tx, name))

    def create_token(self, token: Token) -> None:
        self._database.write(lambda tx: accounts.create_token(tx, token))

    def tokens(self, user: str | None = None) -> list[Token]:
        return self._database.read(lambda tx: accounts.tokens(tx, user))

    def delete_token(self, id: str) -> Token:
        return self._database.write(lambda tx: accounts.delete_token(tx, id))

    def create_session(self, session: Session) -> None:
        self._database.write(lambda tx: accounts.create_session(tx, session))

    def session(self, secret_hash: bytes, now: Instant) -> Session | None:
        return self._database.read(lambda tx: accounts.session(tx, secret_hash, now))

    def extend_session(self, secret_hash: bytes, expire_time: Instant) -> None:
        self._database.write(lambda tx: tx.change("extend_session", secret_hash=secret_hash, expire_time=expire_time))

    def delete_session(self, secret_hash: bytes) -> None:
        self._database.write(lambda tx: tx.change("delete_session", secret_hash=secret_hash))

    def delete_sessions(self, user: str) -> None:
        self._database.write(lambda tx: tx.change("delete_sessions_of", name=user))

    def record(self, event: Event) -> None:
        self._database.write(lambda tx: accounts.record(tx, event))

    def events(self, limit: int, before: int | None = None) -> list[Event]:
        return self._database.read(lambda tx: accounts.events(tx, limit, before))

    def identity(self) -> str:
        return self.setting(accounts.IDENTITY) or self._database.write(accounts.identify, is_repeatable=True)

    def setting(self, name: str) -> str | None:
        return self._database.read(lambda tx: accounts.setting(tx, name))

    def change_setting(self, name: str, value: str | None) -> None:
        self._database.write(lambda tx: accounts.change_setting(tx, name, value))
