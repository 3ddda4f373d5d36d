"""The values that cross the storage contract beside Task: filters, claims, workers, users. Data only."""

from __future__ import annotations

from typing import Literal

import msgspec

from headbox.domain.outcomes import Outcome
from headbox.domain.states import State
from headbox.domain.task import Instant, Span, Task, Work

StateFilter = Literal[
    "waiting", "running", "incomplete", "complete", "current", "archived",
    "finished", "error", "timed_out", "canceled", "reset", "suspended",
]  # fmt: skip


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which tasks are meant (API.md, filters of `GET /tasks/`). An empty field filters nothing; values of one field
    are alternatives. No `states` at all: the current tasks."""

    ids: tuple[str, ...] = ()
    states: tuple[StateFilter, ...] = ()
    outcomes: tuple[State, ...] = ()  # of archived runs
    exactly: tuple[State, ...] = ()  # in these states that are not complete, and no others: no group is meant
    method_names: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    job_ids: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    scheduled_before: Instant | None = None
    scheduled_after: Instant | None = None
    finished_before: Instant | None = None
    finished_after: Instant | None = None
    final: bool | None = None  # of archived runs: those that were their task's last, or those that were not
    newest: int | None = None  # of archived runs, look no further back than so many of that time, job and rare outcome
    text: str | None = None  # somewhere in its id, names, job, arguments or exception; ASCII letters of either case
    visible_to: str | None = None  # a caller without READ sees only what it owns


class Page(msgspec.Struct, frozen=True):
    """One page of a list and where the next begins (opaque; None: this was the last). `count`: how many there are in
    all, where that was asked."""

    tasks: list[Task]
    cursor: str | None
    count: int | None = None


class ClaimRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker can take now. Tasks heavier than `max_weight` are passed over (None: any weight will do)."""

    queues: tuple[str, ...]  # () = every queue but the housekeeping's
    limit: int  # of synchronous tasks
    async_limit: int = 0  # and of async ones, which run beside them
    max_weight: int | None = None
    unknown: tuple[str, ...] = ()  # callables that this worker was found to lack
    ahead: Span = 0  # by which a task may be claimed before it is due; its worker then waits with it


class PassedOver(msgspec.Struct, frozen=True):
    """The most urgent ready task that was too heavy for the moment."""

    id: str
    weight: int


class Claims(msgspec.Struct, frozen=True):
    """What a claim gave: tasks that are now running and this worker's, the most urgent first, and when it is worth
    asking again."""

    tasks: list[Work]
    next_time: Instant | None = None  # the earliest due_time still ahead in its queues; None if there is `more`
    passed_over: PassedOver | None = None
    more: bool = False  # ready tasks were left behind for want of room: it is worth asking as soon as there is some


class Start(msgspec.Struct, frozen=True, gc=False):
    """A run that has lasted long enough for its start to be worth recording."""

    id: str
    run: int
    start_time: Instant


class Progress(msgspec.Struct, frozen=True, gc=False):
    """The latest progress of a run, as JSON."""

    id: str
    run: int
    progress: str


