"""Changes of many tasks: which are found, what is asked first, and what becomes of those that are refused."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import click
import pytest

from headbox.cli.changes import CHUNK, change_found, change_named
from headbox.cli.client import Refused
from headbox.cli.filters import CANCEL, RESET, RESUME, describe

FILTERS = {"method_name": ("sync",)}


def task(id: str, state: str = "waiting", *, final: bool = False) -> dict[str, Any]:
    empty = dict.fromkeys(("class_name", "args", "kwargs", "start_time", "finish_time", "due_time", "exception"))
    return {**empty, "id": id, "state": state, "final": final, "method_name": "sync", "progress": None}


class Server:
    """Lists tasks, and changes each as it is asked to; `answers` holds the refusals."""

    def __init__(self, *tasks: dict[str, Any], **answers: int | None) -> None:
        self.tasks = tasks
        self.answers = answers
        self.asked: list[Any] = []
        self.gone_on = ""

    def pages(self, path: str, query: Mapping[str, Any]) -> Iterator[Any]:
        self.asked.append(query["state"])
        yield from self.tasks

    def post(self, path: str, body: Any = None, query: Mapping[str, Any] | None = None) -> Any:
        ids = list((query or {}).get("id") or [path.split("/")[1]])
        self.asked.append((path.split("/")[-2], *ids))
        for id in ids:
            if id in self.answers:
                raise Refused("no", self.answers[id])
        changed = [task(id, "canceled") for id in ids if id != self.gone_on]
        return changed if "id" in (query or {}) else changed[0]


def test_only_what_can_be_changed_is_found_and_a_run_that_was_not_the_last_is_not_reset() -> None:
    server = Server(task("a"), task("b", "error", final=True), task("c", "error"), task("d", "finished", final=True))
    change_found(server, RESET, {"state": ("archived",)}, confirmed=True, as_json=False)
    assert server.asked == [("archived",), ("reset", "b", "d")]


@pytest.mark.parametrize(("verb", "states"), [(CANCEL, ("incomplete",)), (RESET, ("error", "timed_out"))])
def test_without_a_state_the_likely_ones_are_meant(verb: Any, states: tuple[str, ...]) -> None:
    server = Server()
    assert change_found(server, verb, FILTERS, confirmed=False, as_json=False) == 0
    assert server.asked == [states]


def test_cancels_travel_together(capsys: pytest.CaptureFixture[str]) -> None:
    server = Server(*(task(str(number)) for number in range(CHUNK + 1)))
    assert change_found(server, CANCEL, FILTERS, confirmed=True, as_json=False) == 0
    assert [len(words) - 1 for words in server.asked[1:]] == [CHUNK, 1]
    assert capsys.readouterr().out == f"canceled {CHUNK + 1} tasks\n"


def test_what_has_gone_on_since_it_was_found_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    server = Server(task("a"), task("b"))
    server.gone_on = "b"
    assert change_found(server, CANCEL, FILTERS, confirmed=True, as_json=False) == 0
    assert capsys.readouterr().out == "canceled 1 task; 1 task had gone on meanwhile\n"


def test_a_chunk_that_is_refused_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert change_found(Server(task("a"), task("b"), b=403), CANCEL, FILTERS, confirmed=True, as_json=False) == 1
    out, err = capsys.readouterr()
    assert (out, err) == ("canceled 0 tasks\n", "headbox: a and 1 more: no\n")


def test_what_is_refused_is_said_and_the_rest_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    assert change_named(Server(b=409), CANCEL, ["a", "b", "c"], as_json=False) == 1
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()] == ["a", "c"]
    assert err == "headbox: b: no\n"


@pytest.mark.parametrize("status", [None, 401, 503])
def test_a_server_that_is_away_ends_it_and_what_was_done_is_shown(
    status: int | None, capsys: pytest.CaptureFixture[str]
) -> None:
    server = Server(b=status)
    with pytest.raises(Refused):
        change_named(server, CANCEL, ["a", "b", "c"], as_json=True)
    assert [changed["id"] for changed in json.loads(capsys.readouterr().out)] == ["a"]
    assert len(server.asked) == 2


def test_the_question_says_how_many_and_in_which_states() -> None:
    assert describe(RESUME, {"1": "suspended"}) == "resume 1 task (1 suspended)"
    many = {str(number): "waiting" if number < 1000 else "running" for number in range(1002)}
    assert describe(CANCEL, many) == "cancel 1,002 tasks (1,000 waiting, 2 running)"


def test_where_nobody_can_be_asked_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    server = Server(task("a"))
    with pytest.raises(click.UsageError, match=r"would cancel 1 task \(1 waiting\): say --yes"):
        change_found(server, CANCEL, FILTERS, confirmed=False, as_json=False)
    assert len(server.asked) == 1
