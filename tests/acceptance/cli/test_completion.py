"""Completion in a real shell, beside a real service."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.service import Home

INSERT_ALL, TO_THE_BEGINNING = "\x1b*", "\x01"


def completed(home: Home, line: str) -> list[str]:
    """What Bash makes of the last word of a line that is typed: all that it can become."""
    path = f"{Path(sys.executable).parent}:{home.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-i"],
        cwd=home.path,
        env={**home.environ, "PATH": path, "TERM": "dumb", "INPUTRC": os.devnull},
        input=f'eval "$(headbox completion bash)"\n{line}{INSERT_ALL}{TO_THE_BEGINNING}echo \n',
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Traceback" not in done.stderr
    return done.stdout.split()[len(line.split(" ")) - 1 :]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("headbox sche", ["schedule"]),
        ("headbox task resu", ["resume"]),
        ("headbox task list --state wait", ["waiting"]),
        ("headbox task enqueue ", ["add", "fail", "hold", "variables"]),
        ("headbox task list --name a", ["add"]),
        ("headbox completion ", ["bash", "zsh", "fish"]),
    ],
)
def test_bash_completes_commands_and_what_the_server_knows(words: str, offered: list[str], served: Home) -> None:
    assert completed(served, words) == offered


@pytest.mark.parametrize("option", ["--url ", "--url="])
def test_a_url_before_the_word_is_one_word(option: str, served: Home) -> None:
    """Though Bash cuts it at its colons."""
    listing = f"headbox task list {option}{served.json('top')['url']}"
    assert completed(served, f"{listing} --name a") == ["add"]
    assert completed(served, f"{listing} --sta") == ["--state"]


def test_a_word_with_a_colon_is_completed_behind_it(served: Home) -> None:
    served.ok("task", "enqueue", "add", "1", "--job", "nightly:one")
    assert completed(served, "headbox job info nightly:o") == ["nightly:one"]


def test_bash_completes_ids_of_tasks_that_the_command_can_change(served: Home) -> None:
    id = served.json("task", "enqueue", "add", "1", "--schedule", "2999-01-01T00:00:00Z")["id"]
    assert completed(served, f"headbox task cancel {id[:-4]}") == [id]
    assert completed(served, f"headbox task resume {id[:-4]}") == [id[:-4]]
    served.ok("task", "suspend", id)
    assert completed(served, f"headbox task resume {id[:-4]}") == [id]


def test_without_a_service_commands_are_completed_all_the_same(home: Home) -> None:
    assert completed(home, "headbox task enqueue ") == []
    assert completed(home, "headbox task in") == ["info"]
