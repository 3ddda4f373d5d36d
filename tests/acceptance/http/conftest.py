"""A real server on a real socket over a real database; only the clock is the test's, and the test plays the worker."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import httpx2 as httpx
import pytest
import uvicorn
from msgspec.structs import replace

from headbox.config import Settings
from headbox.domain.outcomes import Outcome
from headbox.domain.states import Event
from headbox.domain.task import SECOND, Instant, Span, Task
from headbox.identifiers import new_id
from headbox.storage import records
from headbox.storage.records import ClaimRequest, Progress, Report, Token, User, Worker
from headbox.task_queue.queue import TaskQueue
from headbox.web.accounts import new_secret
from headbox.web.app import build
from headbox.web.auth import secret_hash
from headbox.web.passwords import hash_password
from headbox.web.server import Running, configuration, listen, make_server, url
from tests import postgres_server
from tests.postgres_server import NOON

PACK = records.Callable(name="shop:pack", short_name="pack", signature="(what, password=None)", parameters=("what",))
SHIP = records.Callable(name="shop:ship", short_name="ship", aliases=("send",), docstring="Ships.")
OTHERS_SHIP = records.Callable(name="yard:ship", short_name="ship")


@contextmanager
def sqlite_database(folder: Path) -> Iterator[str]:
    yield f"sqlite:///{folder}/headbox.db"


# The databases behind the server, one line each: what makes one and gives its URL.
DATABASES: dict[str, Callable[[Path], AbstractContextManager[str]]] = {
    "sqlite": sqlite_database,
    "postgres": postgres_server.initialised,
}


class TestClock:
    """Stands still until it is moved."""

    __test__ = False

    def __init__(self) -> None:
        self.time: Instant = NOON

    def now(self) -> Instant:
        return self.time

    def from_monotonic(self, nanoseconds: int) -> Instant:
        return self.time


class Mill:
    """A served queue, and all that a test does to it from either side."""

    __test__ = False

    def __init__(self, queue: TaskQueue, clock: TestClock, url: str) -> None:
        self.queue = queue
        self.store = queue.store
        self.clock = clock
        self.url = url
        self._clients: list[httpx.Client] = []
        self.admin = self.client("super-users", name="admin")

    def pass_time(self, span: Span) -> None:
        self.clock.time += span

    def client(self, *roles: str, name: str | None = None, **options: Any) -> httpx.Client:
        """A client that calls as a new user with those roles, by token."""
        name = name or f"user-{len(self._clients)}"
        now = self.clock.time
        self.store.create_user(User(name=name, password_hash="-", roles=roles, create_time=now))
        secret = new_secret()
        token = Token(id=new_id(), user=name, name="test", secret_hash=secret_hash(secret), create_time=now)
        self.store.create_token(token)
        return self.anonymous(headers={"Authorization": f"Bearer {secret}"}, **options)

    def anonymous(self, **options: Any) -> httpx.Client:
        """A client without credentials."""
        client = httpx.Client(base_url=self.url, timeout=30, verify=False, trust_env=False, **options)
        self._clients.append(client)
        return client

    def close(self) -> None:
        for client in self._clients:
            client.close()

    # the worker's side

    def publish(self, *callables: records.Callable, worker: str = "a", queues: tuple[str, ...] = ()) -> None:
        """A worker comes and publishes what it can run."""
        now = self.clock.time
        names = tuple(name for callable in callables for name in (callable.name, *callable.aliases))
        row = Worker(
            id=worker, host="mill", boot_id="boot", pid=1, process_start=1, app="shop:queue", queues=queues,
            concurrency=4, start_time=now, heartbeat_time=now, lease=20 * SECOND, names=names,
        )  # fmt: skip
        self.store.register(row, callables, [], now)

    def task(self, **changes: Any) -> Task:
        """An accepted task."""
        now = self.clock.time
        task = Task(new_id(), 1, "waiting", "default", 0, now, "shop:pack", "pack", enqueue_time=now)
        return self.store.enqueue([replace(task, **changes)], now)[0]

    def hourly(self, **changes: Any) -> Task:
        """An accepted schedule: hourly from now on."""
        hourly = {"scheduler": "interval", "schedule": "2026-12-01T12:00:00Z/PT1H", "scheduled_time": NOON}
        return self.task(**hourly | changes)

    def claim(self, worker: str = "a") -> list[Task]:
        """The worker claims all that is ready."""
        claims = self.store.exchange(worker, Report(), ClaimRequest(queues=(), limit=100), self.clock.time).claims
        assert claims is not None
        return [self.store.get(work.id) for work in claims.tasks]

    def running(self, **changes: Any) -> Task:
        """A task in the worker's hands."""
        task = self.task(**changes)
        return next(claimed for claimed in self.claim() if claimed.id == task.id)

    def finish(self, task: Task, event: Event = "succeed", worker: str = "a", **details: Any) -> None:
        """The worker reports how a run ended."""
        outcome = Outcome(task.id, task.run, event, self.clock.time, **details)
        self.store.exchange(worker, Report(outcomes=[outcome]), None, self.clock.time)

    def progress(self, task: Task, progress: str) -> None:
        """The worker reports a run's progress."""
        report = Report(progress=[Progress(task.id, task.run, progress)])
        self.store.exchange("a", report, None, self.clock.time)

    def finished(self, **changes: Any) -> Task:
        """A task that has run."""
        task = self.running(**changes)
        self.finish(task)
        return self.store.get(task.id)


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database of each kind."""
    with DATABASES[request.param](tmp_path) as url:
        yield url


@pytest.fixture
def queue(database: str, clock: TestClock) -> Iterator[TaskQueue]:
    queue = TaskQueue(database, clock=clock)
    queue.store.initialise(clock.now())
    yield queue
    queue.store.close()


class Stage:
    """The ASGI application of the one server that most tests share: whatever a test puts on it."""

    def __init__(self) -> None:
        self.app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


@pytest.fixture(scope="session")
def stage() -> Iterator[tuple[Stage, str]]:
    """That application, and its server's address."""
    stage, listener = Stage(), listen("127.0.0.1", 0)
    server = uvicorn.Server(configuration(stage, Settings()))
    thread = threading.Thread(target=lambda: server.run(sockets=[listener]))
    thread.start()
    yield stage, url(Settings(), listener)
    server.should_exit = True
    thread.join(30)


