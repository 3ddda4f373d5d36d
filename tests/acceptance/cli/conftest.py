"""Each test has a directory of its own and may start services there; those that only look share one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

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


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home in which a service with the application runs, for all tests of a module."""
    starter = Starter()
    home = Home(tmp_path_factory.mktemp("served"))
    starter(home, "--app", "app:queue").ready()
    yield home
    starter.end()
