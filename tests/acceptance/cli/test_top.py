"""`headbox top` in a real terminal, beside a real service."""

from __future__ import annotations

import os
import re
import select
import shlex
import signal
import termios
from collections.abc import Callable, Iterator
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from rich.cells import cell_len

from headbox.cli.client import Client
from headbox.cli.connection import bearer
from headbox.cli.feed import Feed
from headbox.cli.look import Look, take_look
from tests.unit.test_cli_client import Server, json_answer

if TYPE_CHECKING:
    from tests.acceptance.cli.conftest import Home, Sitting, Starter

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e東京"


@pytest.fixture(scope="module")
def busy(served: Home) -> Iterator[Home]:
    """The home, with a run in progress that ends with the module."""
    fifo = served.fifo("busy")
    served.ok("task", "enqueue", "hold", str(fifo), "--priority", "9")
    for number in range(30):
        served.ok("task", "enqueue", "add", str(number), "--schedule", f"2999-01-01T00:00:{number:02}Z")
    with fifo.open("w") as file:
        yield served
        file.write("done")


def test_it_shows_what_runs_who_runs_it_and_what_is_due(busy: Home, sit: Sitting) -> None:
    shown = sit(busy, "top").until("NEXT DUE")
    assert "hold(" in shown and " 33%" in shown and "files 1/3" in shown
    assert re.search(r"1 running +3\d waiting", shown) and re.search(r"[▁-█]+ [\d.]+/s +last hour", shown)
    assert "app:queue" in shown or "all queues" in shown
    assert shown.splitlines()[0].startswith("headbox  http://127.0.0.1:")
    assert "q quit" in shown.splitlines()[-1]


def test_q_ends_it_and_the_terminal_is_as_it_was(busy: Home, sit: Sitting) -> None:
    terminal = sit(busy, "top")
    terminal.until("NEXT DUE")
    assert "1049" in terminal.screen.modes and "25" not in terminal.screen.modes
    assert not terminal.settings[3] & termios.ECHO
    terminal.press("q")
    assert terminal.wait() == 0
    assert "1049" not in terminal.screen.modes and "25" in terminal.screen.modes
    assert terminal.settings[3] & termios.ECHO and terminal.settings[3] & termios.ICANON


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_gives_the_terminal_back_too(number: int, status: int, busy: Home, sit: Sitting) -> None:
    terminal = sit(busy, "top")
    terminal.until("NEXT DUE")
    terminal.press("\x03") if number == signal.SIGINT else terminal.process.send_signal(number)
    assert terminal.wait() == status
    assert "1049" not in terminal.screen.modes and terminal.settings[3] & termios.ECHO


def test_stopped_by_ctrl_z_it_gives_the_terminal_back_and_takes_it_again(busy: Home, sit: Sitting) -> None:
    terminal = sit(busy, PS1="ready> ")
    terminal.press(shlex.join([*busy.command, "top"]) + "\n")
    terminal.until("NEXT DUE")
    terminal.press("\x1a")
    terminal.until("Stopped")
    assert "1049" not in terminal.screen.modes and "25" in terminal.screen.modes
    terminal.press("fg\n")
    terminal.until("NEXT DUE")
    assert "1049" in terminal.screen.modes and not terminal.settings[3] & termios.ECHO
    terminal.press("q")
    terminal.until(r"\n *ready>$")
    assert "1049" not in terminal.screen.modes


def test_keys_scroll_and_pause(busy: Home, sit: Sitting) -> None:
    terminal = sit(busy, "top", rows=16)
    terminal.until(r"1–\d+ of \d+")
    terminal.press("j")
    terminal.until(r"\b2–\d+ of")
    terminal.press("\x1b[B\x1b[B")
    terminal.until(r"\b4–\d+ of")
    terminal.press("k")
    terminal.until(r"\b3–\d+ of")
    terminal.press("G")
    terminal.until(r"–(\d+) of \1\b")
    terminal.press("g")
    terminal.until(r"\b1–\d+ of")
    terminal.press("p")
    terminal.until("paused at")
    terminal.press("p")
    terminal.until_gone("paused at")


def test_it_follows_the_size_of_the_terminal(busy: Home, sit: Sitting) -> None:
    terminal = sit(busy, "top")
    terminal.until("NEXT DUE")
    for columns, rows in ((40, 24), (120, 50), (20, 6), (80, 24)):
        terminal.resize(columns, rows)
        shown = terminal.until(rf"(?m)^headbox[^\n]{{{columns - 7}}}\n(.*\n){{{rows - 2}}}q quit")
        assert all(cell_len(line) <= columns for line in shown.splitlines())
    terminal.press("q")
    assert terminal.wait() == 0


def test_only_what_has_changed_is_drawn_again(busy: Home, sit: Sitting) -> None:
    terminal = sit(busy, "top", "--interval", "0.2")
    terminal.until("NEXT DUE")
    start = len(terminal.raw)
    clock = str(terminal.screen).splitlines()[0]
    terminal.until_gone(clock[-8:])
    assert "\x1b[2J" not in terminal.raw[start:] and "NEXT DUE" not in terminal.raw[start:]


