"""Commands against servers that speak HTTP and JSON, and are no Headbox of this version."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Thread
from typing import Any

import pytest

from headbox.cli.connection import own_version
from headbox.cli.main import run
from tests.unit.test_cli_client import Server, json_answer

COMMANDS = (
    ["task", "list"],
    ["task", "list", "--json"],
    ["task", "info", "1"],
    ["task", "runs", "1"],
    ["task", "watch", "1"],
    ["task", "enqueue", "x", "--wait"],
    ["task", "cancel", "1"],
    ["task", "cancel", "--name", "x", "--yes"],
    ["task", "reset", "--name", "x", "--yes"],
    ["task", "reschedule", "1", "PT1H"],
    ["task", "snapshots"],
    ["task", "snapshot", "1"],
    ["job", "list"],
    ["job", "info", "1"],
    ["job", "cancel", "1"],
    ["worker", "list"],
    ["stats"],
    ["top", "--once"],
    ["top", "--json"],
    ["token", "list"],
    ["token", "create", "x"],
)
ANSWERS: tuple[Any, ...] = ({}, [], [{}], [5], 5, None, "x", {"state": 5}, {"tasks": 5}, [{"id": []}])


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("answer", ANSWERS, ids=str)
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_an_odd_answer_is_no_traceback(
    words: list[str], answer: Any, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answer = lambda path: json_answer(200, answer)
    status = run([*words, "--url", server.url])
    said = capsys.readouterr().err
    assert status in (0, 1)
    assert said.count("\n") == (1 if status else 0), said


def test_a_bug_against_a_headbox_of_this_version_is_not_hidden(server: Server) -> None:
    document = {"info": {"title": "Headbox", "version": own_version()}}
    server.answer = lambda path: json_answer(200, document)
    with pytest.raises(KeyError):
        run(["stats", "--url", server.url])
