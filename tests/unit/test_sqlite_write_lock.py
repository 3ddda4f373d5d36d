from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from headbox.domain.errors import StorageUnavailable
from headbox.storage.sqlite import write_lock
from headbox.storage.sqlite.database import SQLiteDatabase
from headbox.storage.sqlite.write_lock import WriteLock


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
    before, mine = os.open(path, os.O_RDWR), WriteLock(str(path))
    if waits:
        fcntl.flock(before, fcntl.LOCK_EX)
        threading.Timer(0.05, fcntl.flock, [before, fcntl.LOCK_UN]).start()
    with mine.held(60):
        fork = a_fork_that_lives()
        fork.__enter__()
        assert not is_free(path)
    assert is_free(path)
    fork.__exit__(None, None, None)
    os.close(before)
    mine.close()


def wait_for(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_who_waits_has_the_lock_before_the_one_that_held_it_for_long_has_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_lock, "LONG", 0.0)
    holder, other = (WriteLock(str(tmp_path / "lock")) for _ in range(2))
    turns: list[str] = []

    def write() -> None:
        with other.held(60):
            turns.append("other")

    for _ in range(20):
        turns.clear()
        with holder.held(60):
            thread = threading.Thread(target=write)
            thread.start()
            wait_for(holder.is_wanted)
        with holder.held(60):
            turns.append("holder")
        thread.join()
        assert turns == ["other", "holder"]
    assert holder.is_in_demand()


def test_who_gives_up_waiting_stands_in_nobodys_way(tmp_path: Path) -> None:
    holder, other = (WriteLock(str(tmp_path / "lock")) for _ in range(2))
    refused = pytest.raises(StorageUnavailable, match="somebody else has been writing")
    with holder.held(60), refused, other.held(0.01):
        pass
    wait_for(lambda: not holder.is_wanted())
    with other.held(60):
        pass


def test_a_fork_does_not_keep_the_lock_of_a_parent_that_is_killed(tmp_path: Path) -> None:
    database = SQLiteDatabase(tmp_path / "headbox.db")
    with database.exclusive():
        file = database._write_lock.file()
        if (child := os.fork()) == 0:
            try:
                os.fstat(file)
            except OSError:
                os._exit(7)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    database.close()