class Release(msgspec.Struct, frozen=True, gc=False):
    """A run that was claimed and never started. `hold`: nobody is to claim it until a worker publishes its name."""

    id: str
    run: int
    hold: bool = False


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker has to say since it last spoke to the store."""

    outcomes: list[Outcome] = []
    starts: list[Start] = []
    progress: list[Progress] = []
    releases: list[Release] = []
    lateness: list[Span] = []  # of scheduled runs that have started since
    late: int = 0  # how many of these were later than their schedule_threshold

    def __bool__(self) -> bool:
        return bool(self.outcomes or self.starts or self.progress or self.releases)


class Skipped(msgspec.Struct, frozen=True):
    """Occurrences of a schedule that were missed and will not run."""

    id: str
    count: int


class Exchange(msgspec.Struct, frozen=True):
    """The store's answer to a worker's report: what was superseded (and dropped), what was skipped, what it may run."""

    superseded: list[Outcome]
    skipped: list[Skipped]
    claims: Claims | None


class Callable(msgspec.Struct, frozen=True, kw_only=True):
    """A callable that a worker has published: how the API knows it without importing task code."""

    name: str  # `module:qualname`, or its `name=`
    short_name: str  # the bare name
    aliases: tuple[str, ...] = ()
    is_async: bool = False
    signature: str = "()"
    parameters: tuple[str, ...] = ()  # of the positional ones, in order: redaction needs them
    docstring: str | None = None
    defaults: dict[str, int | float | str | bool | None] = {}  # the options of its decorator, durations in microseconds


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """A worker's row. `id` is used once: a worker that starts afresh has a new one."""

    id: str
    host: str
    boot_id: str
    pid: int
    process_start: int  # clock ticks after boot, from /proc/<pid>/stat: tells a reused pid
    app: str | None
    queues: tuple[str, ...]
    concurrency: int
    start_time: Instant
    heartbeat_time: Instant
    lease: Span
    names: tuple[str, ...] = ()  # the callables and aliases that it knows
    declares: tuple[str, ...] = ()  # the schedules that its application declares

    def serves(self, queue: str) -> bool:
        """Whether it runs tasks of this queue, which is not the housekeeping's."""
        return self.app is not None and (not self.queues or queue in self.queues)


class Survey(msgspec.Struct, frozen=True):
    """What one look at the whole system shows: whether there is anything to do beside tasks, and when there will be."""

    workers: int
    roll: str  # another whenever a worker has come or gone
    expire_time: Instant | None  # when the first lease of another worker ends that is not renewed
    housekeeping_time: Instant | None  # when the first housekeeping task is due
    has_changes: bool = False  # there are some that the counts do not hold yet


class Load(msgspec.Struct, frozen=True):
    """What a worker holds: how many runs in progress, and their weights."""

    running: int = 0
    weight: int = 0


class End(msgspec.Struct, frozen=True, array_like=True):
    """How a run of a schedule ended."""

    run: int
    state: State
    start_time: Instant | None
    finish_time: Instant


class EndsByDay(msgspec.Struct, frozen=True):
    """How runs have ended, by the UTC day on which they did. `since`: when the oldest that was looked at ended; None:
    all were."""

    days: dict[Instant, dict[str, int]]
    since: Instant | None


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A person or script that may call the API."""

    name: str
    password_hash: str
    roles: tuple[str, ...]
    create_time: Instant


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """An API token; of the secret only its SHA-256 is kept."""

    id: str
    user: str
    name: str
    secret_hash: bytes
    create_time: Instant
    expire_time: Instant | None = None


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A person who is logged in with a browser; of the cookie only its SHA-256 is kept."""

    secret_hash: bytes
    user: str
    create_time: Instant
    expire_time: Instant


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An audited event: a call that changed something, or tried to."""

    id: int = 0  # given by the store
    time: Instant
    user: str | None
    address: str | None
    method: str
    path: str
    status: int
    detail: str | None = None


class Job(msgspec.Struct, frozen=True):
    """A job and those of its tasks that are current."""

    id: str
    tasks: list[Task]


class JobCounts(msgspec.Struct, frozen=True):
    """How far a job is: its incomplete tasks by state, and those that have ended since `since` by how. `begin_time`:
    when the oldest of the former was enqueued, or the last that ended. `is_all`: none was left uncounted.
    `finish_time`: when the last of them ended, where all have."""

    id: str
    begin_time: Instant
    since: Instant
    states: dict[str, int]
    is_all: bool
    finish_time: Instant | None = None


class JobCancellation(msgspec.Struct, frozen=True):
    """What canceling a job came upon: tasks that were complete before, and those it canceled."""

    id: str
    completed: list[Task]
    canceled: list[Task]
