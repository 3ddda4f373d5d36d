"""`headbox work` as a process of its own, on a database of its own, watched through the store and /proc."""

from __future__ import annotations

import fcntl
import importlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import pytest

from headbox import ImmediateScheduler, Task, TaskQueue
from headbox.storage.records import Worker as WorkerRow

HERE = Path(__file__).parent
PATIENCE = 40  # seconds; nothing here takes that long
MARK = "SHOPFLOOR_MARK"


class Work:
    """A process of `headbox`, `work` unless said otherwise, and all that it has started."""

    def __init__(
        self, floor: Floor, command: list[str], folder: Path, environment: dict[str, str], prefix: list[str]
    ) -> None:
        self.floor = floor
        self.mark = uuid4().hex
        self.log_path = floor.logs / f"{self.mark}.log"
        with self.log_path.open("w") as log:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "headbox", *command],
                cwd=folder,
                env=os.environ | {MARK: self.mark, "HEADBOX_DATABASE": floor.url} | environment,
                stdin=subprocess.DEVNULL,
                process_group=0,
                stdout=log,
                stderr=log,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def started(self) -> Work:
        """Waits until the worker is registered."""
        self.floor.until(lambda: self.row is not None or self.process.poll() is not None)
        assert self.process.poll() is None, self.log
        return self

    @property
    def row(self) -> WorkerRow | None:
        """Its row, or that of the worker that it has started."""
        pids = self.pids()
        return next((row for row in self.floor.queue.store.workers() if row.pid in pids), None)

    def pids(self) -> list[int]:
        """Every living process of it: itself, forkserver, children, subprocesses of tasks."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    environment = (entry / "environ").read_bytes()
                    state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                except OSError:  # it ended just now
                    continue
                if f"{MARK}={self.mark}".encode() in environment and state != "Z":
                    found.append(int(entry.name))
        return found

    def find_pid(self, what: str) -> int:
        """The process with this in its command line that came first; the forkserver before its forks."""
        commands = {pid: Path(f"/proc/{pid}/cmdline").read_text() for pid in self.pids()}
        return min(pid for pid, command in commands.items() if what in command)

    @property
    def forkserver(self) -> int:
        return self.find_pid("headbox.worker.forkserver")

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def freeze(self) -> None:
        """SIGSTOP, at a moment when it does not write: a stopped writer would keep everybody else from writing."""
        with open(f"{self.floor.folder}/headbox.db.write") as lock:
            while True:
                self.signal(signal.SIGSTOP)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    self.signal(signal.SIGCONT)
                else:
                    return

    def kill_all(self) -> None:
        """SIGKILL to every process of it. The supervisor first, so that it cannot tell of the others' ends."""
        pids = self.pids()
        for pid in sorted(pids, key=lambda pid: pid != self.pid):
            _kill(pid)
        self.wait()

    def wait(self) -> int:
        """Its exit status, once it has ended and left nobody behind."""
        status = self.process.wait(PATIENCE)
        for pid in self.pids():
            wait_for_end(pid)
        return status

    def stop(self) -> int:
        """Drains it. Its exit status."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def close(self) -> None:
        for pid in self.pids():
            _kill(pid)
        self.process.wait(PATIENCE)


class Floor:
    """A database, the application's queue on it, and the workers that were started for it."""

    def __init__(self, folder: Path, logs: Path | None = None) -> None:
        self.folder = folder
        self.logs = logs or folder
        self.url = f"sqlite:///{folder}/headbox.db"
        self.queue = TaskQueue(self.url)
        self.journal_path = folder / "journal"
        self.works: list[Work] = []
        assert self.queue.store
        self._watch = self.queue.store.watch()

    def start(
        self, *options: str, folder: Path = HERE, app: str | None = "shopfloor:queue", **settings: object
    ) -> Work:
        """`headbox work`, once it is registered; settings as `cancel_grace=1`."""
        command = ["work", *(["--app", app] if app else []), *options]
        return self.launch(command, folder, **settings).started()

    def launch(
        self,
        command: list[str],
        folder: Path = HERE,
        environment: dict[str, str] | None = None,
        prefix: list[str] | None = None,
        **settings: object,
    ) -> Work:
        """Any command, as it comes up; `prefix` is what starts it, `env` or `unshare` say."""
        variables = {"SHOPFLOOR_HOOKS": f"{self.folder}/hooks", "XDG_RUNTIME_DIR": str(self.folder)}
        variables |= {f"HEADBOX_{name.upper()}": str(value) for name, value in settings.items()}
        work = Work(self, command, folder, variables | (environment or {}), prefix or [])
        self.works.append(work)
        return work

    def call(self, name: str, *args: Any, **options: Any) -> Task:
        """Enqueues a call of what a worker has published, by its name: its code is not here."""
        (published,) = (found for found in self.queue.store.callables() if found.name == name)
        record = self.queue.enqueue_published(
            published, list(args), {}, owner=None, schedule=ImmediateScheduler(), **options
        )
        return self.queue.get(record.id)

    def until(self, condition: Callable[[], Any], patience: float = PATIENCE) -> Any:
        """Waits for the condition, asked anew at each change of the database. What it gives."""
        deadline = time.monotonic() + patience
        while not (value := condition()):
            is_dead = self.works and all(work.process.poll() is not None for work in self.works)
            if is_dead or time.monotonic() > deadline:
                pytest.fail("in vain\n" + "\n".join(work.log[-3000:] for work in self.works))
            self._watch.wait(0.05)
        return value

    def ended(self, *tasks: Task) -> list[Task]:
        """The tasks, once all of them are complete."""
        self.until(lambda: all(_is_complete(task.refresh()) for task in tasks))
        return list(tasks)

    def running(self, task: Task) -> int:
        """Waits until the task has said that it is at it. The process that it runs in."""
        return int(self.until(lambda: task.refresh().state == "running" and task.progress))

    def running_again(self, task: Task, run: int) -> int:
        """As `running`, for a later run."""
        self.until(lambda: task.refresh().run == run)
        return self.running(task)

    @property
    def journal(self) -> list[list[str]]:
        """The lines that tasks have written: id, run, and what."""
        if not self.journal_path.exists():
            return []
        return [line.split() for line in self.journal_path.read_text().splitlines()]

    def lines_of(self, task: Task) -> list[list[str]]:
        """What the task has written: run, and what."""
        return [rest for id, *rest in self.journal if id == task.id]

    def close(self) -> None:
        for work in self.works:
            work.close()
        self._watch.close()
        self.queue.close()


