"""What a shell completes words to: what the server knows, if it answers at once and the word is safe to insert."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import closing
from typing import Any

import click
import pytest

from headbox.cli import completing
from headbox.cli.completing import Pair, callables, matching, offer, queues, task_ids
from headbox.cli.main import run


class Server:
    """Answers by path."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers

    def get(self, path: str) -> Any:
        return self.answers.get(path.strip("/"))

    get_if_known = get

    def first(self, path: str, query: Any, limit: int) -> tuple[Any, bool]:
        return self.answers["tasks"], False


def context(**typed: Any) -> click.Context:
    found = click.Context(click.Command("x"))
    found.params.update(typed)
    return found


def test_what_a_server_knows_is_read_with_what_it_means() -> None:
    tasks = [{"id": "1", "state": "running", "method_name": "sync"}]
    assert list(task_ids()(Server(tasks=tasks))) == [("1", "running sync")]
    known = [{"method_name": "sync", "docstring": "\n  Mirrors.\n\nMore."}, {"method_name": "x", "docstring": None}]
    assert list(callables(Server(callables=known))) == [("sync", "Mirrors."), ("x", "")]
    assert list(queues(Server(queues=[{"name": "a", "waiting": 3}]))) == [("a", "3 waiting")]
    assert list(queues(Server(workers=[{"queues": ["b"]}]))) == [("b", "")]


@pytest.mark.parametrize(
    "evil", ["$(touch x)", "`x`", "a;b", "a b", "a\nb", "a,b", "a'b", "~", "*", "\x1b[2J", "\u202e", ""]
)
def test_a_word_that_is_more_than_a_word_to_a_shell_is_left_out(evil: str) -> None:
    assert matching([(evil, "x"), ("good", "y")], "") == [("good", "y")]


def test_only_what_begins_so_is_offered_and_its_meaning_is_one_line() -> None:
    pairs = [("ab", "x\n\x1b[2J" + "y" * 99), ("b", "")]
    ((value, meaning),) = matching(pairs, "a")
    assert value == "ab" and meaning.isprintable() and len(meaning) <= 60


@pytest.mark.parametrize("answer", [5, None, [5], [{"x": 1}], {"detail": "no"}])
def test_something_that_is_no_headbox_has_nothing_to_offer(answer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completing, "connect", lambda *words: Server(callables=answer))
    assert offer(callables, context(), "") == []


def test_a_server_that_is_slow_is_not_waited_for(capfd: pytest.CaptureFixture[str]) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        started = time.monotonic()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        assert offer(callables, context(url=url), "") == []
        assert time.monotonic() - started < 5
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("typed", [{"url": "http://127.0.0.1:9/"}, {"url": "nonsense"}, {"url": "", "user": "ann"}])
def test_where_nobody_can_be_asked_there_is_silence(typed: dict[str, str], capfd: pytest.CaptureFixture[str]) -> None:
    def source(client: Any) -> Iterable[Pair]:
        return [("reached", client.get("callables/"))]

    assert offer(source, context(**typed), "") == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("shell", "word"), [("bash", "complete -o"), ("zsh", "compdef"), ("fish", "complete --no-files")]
)
def test_each_shell_has_its_script(shell: str, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == 0
    out = capsys.readouterr().out
    assert word in out and "_HEADBOX_COMPLETE" in out


def test_completing_commands_asks_no_server_and_loads_no_client() -> None:
    code = """
import os, sys
os.environ.update(_HEADBOX_COMPLETE="bash_complete", COMP_LINE="headbox task l")
from headbox.cli.main import run
status = run([])
print(status, "headbox.cli.completing" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["plain,list", "0 False"]
