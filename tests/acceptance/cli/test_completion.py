"""Completion in a real shell, beside a real service."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.service import Home

SCRIPT = """
eval "$(headbox completion bash)"
COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMPREPLY=()
_headbox_completion headbox
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def completed(home: Home, words: str) -> list[str]:
    """What Bash offers for the last of the words."""
    path = f"{Path(sys.executable).parent}:{home.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", SCRIPT.format(words=words)],
        cwd=home.path,
        env={**home.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("headbox sche", ["schedule"]),
        ("headbox task resu", ["resume"]),
        ("headbox task list --state wait", ["waiting"]),
        ("headbox task enqueue ''", ["add", "fail", "hold", "variables"]),
        ("headbox task list --name a", ["add"]),
        ("headbox completion ''", ["bash", "zsh", "fish"]),
    ],
)
def test_bash_completes_commands_and_what_the_server_knows(words: str, offered: list[str], served: Home) -> None:
    assert completed(served, words) == offered


def test_bash_completes_ids_of_tasks_that_the_command_can_change(served: Home) -> None:
    id = served.json("task", "enqueue", "add", "1", "--schedule", "2999-01-01T00:00:00Z")["id"]
    assert completed(served, f"headbox task cancel {id[:-4]}") == [id]
    assert completed(served, f"headbox task resume {id[:-4]}") == []
    served.ok("task", "suspend", id)
    assert completed(served, f"headbox task resume {id[:-4]}") == [id]


def test_without_a_service_commands_are_completed_all_the_same(home: Home) -> None:
    assert completed(home, "headbox task enqueue ''") == []
    assert completed(home, "headbox task in") == ["info"]
