"""`systemctl` without systemd: units are read as it reads them, what they name has to be there, and what they start is
started. Where systemd-analyze is at hand it verifies them too."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from configparser import ConfigParser
from pathlib import Path
from typing import Final

from tests.docs.stand_ins.machine import MACHINE, accounts, inside, settings

UNITS: Final = MACHINE / "etc/systemd/system"
RUNNING: Final = MACHINE / "run"
PATIENCE: Final = 30.0
READY: Final = {"api": "Headbox answers at", "work": ""}  # what it says once it is


def systemctl(command: str, *words: str) -> None:
    """`daemon-reload`, `enable --now`, `restart`, `stop` or `is-active`, with units."""
    names = [word for word in words if not word.startswith("-")]
    if command == "daemon-reload":
        verify()
    elif command == "is-active":
        print("\n".join("active" if _pid(name) else "inactive" for name in names))  # noqa: T201
    else:
        assert command in ("restart", "stop") or (command == "enable" and "--now" in words), command
        for name in names:
            stop(name) if command != "enable" else None
            start(name) if command != "stop" else None


def verify() -> None:
    """ValueError for a unit that cannot be read; systemd's own verdict where it is here."""
    files = sorted(UNITS.glob("*.service"))
    for path in files:
        assert read(path.name)["Install"]["WantedBy"] == "multi-user.target"
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        return
    for path in (UNITS, *UNITS.glob("*.d")):
        for file in path.glob("*.*"):
            if file.is_file():
                target = MACHINE / "verified" / file.relative_to(UNITS)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(inside(file.read_text("utf-8")), "utf-8")
    given = [str(MACHINE / "verified" / path.name.replace("@.", "@1.")) for path in files]
    done = subprocess.run([analyze, "verify", *given], capture_output=True, text=True)
    said = [line for line in done.stderr.splitlines() if str(MACHINE / "verified") in line or "headbox" in line]
    if done.returncode or said:
        raise ValueError(done.stderr)


def read(name: str) -> ConfigParser:
    """A unit with what is dropped in beside it, its specifiers filled in, its paths below the machine's root. Of an
    assignment that may stand several times all are kept, one a line."""
    stem, _, instance = name.removesuffix(".service").partition("@")
    base = f"{stem}@" if "@" in name else stem
    parser = ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[method-assign, assignment]
    kinds = dict.fromkeys((base, name.removesuffix(".service")))
    dropped = [path for kind in kinds for path in sorted(UNITS.glob(f"{kind}.service.d/*.conf"))]
    if not (UNITS / f"{base}.service").exists():
        raise ValueError(f"Failed to enable unit: Unit {name}.service does not exist")
    files = [UNITS / f"{base}.service", *dropped]
    text = "\n".join(path.read_text("utf-8") for path in files).replace("%i", instance)
    repeated: dict[str, list[str]] = {}
    for key, value in re.findall(r"^(Environment|EnvironmentFile)=(.+)$", text, re.MULTILINE):
        repeated.setdefault(key, []).append(value)
    parser.read_string(inside(text))
    for key, values in repeated.items():
        parser["Service"][key] = inside("\n".join(values))
    return parser


def start(name: str) -> None:
    """Starts what a unit says, and waits until it is ready. ValueError where something that it names is not there."""
    service = read(name)["Service"]
    if service["User"] not in accounts():
        raise ValueError(f"{name}: Failed to determine user credentials: {service['User']}")
    state = MACHINE / "var/lib" / service["StateDirectory"]
    state.mkdir(parents=True, exist_ok=True, mode=int(service["StateDirectoryMode"], 8))
    environ = {"PATH": os.defpath, "HEADBOX_PORT": "0"}
    environ |= settings(service["Environment"])
    for file in service["EnvironmentFile"].splitlines():
        path = Path(file.removeprefix("-"))
        if path.exists() or not file.startswith("-"):
            environ |= settings(inside(path.read_text("utf-8")))
    RUNNING.mkdir(exist_ok=True)
    log = RUNNING / f"{name}.log"
    with log.open("w") as file_of_log:
        process = subprocess.Popen(
            shlex.split(service["ExecStart"]), cwd=service["WorkingDirectory"], env=environ,
            stdin=subprocess.DEVNULL, stdout=file_of_log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    (RUNNING / f"{name}.pid").write_text(str(process.pid))
    deadline = time.monotonic() + PATIENCE
    while READY[shlex.split(service["ExecStart"])[1]] not in log.read_text("utf-8"):
        if process.poll() is not None or time.monotonic() > deadline:
            raise ValueError(f"{name} does not start:\n{log.read_text('utf-8')}")
        time.sleep(0.02)


def stop(name: str) -> None:
    """SIGTERM to its first process, and at the end of its patience to none other: it has to go by itself."""
    pid = _pid(name)
    if pid is None:
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + float(read(name)["Service"]["TimeoutStopSec"])
    while _pid(name) is not None:
        if time.monotonic() > deadline:
            raise ValueError(f"{name} does not end")
        time.sleep(0.02)


def _pid(name: str) -> int | None:
    """The process of a unit, if it runs: one that has ended may wait for its parent."""
    path = RUNNING / f"{name}.pid"
    stat = Path(f"/proc/{path.read_text()}/stat") if path.exists() else None
    if stat is None or not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] in "ZX":
        return None
    return int(path.read_text())
