"""How commands find a `serve` of the same user on this machine: it leaves its address and a token in a 0600 file."""

from __future__ import annotations

import json
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

OWN = 0o077  # what nobody else may do
ENDED = ("Z", "X")  # states of a process that has only its parent to wait for it


class LocalService(NamedTuple):
    """A running `serve`: its process, where its API is, which database it serves, and a token for its user."""

    pid: int
    process_start: int
    url: str
    database: str
    token: str | None


def places(environ: Any = os.environ) -> list[Path]:
    """Where such files are: the session's runtime directory if there is one, and the home directory."""
    runtime = environ.get("XDG_RUNTIME_DIR")
    home = Path(environ.get("HOME") or "~").expanduser() / ".local" / "state" / "headbox"
    return [Path(runtime) / "headbox", home] if runtime and Path(runtime).is_dir() else [home]


def leave(service: LocalService, environ: Any = os.environ) -> Path:
    """Writes the service's file, readable by its user alone, in place of an earlier one of that process. Its path."""
    directory = places(environ)[0]
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / f"{service.pid}.json"
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(service._asdict(), file)
    part.rename(path)
    return path


def find(environ: Any = os.environ) -> list[LocalService]:
    """The services that run now. Files of those that have died are taken away."""
    found = []
    for place in places(environ):
        for path in sorted(place.glob("*.json")) if place.is_dir() else ():
            service = read(path)
            if service is None:
                continue
            if process_start(service.pid) == service.process_start:
                found.append(service)
            else:
                with suppress(OSError):
                    path.unlink()
    return found


def read(path: Path) -> LocalService | None:
    """What the file says; None where it is not this user's own, or is no such file."""
    try:
        with path.open() as file:
            status = os.fstat(file.fileno())
            if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & OWN:
                return None
            return LocalService(**json.load(file))
    except (OSError, ValueError, TypeError):
        return None


def process_start(pid: int) -> int | None:
    """When the process started, in clock ticks after boot (proc(5), stat, field 22); None if it does not run."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if state in ENDED else int(fields[18])
    except (OSError, IndexError, ValueError):
        return None


def absolute(database: str) -> str:
    """The database's URL as any process on this machine can use it, wherever it was started."""
    scheme, separator, path = database.partition(":///")
    return scheme + separator + os.path.realpath(path) if scheme == "sqlite" else database
