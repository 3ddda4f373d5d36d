from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headbox.clock import SharedClock
from headbox.identifiers import new_id
from headbox.storage.postgres.connections import Connections
from headbox.storage.postgres.grouping import Grouping
from headbox.storage.postgres.notices import Notices
from headbox.storage.sqlite.database import SQLiteDatabase

OPENED: dict[str, Callable[[Path], Any]] = {
    "sqlite": lambda folder: SQLiteDatabase(folder / "headbox.db"),
    "connections": lambda folder: Connections("", "", lambda connection: None),
    "grouping": lambda folder: Grouping(lambda tasks, now: None),
}


@pytest.mark.parametrize("kind", OPENED)
def test_a_fork_has_forgotten_what_was_opened_before_it_has_threads_that_could_see_half_of_it(
    tmp_path: Path, kind: str
) -> None:
    opened = OPENED[kind](tmp_path)
    if (child := os.fork()) == 0:
        os._exit(7 if opened._pid == os.getpid() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert opened._pid == os.getpid()


@pytest.mark.parametrize(
    ("locked", "use"),
    [
        (new_id, new_id),
        (clock := SharedClock(lambda: 1), clock.now),
        (notices := Notices(), lambda: notices._due([("a queue", "")])),
    ],
    ids=["ids", "clock", "notices"],
)
def test_a_fork_goes_on_though_another_thread_of_its_parent_held_the_lock(
    locked: Any, use: Callable[[], object]
) -> None:
    with locked._lock:
        if (child := os.fork()) == 0:
            signal.alarm(10)
            use()
            os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