def _is_complete(task: Task) -> bool:
    return task.state in ("finished", "error", "timed_out", "canceled")


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def wait_for_end(pid: int) -> None:
    """Until the process is gone, which it is to be soon."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    readable, _, _ = select.select([descriptor], [], [], PATIENCE)
    os.close(descriptor)
    assert readable, f"process {pid} still lives: {Path(f'/proc/{pid}/cmdline').read_text()}"


@pytest.fixture(scope="session")
def shopfloor() -> Iterator[ModuleType]:
    """The application, imported here too: as in real life, tests enqueue what workers run."""
    sys.path.insert(0, str(HERE))
    yield importlib.import_module("shopfloor")
    sys.path.remove(str(HERE))


@pytest.fixture(scope="session")
def make_floor(tmp_path_factory: pytest.TempPathFactory, shopfloor: ModuleType) -> Iterator[Callable[[], Floor]]:
    """Floors, each with a database of its own."""
    with ExitStack() as stack:

        def make() -> Floor:
            floor = Floor(tmp_path_factory.mktemp("floor"))
            stack.callback(floor.close)
            return floor

        yield make


@pytest.fixture
def floor(make_floor: Callable[[], Floor], shopfloor: ModuleType) -> Iterator[Floor]:
    """A fresh database that the application's queue is on; its workers end with the test."""
    floor = make_floor()
    with shopfloor.queue.using(floor.queue.store):
        yield floor
    floor.close()


@pytest.fixture(scope="session")
def shared_floor(make_floor: Callable[[], Floor]) -> Floor:
    """One floor with one worker for all tests that can share it."""
    floor = make_floor()
    floor.start("--concurrency", "4", cancel_grace=1)
    return floor


@pytest.fixture
def shared(shared_floor: Floor, shopfloor: ModuleType) -> Iterator[Floor]:
    """The shared floor, for one test; each has a journal of its own there."""
    shared_floor.journal_path = shared_floor.folder / f"journal-{uuid4().hex}"
    with shopfloor.queue.using(shared_floor.queue.store):
        yield shared_floor
    shared_floor.until(lambda: shared_floor.queue.count(state="running") == 0, patience=5)