@pytest.fixture
def serve(queue: TaskQueue) -> Iterator[Callable[..., str]]:
    """Starts a server of its own with these settings, on a free port, and gives its address."""
    started: list[tuple[Running, threading.Thread]] = []

    def serve(**settings: Any) -> str:
        addresses: SimpleQueue[str] = SimpleQueue()
        server = make_server(queue, Settings(**{"port": 0} | settings), addresses.put)
        thread = threading.Thread(target=server.run_on_socket)
        thread.start()
        started.append((server, thread))
        return addresses.get(timeout=30)

    yield serve
    for server, _ in started:
        server.stop()
    for _, thread in started:
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture
def mill(fresh: Mill) -> Mill:
    """A fresh server that a worker with three callables has come to."""
    fresh.publish(PACK, SHIP, OTHERS_SHIP)
    return fresh


@pytest.fixture
def fresh(queue: TaskQueue, clock: TestClock, stage: tuple[Stage, str]) -> Iterator[Mill]:
    """A fresh server that no worker has come to yet."""
    app = stage[0].app = build(queue, Settings())
    mill = Mill(queue, clock, stage[1])
    yield mill
    mill.close()
    app.service.close()


@pytest.fixture(scope="session")
def password() -> str:
    return "correct horse"


@pytest.fixture(scope="session")
def password_hash(password: str) -> str:
    return hash_password(password)


@pytest.fixture
def in_background() -> Iterator[Callable[[Callable[[], Any]], Callable[[], Any]]]:
    """Runs a call in a thread; what it gives waits for its result."""
    threads: list[threading.Thread] = []

    def start(call: Callable[[], Any]) -> Callable[[], Any]:
        results: list[Any] = []
        thread = threading.Thread(target=lambda: results.append(call()))
        thread.start()
        threads.append(thread)

        def result() -> Any:
            thread.join(60)
            return results[0]

        return result

    yield start
    for thread in threads:
        thread.join(60)
