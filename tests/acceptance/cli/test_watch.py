"""`headbox task watch` in a real terminal, beside a real service."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.acceptance.cli.conftest import Sitting
    from tests.service import Home, Starter


@contextmanager
def running(home: Home, name: str) -> Iterator[tuple[str, IO[str]]]:
    """A task that runs until something is written to the file."""
    fifo = home.fifo(name)
    id = home.json("task", "enqueue", "hold", name)["id"]
    with fifo.open("w") as file:
        yield id, file


@pytest.mark.parametrize("words", [["-f"], []])
def test_one_task_is_followed_to_its_end_with_its_status(words: list[str], served: Home, sit: Sitting) -> None:
    with running(served, f"one{len(words)}") as (id, file):
        terminal = sit(served, "task", "watch", *words, id)
        terminal.until("files .*━.* 1/3")
        file.write("well done")
    assert terminal.wait() == 0
    *_, title, result = str(terminal.screen).rstrip().splitlines()
    assert "finished" in title and result == '"well done"'
    assert "1/3" not in title.replace("files 1/3", "")
    failing = served.run("task", "enqueue", "fail", "--wait").stdout.split()[0]
    terminal = sit(served, "task", "watch", *words, failing, rows=60)
    assert terminal.wait() == 1
    assert "ValueError: it went wrong" in str(terminal.screen)


def test_following_nothing_in_particular_is_a_mistake(served: Home) -> None:
    assert "ids" in served.refused("task", "watch", "-f", status=2)


def test_what_has_ended_stays_above_what_runs(served: Home, sit: Sitting) -> None:
    with running(served, "first") as (_, first), running(served, "second") as (_, second):
        terminal = sit(served, "task", "watch", rows=12, columns=100)
        terminal.until(r"(?s)first.*second")
        first.write("x")
        first.close()
        assert terminal.until(r"(?s)finished.*second").count("second") == 1
        terminal.press("\x03")
        assert terminal.wait() == 130
        left = str(terminal.screen)
        assert "finished" in left and "second" not in left
        second.write("x")


def test_a_terminal_that_changes_its_size_stays_clean(served: Home, sit: Sitting) -> None:
    with running(served, "sized") as (id, file):
        terminal = sit(served, "task", "watch", id, columns=120)
        terminal.until("files .*1/3")
        for columns in (30, 60, 120):
            terminal.resize(columns, 24)
            length = len(terminal.raw)
            terminal.until_more(length)
            terminal.until(r"files +━")
        assert str(terminal.screen).count("files") == 1
        file.write("x")
    assert terminal.wait() == 0


def test_a_server_that_goes_away_and_comes_back_is_waited_for(start: Starter, home: Home, sit: Sitting) -> None:
    serve = start(home, "--app", "app:queue")
    serve.ready()
    with running(home, "kept") as (id, file):
        terminal = sit(home, "task", "watch", "-f", id)
        terminal.until("files .*1/3")
        os.kill(serve.child("api"), signal.SIGKILL)
        terminal.until("no answer for")
        terminal.until_gone("no answer for")
        file.write("back")
    assert terminal.wait() == 0
    assert str(terminal.screen).rstrip().endswith('"back"')