def test_a_server_that_goes_away_and_comes_back_is_shown(start: Starter, home: Home, sit: Sitting) -> None:
    serve = start(home, "--app", "app:queue")
    url = serve.ready()
    terminal = sit(home, "top", "--interval", "0.2")
    terminal.until("WORKERS 1")
    os.kill(serve.child("api"), signal.SIGKILL)
    terminal.until("no answer for")
    terminal.until_gone("no answer for")
    assert url.rstrip("/") in str(terminal.screen)
    terminal.press("q")
    assert terminal.wait() == 0


@pytest.mark.parametrize(("key", "status"), [("q", 0), ("\x03", 130)])
def test_a_server_that_hangs_does_not_hold_the_keys_up(
    key: str, status: int, start: Starter, home: Home, sit: Sitting
) -> None:
    serve = start(home, "--app", "app:queue")
    serve.ready()
    terminal = sit(home, "top", "--interval", "0.2")
    terminal.until("WORKERS 1")
    api = serve.child("api")
    os.kill(api, signal.SIGSTOP)
    try:
        terminal.press("p")
        terminal.until("paused at")
        terminal.press(key)
        assert terminal.process.wait(20) == status  # sooner than an answer is given up, after 30 s
    finally:
        os.kill(api, signal.SIGCONT)


def seen(feed: Feed, condition: Callable[[Look], bool]) -> bool:
    """Whether it comes to see this, woken by nothing but itself."""
    while not condition(feed.look):
        if not select.select([feed], [], [], 30)[0]:
            return False
        feed.heed()
    return True


def test_the_servers_events_say_when_to_look_again(served: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headbox.cli.feed.POLL", 3600.0)
    monkeypatch.setattr("headbox.cli.feed.QUIET", 3600.0)
    token = served.json("token", "create", "feed")["token"]
    client = Client(served.json("top")["url"], bearer(token))
    with Feed(client, take_look(client), 0.2) as feed:
        for number in range(2):
            added = served.json("task", "enqueue", "add", str(number), "--schedule", "2998-01-01T00:00:00Z")["id"]
            assert seen(feed, lambda look, id=added: id in [task["id"] for task in look.due or ()])  # type: ignore[misc]


def test_where_no_events_come_it_looks_as_the_clock_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headbox.cli.feed.POLL", 0.02)
    with Server() as server:
        server.answer = lambda path: json_answer(404 if "events" in path else 200, [])
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        client = Client(server.url)
        first = take_look(client)
        with Feed(client, first, 0.01) as feed:
            times = {first.time}
            assert seen(feed, lambda look: not times.add(look.time) and len(times) > 3)
        server.shutdown()
        thread.join()


def test_rights_that_are_lost_end_it_with_a_sentence(served: Home, sit: Sitting) -> None:
    url = served.json("top")["url"]
    secret = served.json("token", "create", "watcher")["token"]
    terminal = sit(served, "top", "--interval", "0.2", "--url", url, HEADBOX_TOKEN=secret)
    terminal.until("WORKERS 1")
    for token in served.json("token", "list"):
        if token["name"] == "watcher":
            served.ok("token", "revoke", token["id"])
    assert terminal.wait() == 1
    assert "1049" not in terminal.screen.modes and "(401)" in str(terminal.screen)


def test_without_a_terminal_it_prints_once_or_json(busy: Home) -> None:
    assert "hold(" in busy.ok("top", "--once")
    assert "\x1b" not in busy.ok("top", "--once")
    snapshot = busy.json("top")
    assert [task["method_name"] for task in snapshot["running"]] == ["hold"]
    assert {"url", "time", "workers", "due"} <= set(snapshot)
    assert snapshot["statistics"]["states"]["running"] == 1 == busy.json("stats")["states"]["running"]
    assert "--once" in busy.refused("top", status=2)


def test_a_terminal_that_cannot_be_drawn_on_is_told_of_once(busy: Home, sit: Sitting) -> None:
    terminal = sit(busy, "top", TERM="dumb")
    assert terminal.wait() == 2
    assert "say --once" in str(terminal.screen) and "\x1b" not in terminal.raw


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (40, 12), (2, 2), (0, 0)])
def test_nothing_that_a_task_holds_controls_the_terminal(columns: int, rows: int, served: Home, sit: Sitting) -> None:
    fifo = served.fifo(f"{columns}{HOSTILE}")
    id = served.json("task", "enqueue", "hold", str(fifo), "--queue", HOSTILE[-4:])["id"]
    with fifo.open("w") as file:
        for words in (["top", "--once"], ["task", "list"], ["task", "info", id], ["worker", "list"]):
            shown = sit(served, *words, columns=columns, rows=rows)
            assert shown.wait() == 0
            assert not set(shown.raw) & set("\x07\x9b\u202e")
        terminal = sit(served, "top", columns=columns, rows=rows)
        terminal.until("q")
        terminal.press("q")
        assert terminal.wait() == 0
        file.write("x")
