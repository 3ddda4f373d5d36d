"""The task as every layer knows it: one record for what waits or runs and for what has ended (Pulp's Task, A.20.1)."""

from __future__ import annotations

import msgspec

from headbox.domain.states import State

Instant = int  # microseconds UTC since 1970
Span = int  # microseconds

SECOND: Span = 1_000_000
MINUTE: Span = 60 * SECOND
HOUR: Span = 60 * MINUTE
DAY: Span = 24 * HOUR

SYSTEM_QUEUE = "headbox"  # the housekeeping's queue: served by the upkeep of every supervisor
HOUSEKEEPING = ("cull_audited_events", "cull_history")
MAX_LOSSES = 3  # a run that killed its worker this often in a row ends in error


class Task(msgspec.Struct, frozen=True, gc=False):
    """One occurrence of a task. The fields stand in the order of the columns of both tables.

    Payloads (`args`, `kwargs`, `result`, …) are stored bytes (storage/payload.py); None stands for `[]`, `{}` and
    None. `public_…` is the JSON that may be shown, None where the payload itself is plain JSON that may be.
    """

    id: str
    run: int
    state: State
    queue: str
    priority: int
    due_time: Instant  # when it may run: the scheduled time, the enqueue time or the end of a backoff
    callable: str  # the registered name, `module:qualname` unless named
    method_name: str
    class_name: str | None = None
    callable_payload: bytes | None = None  # a bound method or an unregistered function, signed
    args: bytes | None = None
    kwargs: bytes | None = None
    public_args: str | None = None
    public_kwargs: str | None = None
    scheduler: str = "immediate"  # immediate, at, interval, cron
    schedule: str | None = None  # its canonical expression; None for immediate
    schedule_name: str | None = None  # one task a name (declared schedules)
    definition: str | None = None  # a digest of the declaration: the same one again changes nothing
    declared_by: str | None = None  # the application whose workers declare it; None: ended only by remove
    scheduled_time: Instant | None = None
    runs_left: int | None = None  # of a recurring task, this one included; None: no end
    timeout: Span | None = None
    attempts: int = 1
    failure_threshold: int | None = None
    schedule_threshold: Span | None = None
    weight: int = 1
    is_async: bool = False  # it runs on an event loop, beside the others
    job_id: str | None = None
    owner: str | None = None
    unique_key: str | None = None
    progress_arg: str | None = None
    progress_callback: bytes | None = None
    enqueue_time: Instant = 0
    start_time: Instant | None = None
    finish_time: Instant | None = None
    consecutive_failures: int = 0
    losses: int = 0  # in a row, each explained by the run's own start
    cancel_attempts: int = 0
    cancel_asked: bool = False  # a run in progress is to be interrupted
    suspend_asked: bool = False  # the next occurrence is to be suspended
    removed: bool = False  # the run in progress is the last
    held: int = 0  # reasons not to run; 0 = claimable
    worker: str | None = None
    snapshot_id: str | None = None
    claimed_state: State | None = None  # what a release gives back
    progress: str | None = None  # JSON
    result: bytes | None = None
    public_result: str | None = None
    exception: str | None = None
    traceback: str | None = None
    final: bool = False  # of an archived run: it was the task's last

    @property
    def is_recurring(self) -> bool:
        """Whether the scheduler gives more than one occurrence."""
        return self.scheduler in ("interval", "cron")


class Work(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a worker knows of a task that it has claimed, its children included: a third of its fields, which mean the
    same. Beside those that running takes are those that tell when, where and how long it may run."""

    id: str
    run: int
    callable: str
    callable_payload: bytes | None = None
    args: bytes | None = None
    kwargs: bytes | None = None
    progress_arg: str | None = None
    progress_callback: bytes | None = None
    method_name: str = ""
    class_name: str | None = None
    job_id: str | None = None
    owner: str | None = None
    schedule_name: str | None = None
    queue: str = ""
    priority: int = 0
    due_time: Instant = 0
    enqueue_time: Instant = 0
    scheduled_time: Instant | None = None
    schedule_threshold: Span | None = None
    timeout: Span | None = None
    weight: int = 1
    losses: int = 0
    claimed_state: State | None = None

    @classmethod
    def of(cls, task: Task) -> Work:
        """The work that a claimed task is."""
        return cls(*(getattr(task, field) for field in WORK))


FIELDS: tuple[str, ...] = Task.__struct_fields__
WORK: tuple[str, ...] = Work.__struct_fields__


def unique_key(digest: str, scheduler: str, schedule: str | None) -> str:
    """The key under which unique tasks conflict: `digest` (of callable and arguments), the kind of schedule and, for
    *at*, its time."""
    return f"{digest}/{scheduler}/{schedule}" if scheduler == "at" else f"{digest}/{scheduler}"
