"""How the processes of a service begin: as another that has read its options, with a log, a parent and a pipe to it.
No command line here, which takes 2 MB of each."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, NoReturn


def become(variable: str, plan: Mapping[str, Any]) -> NoReturn:
    """Goes on as a process of the same number and command line that has nothing in its memory: `headbox.__main__`
    knows by the variable what it is to be, and that takes the plan from there."""
    words = [sys.executable, "-P", "-m", "headbox", *sys.argv[1:]]
    sys.stdout.flush()
    sys.stderr.flush()
    environment = {**os.environ, variable: json.dumps(plan)}
    os.execve(sys.executable, words, environment)  # noqa: S606 - there is no shell to be misled


def open_streams() -> None:
    """Makes sure that there are streams to read and write, and that any text can be written: a closed one reads as
    empty and swallows what is written."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - it takes the place of the descriptor
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def begin(parent: int | None) -> None:
    """Sets up the log on stderr and, for a `serve` that started it, ends with its parent whatever becomes of that."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    if parent is not None:
        import signal

        from headbox.worker.process import die_with_parent

        die_with_parent(signal.SIGKILL, parent)


def reporter(status_fd: int | None) -> Callable[[Mapping[str, Any]], None]:
    """Writes to the parent's pipe, a line of JSON each time; nowhere without a parent."""
    if status_fd is None:
        return lambda status: None
    os.set_inheritable(status_fd, False)
    pipe = os.fdopen(status_fd, "w", buffering=1)
    return lambda status: print(json.dumps(status), file=pipe)
