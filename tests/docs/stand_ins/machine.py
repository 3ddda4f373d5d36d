"""The machine of a page: a folder that is its root, and the accounts that it has."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

ROOT: Final = Path(__file__).parents[3]
MACHINE: Final = Path(os.environ.get("MACHINE", os.devnull))
NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
# An absolute path, but for those of the programs that the tests' own machine has, and the database file in a URL.
ABSOLUTE: Final = re.compile(r"(?:(?<![\w./$}])|(?<=sqlite:///))/(?!usr/|bin/|dev/)[a-z][^\s:;'\",&]*")


def inside(text: str, root: Path = MACHINE, mounts: Mapping[str, str] = NOTHING) -> str:
    """The text with its absolute paths below that root, or where they are mounted from."""

    def place(found: re.Match[str]) -> str:
        path = found[0]
        for target, folder in mounts.items():
            if f"{path}/".startswith(f"{target}/"):
                return folder + path.removeprefix(target)
        return path if path.startswith(f"{root}/") else f"{root}{path}"

    return ABSOLUTE.sub(place, text)


def program(name: str) -> list[str]:
    """How one of the stand-ins is called."""
    return [sys.executable, str(Path(__file__).parent), name]


def write_program(path: Path, command: str) -> None:
    """A file that can be executed: these lines of a shell."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{command}\n", "utf-8")
    path.chmod(0o755)


def accounts() -> dict[str, str]:
    """The users that were added, and their homes."""
    path = MACHINE / "etc/passwd"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return dict(line.split(":", 1) for line in lines)


def add_account(name: str, home: str) -> None:
    """A user of the machine."""
    path = MACHINE / "etc/passwd"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{name}:{home}\n")


def settings(text: str) -> dict[str, str]:
    """The lines NAME=value of a file of variables; a service gets a free port in place of the usual one."""
    given = dict(line.split("=", 1) for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return {name: "0" if (name, value) == ("HEADBOX_PORT", "8000") else value for name, value in given.items()}
