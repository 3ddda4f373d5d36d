"""Where a workload takes place: a fresh database, the benchmark's queue on it, and the processes that it starts."""

from __future__ import annotations

import importlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.figures import POSTGRES, SQLITE
from benchmarks.tables import Tables
from headbox import TaskQueue
from servers.postgres import Server, in_database

PATIENCE = 300.0  # seconds after which a workload has failed
KEY = "a key for benchmarks alone"


class Scene:
    """A database and a journal. The queue and the worker see the same through the environment."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.tables = Tables(url)
        self.folder = folder
        self.journal_path = folder / "journal"
        self.journal_path.touch()
        self.enter()
        sys.modules.pop("benchmarks.application", None)  # its queue is made at import, for this scene's database
        self.application = importlib.import_module("benchmarks.application")
        self.queue: TaskQueue = self.application.queue
        self.queue.store.initialise(self.queue.clock.now())

    def enter(self) -> None:
        """What is started from now on belongs to this scene."""
        os.environ |= {
            "HEADBOX_DATABASE": self.url,
            "HEADBOX_SECRET_KEYS": KEY,
            "BENCHMARK_JOURNAL": str(self.journal_path),
            "XDG_RUNTIME_DIR": str(self.folder),  # what a `serve` leaves for the command line is not for the user's own
        }

    # processes

    @contextmanager
    def process(self, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        """`headbox work` or `api`, from when it is ready until it has drained. What it reported is its `.report`."""
        reader, writer = os.pipe()
        words = (*words, "--status-fd", str(writer), "--parent", str(os.getpid()))  # it does not outlive us
        command = [sys.executable, "-m", "headbox", *words]
        process = subprocess.Popen(command, pass_fds=[writer], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(writer)
        with os.fdopen(reader) as status:
            process.report = json.loads(status.readline() or "{}")  # type: ignore[attr-defined]
            try:
                yield process
            finally:
                process.terminate()
                process.wait()

    def worker(self, concurrency: int = 4) -> Any:
        """A worker that runs the benchmark's tasks."""
        return self.process("work", "--app", "benchmarks.application:queue", "--concurrency", str(concurrency))

    @contextmanager
    def service(self) -> Iterator[subprocess.Popen[bytes]]:
        """`headbox serve` with the benchmark's tasks, from when it says that it answers."""
        words = ["serve", "--app", "benchmarks.application:queue", "--port", "0"]
        command = [sys.executable, "-m", "headbox", *words]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdout is not None
        try:
            process.stdout.readline()
            yield process
        finally:
            process.terminate()
            process.communicate()

    # what has become of the tasks

    def wait_until(self, is_so: Callable[[], bool], pause: float = 0.02) -> None:
        """Until something is so; TimeoutError."""
        end = time.monotonic() + PATIENCE
        while not is_so():
            if time.monotonic() > end:
                raise TimeoutError("the worker has stopped working")
            time.sleep(pause)

    def wait_until_empty(self, **filters: Any) -> None:
        """Until no task that the filters find is incomplete."""
        watch = self.queue.store.watch()
        end = time.monotonic() + PATIENCE
        while self.queue.count(state="incomplete", **filters):
            if not watch.wait(PATIENCE) or time.monotonic() > end:
                raise TimeoutError("the worker has stopped working")
        watch.close()

    def begun(self) -> list[tuple[int, int]]:
        """(number, nanoseconds since the epoch) of each begin that tasks wrote down."""
        lines = self.journal_path.read_text().splitlines()
        return [(int(number), int(began)) for number, began in (line.split() for line in lines)]


class SQLiteSite:
    """Databases in files on a real disk (not /tmp where that is memory: BENCHMARK_FOLDER names another place)."""

    name = SQLITE

    @contextmanager
    def scene(self) -> Iterator[Scene]:
        """A fresh scene."""
        with tempfile.TemporaryDirectory(dir=os.environ.get("BENCHMARK_FOLDER")) as folder:
            scene = Scene(f"sqlite:///{Path(folder) / 'benchmark.db'}", Path(folder))
            try:
                yield scene
            finally:
                scene.queue.close()


class PostgresSite:
    """Databases of a server of the benchmark's own."""

    name = POSTGRES

    def __init__(self, server: Server) -> None:
        self.server = server

    @contextmanager
    def scene(self) -> Iterator[Scene]:
        """A fresh scene."""
        with tempfile.TemporaryDirectory(dir=os.environ.get("BENCHMARK_FOLDER")) as folder, self.database() as url:
            scene = Scene(url, Path(folder))
            try:
                yield scene
            finally:
                scene.queue.close()

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of an empty database."""
        name = f"benchmark_{secrets.token_hex(4)}"
        self._administer(f"CREATE DATABASE {name}")
        try:
            yield in_database(self.server.url, name)
        finally:
            self._administer(f"DROP DATABASE {name} WITH (FORCE)")

    def _administer(self, statement: str) -> None:
        with psycopg.connect(self.server.url, autocommit=True) as connection:
            connection.execute(statement.encode())


Site = SQLiteSite | PostgresSite
