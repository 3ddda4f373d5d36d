"""The suite that every database passes: a test sees only the contract (storage/store.py) and a clock that it moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from headbox.domain.errors import UnknownTask
from headbox.domain.outcomes import Outcome
from headbox.domain.states import Event
from headbox.domain.task import HOUR, SECOND, Instant, Span, Task
from headbox.storage.records import ClaimRequest, Exchange, Report, Worker
from headbox.storage.store import Store, open_store
from tests import postgres_server
from tests.postgres_server import NOON

LIFETIME = HOUR  # how long an ended task is current
LEASE = 20 * SECOND


@contextmanager
def sqlite_database(folder: Path) -> Iterator[str]:
    yield f"sqlite:///{folder}/headbox.db"


# The databases under test, one line each: what makes one, empty or as a first start leaves it, and gives its URL.
EMPTY: dict[str, Callable[[Path], AbstractContextManager[str]]] = {
    "sqlite": sqlite_database,
    "postgres": postgres_server.database,
}
DATABASES = {**EMPTY, "postgres": postgres_server.initialised}


class Scene:
    """A store and a clock, told in the words of the domain. The fixture has the workers `a` and `b`."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now: Instant = NOON
        self._number = 0

    def pass_time(self, span: Span) -> Instant:
        """So much later."""
        self.now += span
        return self.now

    def task(self, **changes: Any) -> Task:
        """A waiting task that nobody knows yet."""
        self._number += 1
        task = Task(
            f"task-{self._number:04}", 1, "waiting", "default", 0, self.now, "shop:pack", "pack", enqueue_time=self.now
        )
        return replace(task, **changes)

    def enqueue(self, **changes: Any) -> Task:
        """An accepted task."""
        return self.store.enqueue([self.task(**changes)], self.now)[0]

    def enqueue_hourly(self, **changes: Any) -> Task:
        """An accepted schedule: hourly from now on."""
        hourly = {"scheduler": "interval", "schedule": "2026-12-01T12:00:00Z/PT1H", "scheduled_time": NOON}
        return self.enqueue(**hourly | changes)

    def worker(self, id: str, **changes: Any) -> Worker:
        """A worker as it presents itself."""
        worker = Worker(
            id=id, host="mill", boot_id="boot", pid=1, process_start=1, app=None, queues=(), concurrency=4,
            start_time=self.now, heartbeat_time=self.now, lease=LEASE,
        )  # fmt: skip
        return replace(worker, **changes)

    def register(self, id: str, **changes: Any) -> Worker:
        """A worker that has come."""
        worker = self.worker(id, **changes)
        self.store.register(worker, [], [], self.now)
        return worker

    def claim(self, worker: str = "a", limit: int = 100, **changes: Any) -> list[Task]:
        """What the worker gets when it claims."""
        request = replace(ClaimRequest(queues=(), limit=limit), **changes)
        claims = self.store.exchange(worker, Report(), request, self.now).claims
        assert claims is not None
        return [self.store.get(work.id) for work in claims.tasks]

    def running(self, worker: str = "a", **changes: Any) -> Task:
        """A task that the worker has claimed."""
        task = self.enqueue(**changes)
        return next(claimed for claimed in self.claim(worker) if claimed.id == task.id)

    def finish(self, task: Task, event: Event = "succeed", worker: str = "a", **details: Any) -> Exchange:
        """The worker reports how the task's run ended."""
        outcome = Outcome(task.id, task.run, event, self.now, **{"queue": task.queue, **details})
        return self.store.exchange(worker, Report(outcomes=[outcome]), None, self.now)

    def get(self, task: Task) -> Task:
        """The task as it is now."""
        return self.store.get(task.id)

    def is_known(self, task: Task) -> bool:
        """Whether the store has heard of it."""
        try:
            self.store.get(task.id)
        except UnknownTask:
            return False
        return True

    def in_state(self, state: str) -> Task:
        """A task that has come to be in that state."""
        task = self.enqueue(queue=f"of {state}")
        if state == "suspended":
            return self.store.suspend(task.id, self.now)
        if state == "canceled":
            return self.store.cancel(task.id, self.now)
        if state == "waiting":
            return task
        (task,) = self.claim(queues=(task.queue,))
        events: dict[str, Event] = {"finished": "succeed", "error": "fail", "timed_out": "expire", "reset": "lose"}
        if state in events:
            self.finish(task, events[state])
        return self.get(task)


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with DATABASES[request.param](tmp_path) as url:
        yield url


@pytest.fixture(params=EMPTY)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database that has not been started on."""
    with EMPTY[request.param](tmp_path) as url:
        yield url


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = open_store(url, LIFETIME)
    store.initialise(NOON)
    yield store
    store.close()


@pytest.fixture
def scene(store: Store) -> Scene:
    scene = Scene(store)
    scene.register("a")
    scene.register("b")
    return scene
