"""The door: which command runs, what is said when something goes wrong, and with which status it ends."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import click
import pytest

from headbox.cli import main
from headbox.cli.client import Refused
from headbox.cli.commands import Commands
from headbox.cli.main import COMMANDS, load, run
from headbox.domain.errors import ConfigError, InvalidSchedule, StorageUnavailable


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], int]:
    """Runs a command that raises something; the exit status."""

    def fail(error: BaseException) -> int:
        @click.command()
        def command() -> None:
            raise error

        monkeypatch.setattr(main, "load", lambda name: command)
        return run(["task"])

    return fail


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (click.ClickException("no"), 1, "headbox: no\n"),
        (ConfigError("bad"), 1, "headbox: bad\n"),
        (StorageUnavailable("away"), 1, "headbox: away\n"),
        (InvalidSchedule("when?"), 2, "headbox: when?\n"),
        (PermissionError(13, "Permission denied", "/x"), 1, "headbox: /x: Permission denied\n"),
        (OSError("odd"), 1, "headbox: odd\n"),
        (click.ClickException("\x1b[31mred\nlines"), 1, "headbox: \\x1b[31mred\\nlines\n"),
        (KeyboardInterrupt(), 130, "\n"),
        (click.Abort(), 130, ""),
    ],
)
def test_an_error_is_one_sentence_and_a_status(
    error: BaseException,
    status: int,
    said: str,
    failing: Callable[[BaseException], int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert failing(error) == status
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    ("words", "error", "document"),
    [
        (
            ["task", "--json"],
            Refused("no such task\x1b (404)", 404),
            {"error": "no such task\x1b (404)", "status": 404},
        ),
        (["task", "--json"], ConfigError("bad"), {"error": "bad", "status": None}),
        (
            ["task", "--json"],
            click.UsageError("what?", click.Context(click.Command("task"), info_name="task")),
            {"error": "what? (see 'task --help')", "status": None},
        ),
    ],
)
def test_an_error_is_json_for_scripts(
    words: list[str],
    error: BaseException,
    document: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    @click.command()
    @click.option("--json", is_flag=True)
    def command(json: bool) -> None:
        raise error

    monkeypatch.setattr(main, "load", lambda name: command)
    assert run(words) == (2 if isinstance(error, click.UsageError) else 1)
    out, err = capsys.readouterr()
    assert (out, json.loads(err), err.isascii()) == ("", document, True)


def test_json_after_the_end_of_the_options_is_no_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schedule", "preview", "--", "--json"]) == 2
    assert capsys.readouterr().err.startswith("headbox: ")


def words_of(command: click.Command, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that does something, and how it is called."""
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            inner = command.loaded(name) if isinstance(command, Commands) else command.commands[name]
            yield from words_of(inner, (*words, name))
    else:
        yield words, command


WITHOUT_JSON = {("serve",), ("api",), ("work",), ("completion",)}  # they print a log, and a script
ALL = [(words, command) for name in COMMANDS for words, command in words_of(load(name), (name,))]


@pytest.mark.parametrize(("words", "command"), ALL, ids=[" ".join(words) for words, _ in ALL])
def test_every_command_speaks_json_and_heeds_color(words: tuple[str, ...], command: click.Command) -> None:
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {"--color", "--no-color"} <= options
    assert ("--json" in options) is (words not in WITHOUT_JSON)


def test_a_bug_is_not_hidden(failing: Callable[[BaseException], int]) -> None:
    with pytest.raises(ZeroDivisionError):
        failing(ZeroDivisionError())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["frobnicate"], "No such command 'frobnicate'"),
        (["--nonsense"], "No such option '--nonsense'"),
        (["schedule", "preview"], "Missing argument 'EXPRESSION' (see 'headbox schedule preview --help')"),
        (["schedule", "preview", "PT5M", "--count", "0"], "--count"),
    ],
)
def test_a_wrong_call_is_one_sentence_and_2(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1


def test_nothing_at_all_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    assert "Usage: headbox" in capsys.readouterr().out


def test_every_command_that_is_listed_is_there() -> None:
    for name in COMMANDS:
        assert load(name).name == name


def test_a_listing_imports_no_command_and_nothing_heavy() -> None:
    code = """
import sys
from headbox.cli.main import run
run(["--help"])
loaded = [name for name in sys.modules if name.startswith("headbox.cli.") or name in ("uvicorn", "asyncio", "sqlite3")]
wanted = ["headbox.cli." + name for name in ("commands", "failure", "main", "process", "terminal", "typed")]
assert sorted(loaded) == wanted, loaded
"""
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_a_command_of_the_client_loads_no_server() -> None:
    code = """
import sys
from headbox.cli.main import run
assert run(["task", "list", "--url", "http://127.0.0.1:9/"]) == 1
heavy = {"uvicorn", "starlette", "sqlite3", "msgspec", "asyncio", "argon2", "headbox.task_queue.queue"}
loaded = heavy & set(sys.modules)
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize(
    ("expression", "times"),
    [
        ("R3/2999-01-01T00:00:00Z/PT5M", ["2999-01-01T00:00:00Z", "2999-01-01T00:05:00Z", "2999-01-01T00:10:00Z"]),
        ("2999-01-01T00:00:00+01:00", ["2998-12-31T23:00:00Z"]),
        ("9999-12-31T23:59:59Z", ["9999-12-31T23:59:59Z"]),
    ],
)
def test_a_schedule_is_previewed(expression: str, times: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schedule", "preview", expression, "--utc"]) == 0
    assert capsys.readouterr().out.splitlines() == times


def test_a_cron_schedule_is_previewed_on_its_own_wall_clock(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schedule", "preview", "cron: 30 2 * * * Europe/Paris", "--count", "400"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 400
    assert {line.split()[5] for line in lines} == {"CET", "CEST"}
    assert all(re.search(r"  in \d+ (s|min|h|d)$", line) for line in lines)


def test_a_preview_keeps_to_the_wall_clock_where_it_is_put_forward_and_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for start, offsets in ((1_806_000_000, ["+01:00", "+02:00"]), (1_824_700_000, ["+02:00", "+01:00"])):
        monkeypatch.setattr("headbox.clock.SystemClock.now", lambda clock, start=start: start * 1_000_000)
        assert run(["schedule", "preview", "cron: 30 4 * * * Europe/Paris", "--count", "14", "--utc"]) == 0
        hours = [line[11:16] for line in capsys.readouterr().out.splitlines()]
        assert list(dict.fromkeys(hours)) == [f"0{4 - int(offset[2])}:30" for offset in offsets]


def test_a_time_that_is_past_is_run_now(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schedule", "preview", "2020-01-01T00:00:00Z"]) == 0
    assert capsys.readouterr().out.endswith("  now\n")
