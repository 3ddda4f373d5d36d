"""The processes under chaos: workers and an API, started as a user would, each started again when it was killed."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from tests.fault.chaos.wall_clock import WallClock

MARK = "CHAOS_MARK"
GIVEN_UP = " ERROR headbox.worker.startup: "
PATIENCE = 90.0  # seconds; nothing here takes that long
TREE = Path(__file__).parents[3]


class Stuck(Exception):
    """What should have happened did not, in all of `PATIENCE`."""


def until(condition: Callable[[], object], what: str, patience: float = PATIENCE) -> float:
    """Waits for the condition; how long that took."""
    begun = time.monotonic()
    while not condition():
        if time.monotonic() > begun + patience:
            raise Stuck(f"in vain for {patience:.0f} s: {what}")
        time.sleep(0.01)
    return time.monotonic() - begun


class Process:
    """A `headbox …`, with all that it has started. Its log goes on over its lives."""

    def __init__(self, name: str, command: list[str], folder: Path, environment: dict[str, str]) -> None:
        self.name = name
        self.mark = uuid4().hex
        self.log_path = folder / f"{name}.log"
        self._command = command
        shell = {name: value for name, value in os.environ.items() if not name.startswith("HEADBOX_")}
        self._environment = shell | environment | {MARK: self.mark, "XDG_RUNTIME_DIR": str(folder)}
        self.process: subprocess.Popen[bytes]
        self.falls: list[str] = []  # ends that nobody had asked for
        self.start()

    def start(self) -> None:
        """Starts it (again)."""
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "headbox", *self._command],
                cwd=TREE,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def pid(self) -> int:
        """Of the process itself."""
        return self.process.pid

    @property
    def log(self) -> str:
        """All that it has said so far."""
        return self.log_path.read_text(errors="replace")

    def pids(self) -> list[int]:
        """Every living process of it."""
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
        return sorted(found)

    def forkserver(self) -> int | None:
        """The process that forks the children, if there is one at the moment: the first one that was started."""
        others = [pid for pid in self.pids() if pid != self.pid]
        return next((pid for pid in others if parent(pid) == self.pid), None)

    def children(self) -> list[int]:
        """The processes that run tasks."""
        forkserver = self.forkserver()
        return [pid for pid in self.pids() if pid not in (self.pid, forkserver)]

    def has_given_up(self) -> bool:
        """Whether it has found the database away when it started, and said so: whoever runs it starts it again."""
        return self.process.poll() == 1 and GIVEN_UP in self.log.splitlines()[-1]

    def note_fall(self) -> None:
        """Notes if it has ended though nobody has killed it."""
        status = self.process.poll()
        if status is not None and not self.has_given_up():
            self.falls.append(f"{self.name} ended by itself, status {status}: {self.log[-1500:]}")

    def kill(self) -> None:
        """SIGKILL, and another life."""
        self.note_fall()
        self.process.kill()
        self.start_again()

    def start_again(self) -> None:
        """Starts it as soon as it has ended."""
        self.process.wait()
        self.start()

    def drain(self) -> None:
        """SIGTERM, and another life."""
        self.note_fall()
        self.process.terminate()
        status = self.process.wait(PATIENCE)
        if status not in (0, -signal.SIGTERM):  # by the signal itself: it was not yet at work
            self.falls.append(f"{self.name} was told to stop and ended with status {status}: {self.log[-1500:]}")
        self.start()

    def close(self) -> None:
        """Ends it, whatever it does."""
        for pid in self.pids():
            kill(pid)
        self.process.wait()


class API(Process):
    """`headbox api`, on a port that it keeps over its lives."""

    def __init__(self, port: int, folder: Path, environment: dict[str, str]) -> None:
        self.port = port
        super().__init__("api", ["api", "--port", str(port)], folder, environment)

    def is_ready(self) -> bool:
        """Whether it says so."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def parent(pid: int) -> int:
    """The parent of a process, 0 if it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def kill(pid: int) -> bool:
    """SIGKILL. Whether the process was still there."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class House:
    """Several workers and an API on one database."""

    def __init__(self, folder: Path, api: API, workers: list[Process], clocks: list[WallClock]) -> None:
        self.folder = folder
        self.api = api
        self.workers = workers
        self.clocks = clocks  # one for each machine

    @property
    def processes(self) -> list[Process]:
        """All of them."""
        return [self.api, *self.workers]

    def revive(self) -> int:
        """Starts the workers again that have given up, as an operating system would. How many those are."""
        idle = [worker for worker in self.workers if worker.has_given_up()]
        for worker in idle:
            worker.start()
        return len(idle)

    def falls(self) -> list[str]:
        """What has ended though nobody has killed it."""
        for process in self.processes:
            process.note_fall()
        return [fall for process in self.processes for fall in process.falls]

    def note_stacks(self) -> None:
        """Appends to each log what every thread of the process is at."""
        for each in self.processes:
            with each.log_path.open("ab") as log:
                command = [str(Path(sys.executable).with_name("py-spy")), "dump", "--pid", str(each.pid)]
                subprocess.run(command, stdout=log, stderr=log)

    def close(self) -> None:
        """Ends all of them."""
        for process in self.processes:
            process.close()
