"""Tells `serve --reload` that the code has changed: any Python file below the current directory or the application."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Final

from inotify_simple import INotify, flags

SEEN: Final = flags.CLOSE_WRITE | flags.MOVED_TO | flags.MOVED_FROM | flags.DELETE | flags.CREATE
SKIPPED: Final = frozenset({"__pycache__", "node_modules", "site-packages"})
MOST: Final = 5_000  # directories; a tree with more is hardly one of code


class CodeWatch:
    """A watch over the directories that hold the code."""

    def __init__(self, app: str | None) -> None:
        self._inotify = INotify(nonblocking=True)
        self._directories: dict[int, Path] = {}
        for root in roots(app):
            self._add(root)

    def fileno(self) -> int:
        """For selectors: readable when something has changed, code or not."""
        return int(self._inotify.fileno())

    def change(self) -> Path | None:
        """The file that has changed, the first if several have since it was asked; None if it was no code."""
        return next(iter([*self._changes()]), None)

    def _changes(self) -> Iterator[Path]:
        for event in self._inotify.read(timeout=0):
            path = self._directories.get(event.wd, Path()) / event.name
            if event.mask & flags.ISDIR and event.mask & (flags.CREATE | flags.MOVED_TO):
                self._add(path)
            elif path.suffix == ".py" and not event.mask & flags.CREATE:
                yield path

    def _add(self, root: Path) -> None:
        for directory in directories(root):
            if len(self._directories) < MOST:
                self._directories[self._inotify.add_watch(directory, SEEN)] = directory


def roots(app: str | None) -> list[Path]:
    """The current directory and, if that is elsewhere, the one that the application's package is in."""
    here = Path.cwd()
    package = (app or "").partition(":")[0].partition(".")[0]
    spec = PathFinder.find_spec(package) if package else None  # looks, and imports nothing
    places = [] if spec is None else spec.submodule_search_locations or [os.path.dirname(spec.origin or ".")]
    return [here, *(Path(place) for place in places if not Path(place).is_relative_to(here))]


def directories(root: Path) -> Iterator[Path]:
    """The directory and those below it that may hold code of the user's own."""
    for place, names, _ in os.walk(root):
        if "pyvenv.cfg" in os.listdir(place):
            names.clear()
            continue
        names[:] = [name for name in names if name not in SKIPPED and not name.startswith(".")]
        yield Path(place)
