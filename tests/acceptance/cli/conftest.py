"""Each test has a directory of its own and may start services there; those that only look share one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.cli.emulator import Terminal
from tests.service import Home, Starter, have_ended


@pytest.fixture(scope="session")
def ended() -> Callable[[list[int]], bool]:
    """A function that waits for processes to end, and says whether all have."""
    return have_ended


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def start() -> Iterator[Starter]:
    starter = Starter()
    yield starter
    starter.end()


class Sitting:
    """Opens terminals and closes those that are still open."""

    def __init__(self) -> None:
        self.opened: list[Terminal] = []

    def __call__(self, home: Home, *words: str, columns: int = 80, rows: int = 24, **environ: str) -> Terminal:
        self.opened.append(Terminal(home, *words, columns=columns, rows=rows, **environ))
        return self.opened[-1]


@pytest.fixture
def sit() -> Iterator[Sitting]:
    """A function that runs a command in a terminal."""
    sitting = Sitting()
    yield sitting
    for terminal in sitting.opened:
        terminal.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home in which a service with the application runs, for all tests of a module."""
    starter = Starter()
    home = Home(tmp_path_factory.mktemp("served"))
    starter(home, "--app", "app:queue").ready()
    yield home
    starter.end()
