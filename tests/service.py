"""A real `headbox serve` in a directory and a home of its own, and the commands that a person types beside it."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

PATIENCE = 30.0  # seconds after which a line that has not come is a failure

APP = '''
import os
import signal
from headbox import TaskQueue, current_task

queue = TaskQueue()

@queue.task
def add(a, b=1):
    return a + b

@queue.task
def fail(message="it went wrong"):
    raise ValueError(message)

@queue.task
def variables():
    return sorted(name for name in os.environ if name.startswith("HEADBOX_"))

@queue.task
def hold(fifo):
    """Runs until something is written to the fifo."""
    current_task().report({"files": {"done": 1, "total": 3}, "bytes": {"done": 1000, "total": None}})
    with open(fifo) as file:
        return file.read()
'''


class Home:
    """Where a person works: a directory with an application in it, and a home directory."""

    command = (sys.executable, "-m", "headbox")

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state = path / "home" / ".local" / "state" / "headbox"
        (path / "home").mkdir()
        self.write("app.py", APP)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HEADBOX_", "XDG_"))}
        self.environ = {**kept, "HOME": str(path / "home"), "COLUMNS": "120"}

    def write(self, name: str, text: str) -> Path:
        path = self.path / name
        path.write_text(text)
        return path

    def run(self, *words: str, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
        """A command, to its end."""
        return subprocess.run(
            [*self.command, *words],
            cwd=self.path,
            env={**self.environ, **environ},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def ok(self, *words: str, stdin: str = "", **environ: str) -> str:
        """The output of a command that must succeed."""
        done = self.run(*words, stdin=stdin, **environ)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def json(self, *words: str) -> Any:
        """What a command prints for scripts."""
        return json.loads(self.ok(*words, "--json"))

    def refused(self, *words: str, status: int = 1, stdin: str = "", **environ: str) -> str:
        """The one sentence of a command that must fail, and with which status."""
        done = self.run(*words, stdin=stdin, **environ)
        assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
        sentence = done.stderr.strip()
        assert "Traceback" not in sentence and "\n" not in sentence and sentence.startswith("headbox: "), sentence
        return sentence

    def fifo(self, name: str = "fifo") -> Path:
        path = self.path / name
        os.mkfifo(path)
        return path


class Output:
    """What a process prints, line by line as it comes."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._rest = b""
        self.lines: list[str] = []

    def until(self, pattern: str) -> str:
        """The next line in which `pattern` is found."""
        deadline = time.monotonic() + PATIENCE
        while True:
            line, newline, rest = self._rest.partition(b"\n")
            if newline:
                self._rest = rest
                self.lines.append(line.decode())
                if re.search(pattern, self.lines[-1]):
                    return self.lines[-1]
                continue
            ready, _, _ = select.select([self._pipe], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"no line with {pattern!r} came, but {self.lines}"
            chunk = os.read(self._pipe.fileno(), 65536)
            assert chunk, f"it ended without a line with {pattern!r}, but {self.lines}"
            self._rest += chunk

    def rest(self) -> str:
        """All that has been printed, to the end."""
        self.lines += (self._rest + self._pipe.read()).decode().splitlines()
        self._rest = b""
        return "\n".join(self.lines)


class Serve:
    """A `headbox serve`, `api` or `work` that runs."""

    def __init__(self, home: Home, command: str, *options: str, **environ: str) -> None:
        self.process = subprocess.Popen(
            [*home.command, command, *options],
            cwd=home.path,
            env={**home.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.process.stdout is not None and self.process.stderr is not None
        self.out, self.err = Output(self.process.stdout), Output(self.process.stderr)

    @property
    def pid(self) -> int:
        return self.process.pid

    def ready(self) -> str:
        """Waits until commands can find it. Its URL."""
        url = self.out.until("Headbox answers at ").split()[3]
        self.out.until("task watch")
        return url

    def child(self, name: str) -> int:
        """The pid of its `api` or `work`."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        named = [
            int(pid) for pid in children if name.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        ]
        assert len(named) == 1
        return named[0]

    def family(self) -> list[int]:
        """The pids of all processes that descend from it."""
        found, parents = [], [self.pid]
        while parents:
            parent = parents.pop()
            children = [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
            found += children
            parents += children
        return found

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """Its exit status."""
        status = self.process.wait(PATIENCE)
        self.out.rest()
        self.err.rest()
        return status

    def stop(self) -> int:
        """Ends it as a person does."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait()


def have_ended(pids: list[int]) -> bool:
    """Waits for processes that need not be children of ours to end; whether all have."""
    descriptors = []
    for pid in pids:
        try:
            descriptors.append(os.pidfd_open(pid))
        except ProcessLookupError:
            continue
    try:
        return all(select.select([descriptor], [], [], PATIENCE)[0] for descriptor in descriptors)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


class Starter:
    """Starts services and ends those that are still there."""

    def __init__(self) -> None:
        self.started: list[Serve] = []

    def __call__(self, home: Home, *options: str, command: str = "serve", **environ: str) -> Serve:
        port = [] if command == "work" or "--port" in options else ["--port", "0"]
        serve = Serve(home, command, *port, *options, **environ)
        self.started.append(serve)
        return serve

    def end(self) -> None:
        for serve in self.started:
            if serve.process.poll() is None:
                serve.process.kill()  # its children go with it
            serve.wait()
