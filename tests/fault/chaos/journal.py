"""The side journal, as the engine and the checker read it: what tasks have written at their start and end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Line(NamedTuple):
    """What a run has said. `mark` names the execution, `supervisor` is the process that it was given by, `time` is the
    true one, in microseconds UTC."""

    what: str  # start, end
    id: str
    run: int
    token: str
    mark: str
    supervisor: int
    time: int


class Journal:
    """A file that only ever grows. `ended` counts the runs that have come to their end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()
        self._lock = threading.Lock()
        self._read = 0
        self._ended = 0

    def ended(self) -> int:
        """How many runs have written their last line, so far."""
        with self._lock, self.path.open("rb") as file:
            file.seek(self._read)
            new = file.read()
            whole = new.rfind(b"\n") + 1
            self._read += whole
            self._ended += new[:whole].count(b"end ")
            return self._ended

    def place(self) -> int:
        """Where it ends at the moment."""
        return self.path.stat().st_size

    def lines(self, place: int = 0) -> Iterator[Line]:
        """Every line from a place on, in the order of writing."""
        with self.path.open() as file:
            file.seek(place)
            for text in file:
                if text.endswith("\n"):
                    what, id, run, token, mark, supervisor, time = text.split()
                    yield Line(what, id, int(run), token, mark, int(supervisor), int(time))
