"""A database of its own and a worker on it, for one workload."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headbox import TaskQueue

PATIENCE = 300.0  # seconds after which a workload has failed


class Scene:
    """A folder with a database and a journal. The queue and the worker see the same through the environment."""

    def __init__(self, folder: Path) -> None:
        self.journal_path = folder / "journal"
        self.journal_path.touch()
        self.url = f"sqlite:///{folder / 'benchmark.db'}"
        os.environ |= {"HEADBOX_DATABASE": self.url, "BENCHMARK_JOURNAL": str(self.journal_path)}
        sys.modules.pop("benchmarks.application", None)  # its queue is made at import, for this scene's database
        self.application = importlib.import_module("benchmarks.application")
        self.queue: TaskQueue = self.application.queue
        self.queue.store.initialise(self.queue.clock.now())

    @contextmanager
    def worker(self, concurrency: int = 4) -> Iterator[subprocess.Popen[bytes]]:
        """A worker process, from when it is ready until it has drained."""
        reader, writer = os.pipe()
        command = [sys.executable, "-m", "headbox", "work", "--app", "benchmarks.application:queue"]
        process = subprocess.Popen(
            [*command, "--concurrency", str(concurrency), "--status-fd", str(writer)],
            pass_fds=[writer],
            stderr=subprocess.DEVNULL,
        )
        os.close(writer)
        with os.fdopen(reader) as status:
            json.loads(status.readline())
            try:
                yield process
            finally:
                process.terminate()
                process.wait()

    def wait_until_empty(self, **filters: Any) -> None:
        """Until no task that the filters find is incomplete."""
        watch = self.queue.store.watch()
        while self.queue.count(state="incomplete", **filters):
            if not watch.wait(PATIENCE):
                raise TimeoutError("the worker has stopped working")
        watch.close()

    def begun(self) -> dict[int, int]:
        """When each numbered task began: nanoseconds since the epoch."""
        lines = self.journal_path.read_text().splitlines()
        return {int(number): int(began) for number, began in (line.split() for line in lines)}


@contextmanager
def scene() -> Iterator[Scene]:
    """A fresh scene on a real disk (not /tmp where that is memory)."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCHMARK_FOLDER")) as folder:
        made = Scene(Path(folder))
        try:
            yield made
        finally:
            made.queue.close()
