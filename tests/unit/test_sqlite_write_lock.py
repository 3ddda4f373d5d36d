from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from headbox.storage.sqlite.database import SQLiteDatabase
from headbox.storage.sqlite.write_lock import write_lock


@contextmanager
def a_fork_that_lives() -> Iterator[None]:
    """It ends with the pipe that it reads."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    os.close(reading)
    yield
    os.close(writing)
    os.waitpid(child, 0)


def is_free(path: Path) -> bool:
    file = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(file)
    return True


@pytest.mark.parametrize("waits", [False, True], ids=["had at once", "waited for"])
def test_a_lock_is_let_go_though_a_process_was_forked_meanwhile(tmp_path: Path, waits: bool) -> None:
    path = tmp_path / "lock"
    path.touch()
    before, mine = (os.open(path, os.O_RDWR) for _ in range(2))
    if waits:
        fcntl.flock(before, fcntl.LOCK_EX)
        threading.Timer(0.05, fcntl.flock, [before, fcntl.LOCK_UN]).start()
    with write_lock(mine, str(path), 60):
        fork = a_fork_that_lives()
        fork.__enter__()
        assert not is_free(path)
    assert is_free(path)
    fork.__exit__(None, None, None)
    for file in (before, mine):
        os.close(file)


def test_a_fork_does_not_keep_the_lock_of_a_parent_that_is_killed(tmp_path: Path) -> None:
    database = SQLiteDatabase(tmp_path / "headbox.db")
    with database.exclusive():
        file = database._write_lock_file
        assert file is not None
        if (child := os.fork()) == 0:
            try:
                os.fstat(file)
            except OSError:
                os._exit(7)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    database.close()
