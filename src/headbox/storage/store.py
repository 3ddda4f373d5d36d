"""The storage contract: verbs named as in the domain, synchronous, the same on every database. Every write is one
transaction; an instant `now` is always given, never asked. `open_store` is the one place that chooses a database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from headbox.clock import Clock
from headbox.config import without_password
from headbox.domain.errors import ConfigError
from headbox.domain.schedulers import Scheduler
from headbox.domain.states import Event as TaskEvent
from headbox.domain.statistics import Period, QueueCounts, Statistics
from headbox.domain.task import HOUR, Instant, Span, Task
from headbox.domain.waiting import Surroundings
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
from headbox.storage.secret_keys import sqlite_path

T = TypeVar("T")


class Watch(Protocol):
    """Tells that somebody else has changed the database."""

    def fileno(self) -> int:
        """A descriptor that becomes readable when there may be a change (for selectors)."""
        ...

    def changed(self) -> bool:
        """Whether the database has changed since the last call that said so; cheap enough to ask often."""
        ...

    def wait(self, seconds: float) -> bool:
        """Waits for a change, at most so long; True if there was one."""
        ...

    def pause(self) -> float:
        """Seconds after which to ask `changed` again even if there is nothing to read: a commit may be announced
        before it is visible, and there is a slow poll below all that."""
        ...

    def close(self) -> None: ...


class Store(Protocol):
    """~45 verbs. `UnknownTask` where an id is unknown, `StateConflict` where the state does not allow what was asked,
    `NonUniqueTask` where a unique task is in the way, `StorageUnavailable` when the database is away for now."""

    url: str

    @property
    def beside(self) -> Path | None:
        """The file beside which processes of this machine keep what belongs to the database; None: there is none."""

    # the database itself
    def initialise(self, now: Instant) -> None:
        """Creates the schema in an empty database, upgrades an old one where that is allowed at start, and makes sure
        of the housekeeping tasks. Idempotent."""

    def upgrade(self, now: Instant, *, finish: bool = False) -> None:
        """Applies the pending migrations, for `db upgrade`; to `finish`, also those that code of the version before
        cannot bear."""
        ...

    def status(self, patience: float | None = None) -> dict[str, Any]:
        """Schema version, the migrations that are pending and of these the final ones, and the size, for `db status`
        and readiness. `patience`: seconds to wait for a database that is away, if not those of all calls."""

    def check(self) -> list[str]:
        """Problems that the database's own check finds; [] when sound."""

    def backup(self, path: str) -> None:
        """A consistent copy, made while others work."""

    def watch(self, worker: str | None = None, queues: Sequence[str] = ()) -> Watch:
        """Tells of changes: to a worker at least of what makes tasks of its queues ready (() = all) and of cancels of
        its own runs; without arguments of every change."""
        ...

    def clock(self) -> Clock:
        """The clock by which this database's tasks run: the machine's, or the one that its hosts share."""
        ...

    @property
    def is_remote(self) -> bool:
        """Whether even the shortest reading may have to wait for a network."""
        ...

    @property
    def has_leases(self) -> bool:
        """Whether a worker is alive for as long as it renews its lease; else for as long as its process is."""
        ...

    def checkpoint(self) -> None: ...
    def close(self) -> None: ...

    # enqueue and change
    def enqueue(self, tasks: Sequence[Task], now: Instant, connection: Any = None) -> list[Task]:
        """Accepts tasks, all or none; idempotent by id. With `connection`, inside the caller's own transaction."""

    def cancel(self, id: str, now: Instant) -> Task:
        """A waiting, reset or suspended task is archived `canceled` (and a schedule waits for its next occurrence); a
        running one is asked to stop. The task as this transaction left it; StateConflict if it is complete."""

    def hasten(self, id: str, now: Instant) -> Task:
        """One more run of a schedule that waits, now; its next occurrence stays what it was."""

    def suspend(self, id: str, now: Instant) -> Task: ...
    def resume(self, id: str, now: Instant) -> Task: ...
    def reset(self, id: str, now: Instant) -> Task: ...
    def remove(self, id: str, now: Instant) -> Task: ...
    def reschedule(self, id: str, scheduler: Scheduler, now: Instant) -> Task: ...
    def cancel_job(self, job_id: str, now: Instant, visible_to: str | None = None) -> JobCancellation:
        """UnknownName if the job has no current task."""

    def change_found(self, event: TaskEvent, filter: Filter, now: Instant, limit: int | None = None) -> Iterator[Task]:
        """Cancels, suspends, resumes or resets all that the filter finds and that allow it, but at most `limit`, in
        batches: each is a transaction of its own, so that nobody waits for long. Gives what was changed, as it was
        left. To reset means tasks that are complete: their last run is what the filter has to find."""
        ...

    def change_each(self, event: TaskEvent, ids: Sequence[str], now: Instant) -> list[Task]:
        """Cancels, suspends, resumes or resets those of the tasks that allow it; the others are passed over. Returns
        what was changed, as it was left."""
        ...

    def schedule(self, task: Task, now: Instant) -> Task:
        """Upserts the task of `task.schedule_name`: the same definition keeps the task as it is, another replaces it in
        place (same id), none enqueues it."""

    def delete_snapshot(self, id: str) -> Task:
        """The task as it was before, its snapshot_id included; UnknownTask without a snapshot."""

    # read
    def look_up(self, lookup: Lookup[T]) -> T: ...
    async def look_up_on_loop(self, lookup: Lookup[T]) -> T:
        """The same on an event loop, which does not stand still for it; StorageUnavailable where it would have to, so
        that it is one for a thread."""

    def get(self, id: str) -> Task:
        """The live task, or its last archived run."""

    def run(self, id: str, run: int) -> Task | None:
        """That archived run, None while it has not ended."""

    def find(
        self, filter: Filter, now: Instant, limit: int, cursor: str | None = None, counting: int | None = None
    ) -> Page:
        """One page; with `counting` also how many there are in all, counted as far as that."""
        ...

    def stream(self, filter: Filter, now: Instant) -> Iterator[Task]:
        """All that the filter finds in one consistent reading, in order, row by row."""

    def rows(self, filter: Filter, now: Instant, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """The same, of each task only these of its fields, the id among them: most of what a long list costs is to
        read it."""

    def count(self, filter: Filter, now: Instant, limit: int | None = None) -> int:
        """How many the filter finds; with a limit it stops counting there (of current and of archived ones)."""
        ...

    def history(self, id: str, limit: int | None = None) -> list[Task]:
        """The task's archived runs, or so many of them, newest first; UnknownTask if the id is unknown."""

    def running(self, limit: int) -> list[Task]:
        """Running tasks, the longest running first; at a cost that does not grow with what waits."""

    def loads(self) -> dict[str, Load]:
        """What each worker holds that holds anything."""
        ...

    def surroundings(self, now: Instant, task: Task | None = None) -> Surroundings:
        """What tasks may have to wait for (`domain.waiting` makes reasons of it); with a task, also how many are
        claimed before it. Costs no more than the workers and what they run."""
        ...

    def upcoming(self, now: Instant, limit: int) -> list[Task]:
        """Ready tasks that are not due yet, the next first; at the same cost however many there are."""

    def schedules(self, limit: int, after: str = "") -> list[Task]:
        """Recurring tasks that are not complete, oldest id first, from behind `after`."""

    def recent_ends(self, tasks: Sequence[Task], runs: int) -> dict[str, list[End]]:
        """How the last so many runs of each task ended, newest first, by id; one statement, at the same cost however
        long the history is."""

    def snapshots(self) -> list[Task]:
        """The tasks that have a snapshot."""

    def jobs(self, now: Instant, visible_to: str | None = None) -> list[Job]: ...
    def job(self, job_id: str, now: Instant, visible_to: str | None = None) -> Job:
        """UnknownName if the job has no current task."""

    def jobs_in_progress(self, now: Instant, limit: int, after: str = "") -> list[JobCounts]:
        """Jobs that have incomplete tasks, by id, from behind `after`. What is current counts of what has ended,
        and all since the oldest of these was enqueued: under one id a job may come again and again."""

    def jobs_ended(self, limit: int) -> list[JobCounts]:
        """Jobs of which everything has ended, the latest first, as far as they are among the newest runs."""

    # workers
    def register(self, worker: Worker, callables: Sequence[Callable], schedules: Sequence[Task], now: Instant) -> None:
        """Adds the worker's row, publishes its callables (tasks held for want of one become claimable) and upserts the
        schedules that its application declares."""

    def heartbeat(self, worker: str, now: Instant) -> Instant | None:
        """Renews the lease, and tells what the database's own clock shows (`now`, if it has none); None if the row is
        gone: the worker was superseded."""

    def deregister(self, worker: str, now: Instant) -> None: ...
    def exchange(self, worker: str, report: Report, claim: ClaimRequest | None, now: Instant) -> Exchange:
        """Writes a report and claims: in one transaction, or in two at a time (then it is worth asking again)."""

    def claim(self, worker: str, request: ClaimRequest, now: Instant) -> Claims | Instant | None:
        """As `exchange` with nothing to report; where nothing is ready, nothing is written: when something will be
        (None: nothing waits). Superseded as there."""

    def ready(self, claim: ClaimRequest, now: Instant) -> Instant | None:
        """When it is worth claiming: `now` or before if something is ready, later if something is due then, else None.
        Reads only."""

    def canceling(self, worker: str) -> list[tuple[str, int]]:
        """(id, run) of the worker's running tasks that were asked to stop."""

    def held_by(self, worker: str) -> list[tuple[str, int]]:
        """(id, run) of all running rows of the worker."""

    def workers(self) -> list[Worker]: ...
    def survey(self, worker: str) -> Survey:
        """Whether this worker has anything to do for the whole system; one cheap reading."""
        ...

    def is_alive(self, worker: Worker, now: Instant) -> bool:
        """Whether the worker of a row still holds its lock, or its lease still runs."""
        ...

    def rescue(
        self,
        now: Instant,
        workers: Sequence[str] | None = None,
        *,
        by_itself: bool = True,
        present: Sequence[Worker] | None = None,
    ) -> list[Task]:
        """Resets the tasks of dead workers and deletes their rows (None: those the store itself finds dead), and of
        running rows whose worker is absent; `by_itself`: their runs may have been the cause; `present`: what `workers`
        has just said, if it was asked. Returns the lost runs as they were archived."""

    def bring_forward(self, now: Instant) -> int:
        """Makes due what was accepted more than a second later than `now` to be run at once: the clock was set back
        since, and it would wait for its time to come again. What has a time of its own keeps it. Returns how many."""

    def end_undeclared(self, now: Instant, present: Sequence[Worker] | None = None) -> list[Task]:
        """Removes declared schedules that no live worker of their application declares any more."""

    def callables(self) -> list[Callable]: ...

    # culling
    def cull_history(self, before: Instant, runs_per_schedule: int, limit: int) -> int:
        """Deletes up to `limit` archived runs that finished earlier, or are beyond a schedule's newest so many."""

    def cull_audited_events(self, before: Instant, limit: int) -> int: ...

    # changes
    def feed(self) -> Feed:
        """Tells, look by look, which tasks have changed."""
        ...

    # queues
    def suspend_queue(self, name: str, now: Instant) -> None:
        """Nothing of the queue is claimed until it is resumed, whatever waits in it or comes to it; what runs goes on.
        Idempotent. StateConflict for the housekeeping's."""

    def resume_queue(self, name: str) -> None: ...
    def queues(self, now: Instant) -> list[QueueCounts]:
        """The queues that have incomplete tasks, are suspended, or are named by a worker; by name."""

    # statistics
    def statistics(self, now: Instant) -> Statistics:
        """How many incomplete tasks there are, by state and queue, and what has happened lately; at the same cost
        however many tasks there are."""

    def days(self, now: Instant) -> list[Period]:
        """The UTC days on which something has happened, oldest first, for a year and a little; what has happened to
        runs that are no longer kept too."""

    def ends_by_day(self, filter: Filter, now: Instant) -> EndsByDay:
        """How the archived runs that the filter finds have ended; no more than `filter.newest` are looked at."""
        ...

    def is_foldable(self, now: Instant) -> bool:
        """Whether `fold` has something to do. Reads only."""

    def fold(self, now: Instant) -> int:
        """Folds a batch of what transactions have changed into the counts that `statistics` reads, and forgets what is
        too old; how many changes. 0: none is left."""

    # who may call
    def create_user(self, user: User) -> bool:
        """False if the name is taken."""

    def user(self, name: str) -> User | None: ...
    def users(self) -> list[User]: ...
    def change_user(
        self, name: str, password_hash: str | None = None, roles: tuple[str, ...] | None = None
    ) -> User: ...
    def delete_user(self, name: str) -> None: ...
    def create_token(self, token: Token) -> None: ...

    def tokens(self, user: str | None = None) -> list[Token]: ...
    def delete_token(self, id: str) -> Token: ...
    def create_session(self, session: Session) -> None:
        """UnknownName if there is no such user. Sessions end with their expiry, with another password and with their
        user; those that have expired are taken away."""

    def session(self, secret_hash: bytes, now: Instant) -> Session | None:
        """The session with this hash that has not expired."""

    def extend_session(self, secret_hash: bytes, expire_time: Instant) -> None: ...
    def delete_session(self, secret_hash: bytes) -> None: ...
    def delete_sessions(self, user: str) -> None: ...
    def record(self, event: Event) -> None: ...
    def events(self, limit: int, before: int | None = None) -> list[Event]:
        """Audited events, newest first, with ids below `before`."""

    def identity(self) -> str:
        """What tells this database from every other, by whatever URL it is reached; made at first use."""

    def setting(self, name: str) -> str | None: ...
    def change_setting(self, name: str, value: str | None) -> None: ...


def open_store(url: str, finished_lifetime: Span = HOUR) -> Store:
    """The store at `url`: `sqlite:///relative.db`, `sqlite:////absolute.db` or `postgresql://user@host/database`.
    Nothing is opened before first use.

    `finished_lifetime` is how long an ended task counts as current. Raises ConfigError for a URL of another kind, and
    where PostgreSQL's driver is not installed."""
    path = sqlite_path(url)
    if path is not None:
        from headbox.storage.sqlite.store import SQLiteStore

        return SQLiteStore(path, finished_lifetime)
    if url.partition("://")[0] in ("postgresql", "postgres"):
        try:
            from headbox.storage.postgres.store import PostgresStore
        except ImportError as error:
            raise ConfigError(
                f"PostgreSQL's driver is missing ({error}): install it with pip install 'headbox[postgres]'"
            ) from None
        return PostgresStore(url, finished_lifetime)
    raise ConfigError(
        f"{without_password(url)!r} is no database that Headbox knows; use sqlite:///headbox.db or"
        " postgresql://user@host/database"
    )
