"""Runs what is ready, in the test's own thread, as a worker would: claims, runs and reports through the real store, and
encodes and decodes every payload. What is missing is what needs processes: timeouts, cancels and losses."""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from headbox.clock import Clock
from headbox.domain import task as domain
from headbox.domain.errors import Interrupted
from headbox.domain.outcomes import Outcome
from headbox.domain.task import Instant
from headbox.identifiers import new_id
from headbox.storage.records import ClaimRequest, Progress, Release, Report, Worker
from headbox.storage.store import Store, open_store
from headbox.task_queue.handle import Task
from headbox.task_queue.queue import TaskQueue
from headbox.task_queue.running import Ending, UnknownCallable, execute


@contextmanager
def inline(queue: TaskQueue, *, clock: Clock | None = None) -> Iterator[TaskQueue]:
    """While it lasts, the queue is in a temporary database and each task runs where it is enqueued, before `enqueue`
    returns. A task that is due later waits; `drain` runs it once `clock` (None: the queue's own) has come that far."""
    with TemporaryDirectory(prefix="headbox-") as folder:
        store = open_store(f"sqlite:///{Path(folder) / 'inline.db'}", queue.settings.finished_lifetime)
        store.initialise((clock or queue.clock).now())
        try:
            with queue.using(_InlineStore(queue, store), clock):
                yield queue
        finally:
            store.close()


def drain(queue: TaskQueue) -> list[Task]:
    """Runs what is ready and what that enqueues, until nothing is. Returns the runs that ended, in that order.

    A task that the application does not know is held, as a worker would leave it.
    """
    with _TestWorker(queue, queue.store) as worker:
        return [Task(queue, run) for run in worker.drain()]


class _InlineStore:
    """A store that runs what has become ready before it answers."""

    def __init__(self, queue: TaskQueue, store: Store) -> None:
        self._queue = queue
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def enqueue(self, tasks: Any, now: Instant, connection: Any = None) -> list[domain.Task]:
        if connection is not None:
            raise NotImplementedError(
                "inline tasks run at once, in a database of their own: use drain with connection="
            )
        self._store.enqueue(tasks, now)
        self._drain()
        return [self._store.get(task.id) for task in tasks]

    def schedule(self, task: domain.Task, now: Instant) -> domain.Task:
        return self._and_drain(self._store.schedule(task, now))

    def resume(self, id: str, now: Instant) -> domain.Task:
        return self._and_drain(self._store.resume(id, now))

    def reset(self, id: str, now: Instant) -> domain.Task:
        return self._and_drain(self._store.reset(id, now))

    def reschedule(self, id: str, scheduler: Any, now: Instant) -> domain.Task:
        return self._and_drain(self._store.reschedule(id, scheduler, now))

    def _and_drain(self, task: domain.Task) -> domain.Task:
        self._drain()
        return self._store.get(task.id)

    def _drain(self) -> None:
        with _TestWorker(self._queue, self._store) as worker:
            for _ in worker.drain():
                pass


class _TestWorker:
    """A worker that lives in the test's thread. A task that enqueues inline makes another one meanwhile."""

    def __init__(self, queue: TaskQueue, store: Store) -> None:
        self._queue = queue
        self._store = store
        self._id = new_id()
        self._claimed: list[domain.Task] = []

    def __enter__(self) -> _TestWorker:
        callables = self._queue.registry.catalog()
        now = self._queue.clock.now()
        worker = Worker(
            id=self._id,
            host="test",
            boot_id="",
            pid=os.getpid(),
            process_start=0,
            app=None,
            queues=(),
            concurrency=1,
            start_time=now,
            heartbeat_time=now,
            lease=self._queue.settings.lease,
            names=tuple(name for callable in callables for name in (callable.name, *callable.aliases)),
        )
        self._store.register(worker, callables, [], now)
        return self

    def __exit__(self, *_: object) -> None:
        self._store.deregister(self._id, self._queue.clock.now())

    def drain(self) -> Iterator[domain.Task]:
        while (task := self._claim()) is not None:
            if self._run(task):
                run = self._store.run(task.id, task.run)
                assert run is not None
                yield run

    def _claim(self) -> domain.Task | None:
        """The next task. Of a synchronous and an async one that are ready, the other waits here."""
        kinds = [task.is_async for task in self._claimed]
        request = ClaimRequest(queues=(), limit=1 - kinds.count(False), async_limit=1 - kinds.count(True))
        self._claimed += [self._store.get(work.id) for work in self._exchange(Report(), request).claims.tasks]
        self._claimed.sort(key=lambda task: (-task.priority, task.due_time, task.id))
        return self._claimed.pop(0) if self._claimed else None

    def _exchange(self, report: Report, claim: ClaimRequest | None = None) -> Any:
        return self._store.exchange(self._id, report, claim, self._queue.clock.now())

    def _run(self, task: domain.Task) -> bool:
        """Whether the task was run; one that is unknown here is given back and held."""
        start = self._queue.clock.now()
        report = partial(self._report_progress, task)
        try:
            ending = _outside_of_loops(
                partial(execute, self._queue.registry, self._queue.payloads, domain.Work.of(task), report)
            )
        except UnknownCallable:
            self._exchange(Report(releases=[Release(task.id, task.run, hold=True)]))
            return False
        except Interrupted as interruption:
            ending = Ending("interrupted", exception=str(interruption))
        outcome = Outcome(
            task.id,
            task.run,
            "cancel" if ending.event == "interrupted" else ending.event,
            self._queue.clock.now(),
            start,
            ending.result,
            ending.public_result,
            ending.exception,
            ending.traceback,
            ending.retry_after,
            ending.discard,
        )
        self._exchange(Report(outcomes=[outcome]))
        return True

    def _report_progress(self, task: domain.Task, progress: str) -> None:
        self._exchange(Report(progress=[Progress(task.id, task.run, progress)]))


def _outside_of_loops(run: partial[Ending]) -> Ending:
    """Runs a task here, or in a thread where an event loop is running: an async task needs one of its own."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return run()
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(contextvars.copy_context().run, run).result()
