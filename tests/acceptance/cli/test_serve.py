"""`headbox serve` from outside: what it says, what it keeps alive, and that nothing of it is left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import stat
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.service import Home, Starter

    Ended = Callable[[list[int]], bool]


def log_in(url: str, user: str, password: str) -> int:
    """The status of a call with HTTP Basic."""
    credentials = b64encode(f"{user}:{password}".encode()).decode()
    request = urllib.request.Request(f"{url}tasks/", headers={"Authorization": f"Basic {credentials}"})
    try:
        with urllib.request.urlopen(request) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def one_line(text: str) -> str:
    """The only line of an error that is not of the log."""
    (line,) = [line for line in text.splitlines() if "finishing 0 runs" not in line]
    return line


def test_the_first_start_leaves_the_password_in_a_file_of_its_users_own(home: Home, start: Starter) -> None:
    serve = start(home, "--app", "app:queue")
    url = serve.ready()
    path = Path(next(line for line in serve.out.lines if "the password is in" in line).split()[-1])
    assert path == home.path / "headbox.db.admin-password"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert log_in(url, "admin", path.read_text().strip()) == 200
    assert log_in(url, "admin", "wrong-password") == 401


def test_later_starts_say_where_the_password_is_until_it_is_changed(home: Home, start: Starter) -> None:
    start(home).ready()
    start.started[-1].stop()
    again = start(home)
    again.ready()
    assert any("the password was left in" in line for line in again.out.lines)
    home.ok("user", "passwd", "admin", stdin="a new password\n")
    again.stop()
    third = start(home)
    url = third.ready()
    assert any("`headbox user passwd admin` sets another" in line for line in third.out.lines)
    assert not (home.path / "headbox.db.admin-password").exists()
    assert log_in(url, "admin", "a new password") == 200


def test_a_given_password_is_the_admins_and_no_task_sees_it(home: Home, start: Starter) -> None:
    serve = start(home, "--app", "app:queue", HEADBOX_ADMIN_PASSWORD="correct horse")
    url = serve.ready()
    assert log_in(url, "admin", "correct horse") == 200
    assert not any("correct horse" in line for line in serve.out.lines)
    variables = json.loads(home.ok("task", "enqueue", "variables", "--wait").splitlines()[-1])
    assert "HEADBOX_ADMIN_PASSWORD" not in variables


def test_without_an_application_there_is_the_housekeeping_and_a_parent_that_has_imported_little(
    home: Home, start: Starter
) -> None:
    serve = start(home)
    serve.ready()
    process = Path(f"/proc/{serve.pid}")
    assert b"\0-m\0headbox\0serve\0" in (process / "cmdline").read_bytes()
    loaded = re.findall(r"/(\w+)\.cpython[^/]*\.so", (process / "maps").read_text())
    assert not {"_asyncio", "_ssl", "_core", "_decimal", "_datetime", "_socket"} & set(loaded)
    assert (
        "unicodedata" not in (Path(f"/proc/{serve.child('work')}") / "maps").read_text()
    )  # what the command line needs
    tasks = home.json("task", "list")
    assert [task["method_name"] for task in tasks] == ["cull_audited_events", "cull_history"]


def test_sigterm_ends_it_with_0_and_leaves_nothing(home: Home, start: Starter, ended: Ended) -> None:
    serve = start(home, "--app", "app:queue")
    serve.ready()
    family = serve.family()
    assert len(family) >= 3 and list(home.state.glob("*.json"))
    assert serve.stop() == 0
    assert ended(family)
    assert not list(home.state.glob("*.json"))
    with closing(sqlite3.connect(home.path / "headbox.db")) as database:
        assert database.execute("SELECT count(*) FROM headbox_tokens").fetchone() == (0,)


def test_a_stop_lets_runs_end(home: Home, start: Starter) -> None:
    serve, fifo = start(home, "--app", "app:queue"), home.fifo()
    serve.ready()
    id = home.json("task", "enqueue", "hold", str(fifo))["id"]
    with fifo.open("w") as file:  # opens once the task runs
        serve.signal(signal.SIGINT)
        serve.err.until(r"finishing 1 run.*again to stop at once")
        file.write("done")
    assert serve.wait() == 0
    start(home).ready()
    assert (found := home.json("task", "info", id))["state"] == "finished" and found["result"] == "done"


def test_a_second_signal_stops_at_once_and_the_run_is_not_lost(home: Home, start: Starter) -> None:
    serve, fifo = start(home, "--app", "app:queue"), home.fifo()
    serve.ready()
    id = home.json("task", "enqueue", "hold", str(fifo))["id"]
    with fifo.open("w"):
        serve.signal(signal.SIGINT)
        serve.err.until("again to stop at once")
        serve.signal(signal.SIGINT)
        assert serve.wait() == 0
    start(home).ready()
    assert home.json("task", "info", id)["state"] == "reset"


def test_kill_9_takes_everything_with_it(home: Home, start: Starter, ended: Ended) -> None:
    serve, fifo = start(home, "--app", "app:queue"), home.fifo()
    serve.ready()
    home.ok("task", "enqueue", "hold", str(fifo))
    with fifo.open("w"):
        family = serve.family()
        serve.signal(signal.SIGKILL)
        assert ended(family)
    assert home.refused("task", "list").endswith("or name one with --url")


@pytest.mark.parametrize("name", ["api", "work"])
def test_a_process_that_dies_is_started_again(name: str, home: Home, start: Starter) -> None:
    serve = start(home, "--app", "app:queue")
    url = serve.ready()
    os.kill(serve.child(name), signal.SIGKILL)
    serve.err.until(f"`headbox {name}` was killed by SIGKILL: starting it again")
    if name == "api":
        assert serve.out.until("Headbox answers at ").split()[3] == url
    assert home.ok("task", "enqueue", "add", "2", "b=3", "--wait", "--url", url, *token(home)).splitlines()[-1] == "5"


def token(home: Home) -> list[str]:
    """What a script would say that has read the local file."""
    (path,) = home.state.glob("*.json")
    return ["--token", json.loads(path.read_text())["token"]]


def test_the_applications_own_database_is_the_one(home: Home, start: Starter) -> None:
    home.write("own.py", "from headbox import TaskQueue\nqueue = TaskQueue('sqlite:///own.db')\n")
    serve = start(home, "--app", "own:queue", HEADBOX_DATABASE="sqlite:///other.db")
    serve.ready()
    assert any(line.endswith(f"{home.path}/own.db") for line in serve.out.lines)
    assert len(home.json("task", "list")) == 2
    assert not (home.path / "other.db").exists() and not (home.path / "headbox.db").exists()
    assert "admin" in home.ok("user", "list")


def test_a_database_that_contradicts_the_application_is_an_error(home: Home, start: Starter) -> None:
    home.write("own.py", "from headbox import TaskQueue\nqueue = TaskQueue('sqlite:///own.db')\n")
    serve = start(home, "--app", "own:queue", "--database", "sqlite:///other.db")
    assert serve.wait() == 1
    assert "sqlite:///own.db" in one_line(serve.err.rest()) and not (home.path / "other.db").exists()


def test_a_database_that_is_named_is_the_one_for_all(home: Home, start: Starter) -> None:
    start(home, "--app", "app:queue", "--database", "sqlite:///named.db").ready()
    assert home.ok("task", "enqueue", "add", "1", "--wait").splitlines()[-1] == "2"
    assert (home.path / "named.db").exists() and not (home.path / "headbox.db").exists()


def test_a_taken_port_is_one_sentence_that_names_the_option(home: Home, start: Starter) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        serve = start(home, "--app", "app:queue", "--port", str(listener.getsockname()[1]))
        assert serve.wait() == 1
    assert "--port" in one_line(serve.err.rest())


@pytest.mark.parametrize(
    ("app", "why"),
    [("nowhere:queue", "No module named 'nowhere'"), ("app:nothing", "nothing"), ("broken:queue", "SyntaxError")],
)
def test_an_application_that_cannot_be_had_is_one_sentence(app: str, why: str, home: Home, start: Starter) -> None:
    home.write("broken.py", "def (:\n")
    serve = start(home, "--app", app)
    assert serve.wait() == 1
    assert why in one_line(serve.err.rest())


def test_a_second_service_on_one_database_is_as_good(home: Home, start: Starter) -> None:
    start(home, "--app", "app:queue").ready()
    start(home, "--app", "app:queue").ready()
    assert len(home.json("worker", "list")) == 2
    assert home.ok("task", "enqueue", "add", "1", "--wait").splitlines()[-1] == "2"


def test_a_prefix_holds_for_everything(home: Home, start: Starter) -> None:
    url = start(home, "--prefix", "/pulp/api").ready()
    assert url.endswith("/pulp/api/")
    assert len(home.json("task", "list")) == 2


def test_reload_brings_the_code_as_it_is_now(home: Home, start: Starter) -> None:
    serve = start(home, "--app", "app:queue", "--reload")
    serve.ready()
    edited = (home.path / "app.py").read_text().replace("return a + b", "return a * b")
    home.write("app.py", "def (:\n")
    serve.err.until("waiting for a change of the code")
    home.write("app.py", edited)
    serve.err.until(r"app\.py has changed: restarting the worker")
    assert home.ok("task", "enqueue", "add", "5", "b=5", "--wait").splitlines()[-1] == "25"


def test_api_and_work_run_apart(home: Home, start: Starter) -> None:
    work = start(home, "--app", "app:queue", command="work")
    api = start(home, command="api")
    url = api.out.until("Headbox answers at ").split()[3]
    password = (home.path / "headbox.db.admin-password").read_text()
    asked = home.ok("task", "enqueue", "add", "1", "--wait", "--url", url, "--user", "admin", stdin=password)
    assert asked.splitlines()[-1] == "2"
    assert (work.stop(), api.stop()) == (0, 0)
