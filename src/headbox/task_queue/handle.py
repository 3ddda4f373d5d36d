"""A task as users hold it: its attributes as Python values, and the calls that concern it alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

import msgspec

from headbox.clock import Clock
from headbox.domain import task as domain
from headbox.domain.errors import TaskCanceled, TaskFailed, TaskTimedOut
from headbox.domain.iso8601 import time_of
from headbox.domain.schedulers import Scheduler
from headbox.domain.states import CANCELED, ERROR, FINISHED, RESET, TIMED_OUT
from headbox.storage.payload import Payloads, binding
from headbox.storage.store import Store
from headbox.task_queue.options import read_schedule
from headbox.task_queue.twin import twin

if TYPE_CHECKING:
    from headbox.task_queue.waiting import Changes

T = TypeVar("T")

POLL_SECONDS: Final = 1.0  # the net below the watch

_FAILURES: Final[dict[str, type[TaskFailed]]] = {
    ERROR: TaskFailed, TIMED_OUT: TaskTimedOut, CANCELED: TaskCanceled,
}  # fmt: skip


class Home(Protocol):
    """Where a task comes from: a TaskQueue."""

    @property
    def store(self) -> Store: ...
    @property
    def payloads(self) -> Payloads: ...
    @property
    def changes(self) -> Changes: ...
    @property
    def clock(self) -> Clock: ...


class _Attribute(Generic[T]):
    """An attribute of the record, read as it is or through `read`."""

    def __init__(self, read: Callable[[Any], Any] | None = None) -> None:
        self._read = read

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, task: Task, owner: type | None = None) -> T:
        value = getattr(task.record, self._name)
        return value if value is None or self._read is None else self._read(value)  # type: ignore[no-any-return]


def _span(span: int) -> timedelta:
    return timedelta(microseconds=span)


class Task:
    """A task as it was when it was last read; `refresh` reads it anew. Times are aware datetimes, UTC.

    `record` is what is stored.
    """

    __slots__ = ("_home", "record")

    def __init__(self, home: Home, record: domain.Task) -> None:
        self._home = home
        self.record = record

    id = _Attribute[str]()
    run = _Attribute[int]()
    state = _Attribute[str]()
    queue = _Attribute[str]()
    priority = _Attribute[int]()
    callable = _Attribute[str]()
    method_name = _Attribute[str]()
    class_name = _Attribute["str | None"]()
    job_id = _Attribute["str | None"]()
    owner = _Attribute["str | None"]()
    scheduler = _Attribute[str]()
    schedule = _Attribute["str | None"]()
    schedule_name = _Attribute["str | None"]()
    runs_left = _Attribute["int | None"]()
    weight = _Attribute[int]()
    attempts = _Attribute[int]()
    failure_threshold = _Attribute["int | None"]()
    consecutive_failures = _Attribute[int]()
    cancel_attempts = _Attribute[int]()
    timeout = _Attribute["timedelta | None"](_span)
    schedule_threshold = _Attribute["timedelta | None"](_span)
    enqueue_time = _Attribute[datetime](time_of)
    scheduled_time = _Attribute["datetime | None"](time_of)
    start_time = _Attribute["datetime | None"](time_of)
    finish_time = _Attribute["datetime | None"](time_of)
    progress = _Attribute[Any](msgspec.json.decode)
    exception = _Attribute["str | None"]()
    traceback = _Attribute["str | None"]()
    snapshot_id = _Attribute["str | None"]()
    worker = _Attribute["str | None"]()

    @property
    def args(self) -> list[Any]:
        """The positional arguments. PayloadRefused if a signature does not hold."""
        return self._load("args", [])  # type: ignore[no-any-return]

    @property
    def kwargs(self) -> dict[str, Any]:
        """The keyword arguments. PayloadRefused if a signature does not hold."""
        return self._load("kwargs", {})  # type: ignore[no-any-return]

    @property
    def result(self) -> Any:
        """What the task returned; None before. PayloadRefused if a signature does not hold."""
        return self._load("result", None)

    def _load(self, field: str, empty: Any) -> Any:
        record = self.record
        return self._home.payloads.decode(
            getattr(record, field), task_id=binding(record), field=field, callable=record.callable, empty=empty
        )

    def refresh(self) -> Task:
        """Reads the task anew. UnknownTask once it is culled."""
        return self._take(self._home.store.get(self.id))

    def cancel(self) -> Task:
        """Ends the current occurrence; a schedule goes on. StateConflict for a complete task."""
        return self._take(self._home.store.cancel(self.id, self._home.clock.now()))

    def suspend(self) -> Task:
        """Nothing of the task runs until `resume`. StateConflict for a complete task."""
        return self._take(self._home.store.suspend(self.id, self._home.clock.now()))

    def resume(self) -> Task:
        """Lets a suspended task go on. StateConflict for any other."""
        return self._take(self._home.store.resume(self.id, self._home.clock.now()))

    def reset(self) -> Task:
        """Runs a complete task again. StateConflict for any other."""
        return self._take(self._home.store.reset(self.id, self._home.clock.now()))

    def remove(self) -> Task:
        """Takes the task out of the system; a run in progress is its last. StateConflict for a complete task."""
        return self._take(self._home.store.remove(self.id, self._home.clock.now()))

    def reschedule(self, schedule: str | Scheduler) -> Task:
        """Gives the task another schedule. StateConflict for a complete task."""
        return self._take(self._home.store.reschedule(self.id, read_schedule(schedule), self._home.clock.now()))

    def history(self) -> list[Task]:
        """The task's archived runs, newest first."""
        return [Task(self._home, record) for record in self._home.store.history(self.id)]

    def _take(self, record: domain.Task) -> Task:
        self.record = record
        return self

    def wait(self, timeout: float | timedelta | None = None) -> Any:
        """Waits until the task is complete, a recurring one until its current occurrence has ended, and returns the
        result; afterwards the task is that run.

        Raises TaskFailed, TaskTimedOut or TaskCanceled for what became of it, and TimeoutError after `timeout`.
        """
        end = _deadline(timeout)
        watch = self._home.store.watch()
        try:
            while (ended := self._find_end()) is None:
                watch.wait(self._until(end))
        finally:
            watch.close()
        return self._become(ended)

    async def wait_async(self, timeout: float | timedelta | None = None) -> Any:
        """As `wait`, without holding a thread meanwhile."""
        import asyncio

        from headbox.task_queue.waiting import wait_for

        end = _deadline(timeout)
        async with self._home.changes.listen() as next_change:
            while True:
                change = next_change()
                if (ended := await asyncio.to_thread(self._find_end)) is not None:
                    return self._become(ended)
                await wait_for(change, self._until(end))

    def _find_end(self) -> domain.Task | None:
        """The run that this task is, or one that took its place, if it has ended. Several may wait on one object."""
        run = self.record.run
        while (archived := self._home.store.run(self.id, run)) is not None:
            if archived.final or (archived.is_recurring and archived.state != RESET):
                return archived
            run += 1
        return None

    def _become(self, ended: domain.Task) -> Any:
        self.record = ended
        return Task(self._home, ended)._outcome()

    def _until(self, end: float | None) -> float:
        """The seconds to wait before looking again."""
        if end is None:
            return POLL_SECONDS
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"the task {self.id} ({self.method_name}) is still {self.refresh().state}")
        return min(left, POLL_SECONDS)

    def _outcome(self) -> Any:
        state = self.state
        if state == FINISHED:
            return self.result
        what = f"the task {self.id} ({self.method_name}) ended in {state}"
        raise _FAILURES[state](f"{what}: {self.exception}" if self.exception else what, self)

    def __repr__(self) -> str:
        return f"<Task {self.id} {self.method_name} {self.state}>"

    def __eq__(self, other: object) -> bool:
        """Whether it is the same task, whatever is known of it."""
        return isinstance(other, Task) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    refresh_async = twin(refresh)
    cancel_async = twin(cancel)
    suspend_async = twin(suspend)
    resume_async = twin(resume)
    reset_async = twin(reset)
    remove_async = twin(remove)
    reschedule_async = twin(reschedule)
    history_async = twin(history)


def _deadline(timeout: float | timedelta | None) -> float | None:
    if timeout is None:
        return None
    return time.monotonic() + (timeout.total_seconds() if isinstance(timeout, timedelta) else timeout)
