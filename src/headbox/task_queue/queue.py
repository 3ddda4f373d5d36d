"""TaskQueue: where tasks are declared, enqueued, found and changed. What a user meets first, and what the API and the
workers hold on to. Nothing is opened before first use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from msgspec.structs import replace

from headbox.clock import Clock
from headbox.config import Loaded, Settings, load_settings
from headbox.domain import task as domain
from headbox.domain.errors import ConfigError
from headbox.domain.schedulers import Scheduler
from headbox.storage import records
from headbox.storage.payload import Payloads
from headbox.storage.secret_keys import kept_keys, sqlite_path
from headbox.storage.store import Store, open_store
from headbox.task_queue.calls import Calls
from headbox.task_queue.enqueueing import Call, Naming, prepare, published, read_call
from headbox.task_queue.figures import ShownStatistics, show_statistics
from headbox.task_queue.finding import Filters, read_filters
from headbox.task_queue.function import TaskFunction, describe_task
from headbox.task_queue.handle import Task
from headbox.task_queue.importing import refuse_while_importing
from headbox.task_queue.options import (
    TASK_OPTIONS,
    EnqueueOptions,
    Options,
    TaskOptions,
    read_name,
    read_schedule,
    schedule_text,
)
from headbox.task_queue.registry import Hook, Registry
from headbox.task_queue.twin import twin

if TYPE_CHECKING:
    from typing import Unpack

    from headbox.task_queue.waiting import Changes

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])


class TaskQueue:
    """A queue of tasks in a database: `TaskQueue()` is at HEADBOX_DATABASE or sqlite:///headbox.db.

    It may be used from any thread, and after a fork. Settings are read, and the database is opened, at first use:
    ConfigError and StorageError may come from any call.
    """

    def __init__(
        self, database: str | None = None, *, settings: Settings | None = None, clock: Clock | None = None
    ) -> None:
        if database is not None and settings is not None:
            raise ConfigError("TaskQueue takes a database or settings: say the database in the settings")
        self.registry = Registry()
        self._clock = clock
        self._given_database = database
        self._loaded = None if settings is None else Loaded(settings, {})
        self._parts: dict[str, Any] = {}  # made at first use; two threads may make one twice, and either will do
        self._calls = Calls(self.registry, lambda: self._base, lambda: self.payloads)

    # what it is made of

    @property
    def settings(self) -> Settings:
        """The settings in force. ConfigError if one is unknown or bad."""
        return self._load().settings

    @property
    def database(self) -> str:
        """The database's URL."""
        return self.settings.database

    @property
    def database_is_default(self) -> bool:
        """Whether nobody has said which database it is to be."""
        return self._load().origins.get("database") == "default"

    @property
    def store(self) -> Store:
        """Where the tasks are. Its schema is there from the first use on."""
        if "is initialised" not in self._parts:
            self._store.initialise(self.clock.now())
            self._parts["is initialised"] = True
        return self._store

    @property
    def clock(self) -> Clock:
        """By what it tells the time: the clock that it was given, or its database's."""
        if self._clock is None:
            self._clock = self._store.clock()
        return self._clock

    @clock.setter
    def clock(self, clock: Clock) -> None:
        self._clock = clock

    @property
    def changes(self) -> Changes:
        """What tells event loops of changes."""
        changes: Changes | None = self._parts.get("changes")
        if changes is None:
            from headbox.task_queue.waiting import Changes

            changes = self._parts.setdefault("changes", Changes(lambda: self.store.watch()))
        return changes

    @property
    def payloads(self) -> Payloads:
        """Encodes, decodes and shows values with the keys in force. Does not open the database."""
        payloads: Payloads | None = self._parts.get("payloads")
        if payloads is None:
            store: Store | None = self._parts.get("store")  # which is spared who only runs tasks
            keys = tuple(key.encode() for key in self.settings.secret_keys)
            keys = keys or kept_keys(store.beside if store else sqlite_path(self.database))
            payloads = self._parts.setdefault("payloads", Payloads(keys, self.settings.redact))
        return payloads

    @property
    def _store(self) -> Store:
        store: Store | None = self._parts.get("store")
        if store is None:
            store = self._parts.setdefault("store", open_store(self.database, self.settings.finished_lifetime))
        return store

    @property
    def _base(self) -> Options:
        options: Options | None = self._parts.get("options")
        if options is None:
            settings = self.settings
            options = self._parts["options"] = Options(
                failure_threshold=settings.failure_threshold, schedule_threshold=settings.schedule_threshold
            )
        return options

    def _load(self) -> Loaded:
        if self._loaded is None:
            try:
                self._loaded = load_settings({"database": self._given_database})
            except ConfigError as error:
                raise ConfigError(str(error).replace("option --database", "TaskQueue(database)", 1)) from None
        return self._loaded

    # declaring

    @overload
    def task(self, function: Callable[P, R], /) -> TaskFunction[P, R]: ...
    @overload
    def task(
        self,
        *,
        name: str | None = None,
        aliases: Iterable[str] = (),
        schedule: str | Scheduler | None = None,
        retry_on: type[BaseException] | tuple[type[BaseException], ...] | None = None,
        **options: Unpack[TaskOptions],
    ) -> Callable[[Callable[P, R]], TaskFunction[P, R]]: ...
    def task(  # type: ignore[misc]  # mypy takes the Unpack of signature 2 for one more parameter
        self,
        function: Callable[P, R] | None = None,
        /,
        *,
        name: str | None = None,
        aliases: Iterable[str] = (),
        schedule: str | Scheduler | None = None,
        retry_on: type[BaseException] | tuple[type[BaseException], ...] | None = None,
        **options: Any,
    ) -> Any:
        """Registers a function as a task: `@queue.task` or `@queue.task(timeout=60, attempts=3, …)`.

        `name` and `aliases` are what it is stored and found under, `schedule` is declared when a worker starts, and
        `retry_on` are the errors after which attempts that are left are made. InvalidTask for what cannot be.
        """

        def register(function: Callable[P, R]) -> TaskFunction[P, R]:
            registration = describe_task(function, name, aliases, schedule, retry_on, options)
            return TaskFunction(self, self.registry.add(registration), function)

        return register if function is None else register(function)

    def on_child_start(self, hook: F) -> F:
        """Calls `hook()` in each child before its first task. A child whose hook raises does not start."""
        return self._add_hook("on_child_start", hook)

    def before_run(self, hook: F) -> F:
        """Calls `hook(current_task)` before each run. What it raises is how the run ends."""
        return self._add_hook("before_run", hook)

    def after_run(self, hook: F) -> F:
        """Calls `hook(current_task, ending)` after each run that was not interrupted."""
        return self._add_hook("after_run", hook)

    def on_enqueue(self, hook: F) -> F:
        """Calls `hook(draft)` before a task is enqueued in Python. It may change the draft, or raise to refuse it."""
        return self._add_hook("on_enqueue", hook)

    def _add_hook(self, hook: Hook, function: F) -> F:
        self.registry.add_hook(hook, function)
        return function

    def declarations(self, app: str) -> list[domain.Task]:
        """The tasks that `@queue.task(schedule=…)` declares, for the workers of `app`. Does not open the database."""
        scheduled = [each for each in self.registry.registrations() if each.schedule is not None]
        if not scheduled:  # then nobody need ask a database what time it is
            return []
        now = self.clock.now()
        return [self._calls.declare(app, registration, now) for registration in scheduled]

    # enqueueing

    def enqueue(
        self,
        callable: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        connection: Any = None,
        **options: Unpack[EnqueueOptions],
    ) -> Task:
        """Enqueues a call of a task, or of any function or bound method that workers can import; with `connection`,
        inside the caller's own open transaction.

        Raises InvalidTask, InvalidSchedule, PayloadRefused, NonUniqueTask.
        """
        return self.enqueue_many([read_call(callable, args, kwargs, options)], connection=connection)[0]

    def enqueue_many(self, calls: Iterable[Call], *, connection: Any = None) -> list[Task]:
        """Enqueues calls (`sync.call(…)`) in one transaction: all or none. Errors as of `enqueue`."""
        refuse_while_importing()
        now = self.clock.now()
        tasks = [self._calls.prepare(call, now) for call in calls]
        return [Task(self, task) for task in self.store.enqueue(tasks, now, connection)]

    def schedule(
        self,
        name: str,
        callable: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        schedule: str | Scheduler,
        **options: Unpack[TaskOptions],
    ) -> Task:
        """Makes sure that exactly one task of this name exists and is as said: an upsert, at once. The same again
        changes nothing; `remove` ends it. Errors as of `enqueue`."""
        naming = Naming(schedule_name=read_name("the schedule's name", name))
        call = read_call(callable, args, kwargs, {"schedule": schedule_text(schedule), **options})
        now = self.clock.now()
        return Task(self, self.store.schedule(self._calls.prepare(call, now, naming), now))

    def enqueue_published(
        self,
        callable: records.Callable,
        args: list[Any],
        kwargs: dict[str, Any],
        *,
        owner: str | None,
        schedule: Scheduler,
        **options: Any,
    ) -> domain.Task:
        """Enqueues a call of what a worker has published, by name; `options` are fields of `Options`, None where not
        given. The `on_enqueue` hooks are the application's, whose code is not here: none is called."""
        given = {name: value for name, value in options.items() if value is not None}
        defaults = {name: value for name, value in callable.defaults.items() if name in TASK_OPTIONS}
        values = {"weight": 0 if callable.is_async else 1} | defaults | given
        now = self.clock.now()
        chosen = replace(self._base, **values, owner=owner, scheduler=schedule)
        task = prepare(published(callable), args, kwargs, chosen, self.payloads, now)
        return self.store.enqueue([task], now)[0]

    # finding

    def get(self, id: str) -> Task:
        """The task, or its last archived run. UnknownTask."""
        return Task(self, self.store.get(id))

    def find(self, *, limit: int | None = None, **filters: Unpack[Filters]) -> list[Task]:
        """The tasks that the filters select (`state="waiting", method_name="sync"`): current ones by id, then archived
        runs, newest first. InvalidFilter."""
        filter, now = read_filters(filters), self.clock.now()
        found = self.store.stream(filter, now) if limit is None else self.store.find(filter, now, limit).tasks
        return [Task(self, record) for record in found]

    def count(self, **filters: Unpack[Filters]) -> int:
        """How many tasks the filters select. InvalidFilter."""
        return self.store.count(read_filters(filters), self.clock.now())

    def history(self, id: str) -> list[Task]:
        """The task's archived runs, newest first. UnknownTask."""
        return [Task(self, record) for record in self.store.history(id)]

    def job(self, job_id: str) -> list[Task]:
        """The job's current tasks. UnknownName if it has none."""
        return [Task(self, record) for record in self.store.job(job_id, self.clock.now()).tasks]

    # changing

    def cancel(self, id: str) -> Task:
        """Ends the task's current occurrence; a schedule goes on. UnknownTask; StateConflict for a complete task."""
        return Task(self, self.store.cancel(id, self.clock.now()))

    def cancel_job(self, job_id: str) -> list[Task]:
        """Cancels the job's tasks that are not complete, and returns them. UnknownName if it has no current task."""
        return [Task(self, record) for record in self.store.cancel_job(job_id, self.clock.now()).canceled]

    def suspend(self, id: str) -> Task:
        """Nothing of the task runs until it is resumed. UnknownTask; StateConflict for a complete task."""
        return Task(self, self.store.suspend(id, self.clock.now()))

    def resume(self, id: str) -> Task:
        """Lets a suspended task go on. UnknownTask; StateConflict for any other."""
        return Task(self, self.store.resume(id, self.clock.now()))

    def reset(self, id: str) -> Task:
        """Runs a complete task again. UnknownTask; StateConflict for any other; NonUniqueTask."""
        return Task(self, self.store.reset(id, self.clock.now()))

    def remove(self, id: str) -> Task:
        """Takes a task out of the system; a run in progress is its last. UnknownTask; StateConflict if complete."""
        return Task(self, self.store.remove(id, self.clock.now()))

    def reschedule(self, id: str, schedule: str | Scheduler) -> Task:
        """Gives a task another schedule. UnknownTask; StateConflict for a complete task; NonUniqueTask."""
        return Task(self, self.store.reschedule(id, read_schedule(schedule), self.clock.now()))

    # queues

    def suspend_queue(self, name: str) -> None:
        """Nothing of the queue `name` starts until it is resumed; what runs goes on. InvalidTask if it is no name."""
        self.store.suspend_queue(read_name("queue", name), self.clock.now())

    def resume_queue(self, name: str) -> None:
        """What waits in the queue `name` may start again."""
        self.store.resume_queue(read_name("queue", name))

    def suspended_queues(self) -> list[str]:
        """The queues that are suspended, by name."""
        return [queue.name for queue in self.store.queues(self.clock.now()) if queue.suspend_time is not None]

    # figures

    def statistics(self) -> ShownStatistics:
        """Tasks by state and queue, throughput and lateness, as `GET /statistics/` gives them: `….states.waiting`. It
        costs the same however many tasks there are."""
        return show_statistics(self.store.statistics(self.clock.now()))

    # the end

    def close(self) -> None:
        """Closes what is open; the next use opens it again."""
        store: Store | None = self._parts.get("store")
        if store is not None:
            store.close()

    @contextmanager
    def using(self, store: Store, clock: Clock | None = None) -> Iterator[TaskQueue]:
        """While it lasts, the queue is on another store (initialised) and, if given, by another clock: for tests."""
        before = self._parts, self._clock
        self._parts, self._clock = {"store": store, "is initialised": True}, clock or self.clock
        try:
            yield self
        finally:
            self._parts, self._clock = before

    def __enter__(self) -> TaskQueue:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<TaskQueue {self.database}>"

    enqueue_async = twin(enqueue)
    enqueue_many_async = twin(enqueue_many)
    schedule_async = twin(schedule)
    get_async = twin(get)
    find_async = twin(find)
    count_async = twin(count)
    history_async = twin(history)
    job_async = twin(job)
    cancel_async = twin(cancel)
    cancel_job_async = twin(cancel_job)
    suspend_async = twin(suspend)
    resume_async = twin(resume)
    reset_async = twin(reset)
    remove_async = twin(remove)
    reschedule_async = twin(reschedule)
    suspend_queue_async = twin(suspend_queue)
    resume_queue_async = twin(resume_queue)
    suspended_queues_async = twin(suspended_queues)
    statistics_async = twin(statistics)
