"""Where the peers keep their tasks: servers on free ports of this machine, each started at first use."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from benchmarks.figures import POSTGRES, SQLITE
from benchmarks.peers.catalogue import RABBITMQ, REDIS
from benchmarks.peers.environment import Unavailable
from benchmarks.scene import PostgresSite
from servers.postgres import Server

START_SECONDS = 60
# RabbitMQ's own script comes first: the one in /usr/sbin changes to a user of the system's.
SEARCHED = f"/usr/lib/rabbitmq/bin:{os.environ['PATH']}:/usr/sbin"


class Stores:
    """The stores of one run; what was started is ended with it."""

    def __init__(self, server: Server) -> None:
        self._postgres = PostgresSite(server)
        self._started: dict[str, str] = {}
        self._ends = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    @contextmanager
    def place(self, store: str, folder: Path) -> Iterator[str]:
        """The URL (of SQLite: the path) of an empty store."""
        if store == POSTGRES:
            with self._postgres.database() as url:
                yield url
        elif store == SQLITE:
            yield str(folder / "peer.db")
        else:
            if store not in self._started:
                self._started[store] = self._ends.enter_context(_STARTS[store]())
            if store == REDIS:
                _ask_redis(self._started[store], b"FLUSHALL")
            yield self._started[store]


@contextmanager
def _redis() -> Iterator[str]:
    """Redis without persistence: what it accepts is not durable."""
    port = _free_port()
    words = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with _running([_program("redis-server", "redis-server"), *words], {}, lambda: _is_open(port)):
        yield f"redis://127.0.0.1:{port}/0"


def _ask_redis(url: str, command: bytes) -> None:
    port = int(url.rpartition(":")[2].partition("/")[0])
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(command + b"\r\n")
        connection.recv(100)


@contextmanager
def _rabbitmq() -> Iterator[str]:
    """RabbitMQ with its defaults, a node of its own."""
    program, port, distribution, names = _program("rabbitmq-server", "rabbitmq-server"), *(_free_port() for _ in "123")
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            "HOME": folder,
            "ERL_EPMD_PORT": str(names),
            "RABBITMQ_NODENAME": f"benchmark{port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_MNESIA_BASE": f"{folder}/mnesia",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_PID_FILE": f"{folder}/pid",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }
        daemon = _running([_program("epmd", "erlang-base")], environment, lambda: _is_open(names))
        with daemon, _running([program], environment, lambda: _is_open(port)):
            yield f"amqp://guest:guest@127.0.0.1:{port}//"


_STARTS = {REDIS: _redis, RABBITMQ: _rabbitmq}


def _program(name: str, package: str) -> str:
    """A program of the system; as root it is installed where it is missing."""
    found = shutil.which(name, path=SEARCHED)
    if found is None and os.getuid() == 0 and shutil.which("apt-get"):
        command = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", package]
        subprocess.run(command, capture_output=True, check=False, env={**os.environ, "RUNLEVEL": "1"})
        found = shutil.which(name, path=SEARCHED)
    if found is None:
        raise Unavailable(f"{name} is not on this machine: install the package {package}")
    return found


@contextmanager
def _running(command: list[str], environment: dict[str, str], is_ready: Callable[[], bool]) -> Iterator[None]:
    """A server, from when it answers; ended with all that it started."""
    with tempfile.TemporaryDirectory() as folder:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **environment}, start_new_session=True, **quiet
        )
        try:
            end = time.monotonic() + START_SECONDS
            while not is_ready():
                if process.poll() is not None or time.monotonic() > end:
                    raise Unavailable(f"{Path(command[0]).name} did not start")
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            process.wait(START_SECONDS)


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
