from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from headbox.storage.sqlite.database import SQLiteDatabase, _Work


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SQLiteDatabase]:
    database = SQLiteDatabase(tmp_path / "headbox.db")
    with database.exclusive() as connection:
        connection.execute("CREATE TABLE headbox_settings (name TEXT PRIMARY KEY, value TEXT)")
    yield database
    database.close()


def keep(name: str) -> Callable[[Any], int]:
    return lambda tx: tx.change("change_setting", name=name, value="kept")


def kept(database: SQLiteDatabase) -> set[str]:
    with database.reading() as tx:
        return {name for (name,) in tx.select("SELECT name FROM headbox_settings", {})}


def start(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def wait_for(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_whatever_waits_while_another_writes_shares_the_next_commit(database: SQLiteDatabase) -> None:
    said: list[str] = []
    with database.exclusive() as connection:
        connection.set_trace_callback(said.append)
        threads = [start(lambda name=str(n): database.write(keep(name))) for n in range(20)]  # type: ignore[misc]
        wait_for(lambda: len(database._queue) == 20)
    for thread in threads:
        thread.join()
    assert kept(database) == {str(number) for number in range(20)}
    assert said.count("COMMIT") == 1


def test_one_that_fails_does_not_fail_the_others(database: SQLiteDatabase) -> None:
    errors: list[Exception] = []

    def fail() -> None:
        try:
            database.write(lambda tx: keep("undone")(tx) and 1 // 0)
        except ZeroDivisionError as error:
            errors.append(error)

    with database.exclusive():
        threads = [start(lambda: database.write(keep("before"))), start(fail), start(lambda: database.write(keep("x")))]
        wait_for(lambda: len(database._queue) == 3)
    for thread in threads:
        thread.join()
    assert len(errors) == 1 and kept(database) == {"before", "x"}


def test_a_caller_that_was_interrupted_at_the_head_of_the_queue_holds_nobody_up(database: SQLiteDatabase) -> None:
    database._queue.append(_Work(keep("of one who is gone")))
    database.write(keep("of another"))
    assert "of another" in kept(database)


class InterruptedOnce(deque[Any]):
    """A queue whose reader is interrupted just when it has taken the first two out."""

    taken = 0

    def popleft(self) -> Any:
        first = super().popleft()
        self.taken += 1
        if self.taken == 2:
            raise KeyboardInterrupt
        return first


def test_a_caller_that_is_interrupted_while_it_takes_others_along_leaves_none_behind(database: SQLiteDatabase) -> None:
    ended: list[str] = []

    def write(name: str) -> None:
        with suppress(KeyboardInterrupt):
            database.write(keep(name))
            ended.append(name)

    database._queue = InterruptedOnce()
    with database.exclusive():
        threads = [start(lambda name=str(n): write(name)) for n in range(5)]  # type: ignore[misc]
        wait_for(lambda: len(database._queue) == 5)
    wait_for(lambda: not any(thread.is_alive() for thread in threads))
    assert len(ended) == 4 and set(ended) <= kept(database)
