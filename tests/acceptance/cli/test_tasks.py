"""What a person types beside a running service: tasks, jobs, workers, tokens; and what comes of mistakes."""

from __future__ import annotations

import json
import os
import pty
import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.acceptance.cli.conftest import Sitting
    from tests.service import Home

NOBODY = "01234567-89ab-7def-8123-456789abcdef"


def row(output: str) -> list[str]:
    """The first cells of the only line of a table."""
    (line,) = output.splitlines()
    return line.split()


def test_a_list_names_the_housekeeping(served: Home) -> None:
    lines = served.ok("task", "list", "--name", "cull_history").splitlines()
    assert lines[0].split() == ["ID", "STATE", "TASK", "WHEN", "NOTE"]
    assert lines[1].split()[1:3] == ["waiting", "cull_history()"]


def test_enqueue_shows_the_task_and_wait_its_result(served: Home) -> None:
    id, state, *call = row(served.ok("task", "enqueue", "add", "1", "b=2"))
    assert state in ("waiting", "running", "finished") and call[:2] == ["add(1,", "b=2)"]
    assert served.ok("task", "watch", id).splitlines()[-1] == "3"
    assert served.ok("task", "enqueue", "add", "[1]", "b=[2]", "--wait").splitlines()[-1] == "[1, 2]"


def test_what_has_failed_is_1_with_its_traceback(served: Home) -> None:
    done = served.run("task", "enqueue", "fail", "--wait")
    assert done.returncode == 1
    assert "Traceback" in done.stderr and "ValueError: it went wrong" in done.stderr
    id, state, *_ = done.stdout.split()
    assert state == "error"
    assert served.run("task", "watch", id).returncode == 1


def test_json_is_for_scripts_and_one_value(served: Home) -> None:
    task = served.json("task", "enqueue", "add", "1", "--wait")
    assert (task["state"], task["result"]) == ("finished", 2)
    assert served.json("task", "info", task["id"])["callable"] == "app:add"
    assert [run["run"] for run in served.json("task", "runs", task["id"])] == [1]
    assert task["id"] in [found["id"] for found in served.json("task", "list", "--state", "archived")]
    assert task["id"] in [found["id"] for found in served.json("task", "list", "--limit", "1000")]


def test_info_shows_what_is_known(served: Home) -> None:
    task = json.loads(served.run("task", "enqueue", "fail", "--wait", "--json").stdout)
    shown = served.ok("task", "info", task["id"], "--utc")
    lines = dict(line.split(maxsplit=1) for line in shown.splitlines() if not line.startswith(" "))
    assert lines["state"] == "error" and lines["task"] == "fail()" and lines["exception"] == "it went wrong"
    assert lines["finish_time"] == task["finish_time"]


def test_escapes_in_a_tasks_data_do_not_reach_the_terminal(served: Home) -> None:
    done = served.run("task", "enqueue", "fail", "\x1b]0;owned\x07\x9b31m\u202e", "--wait")
    for words in (["task", "list", "--state", "error"], ["task", "info", done.stdout.split()[0]]):
        out = served.ok(*words)
        assert "\\x1b]0;owned\\x07\\x9b31m\\u202e" in out
        assert not any(character in out + done.stdout + done.stderr for character in "\x1b\x07\x9b\u202e")


def test_a_schedule_is_suspended_resumed_rescheduled_and_removed(served: Home) -> None:
    id, state, *_ = row(served.ok("task", "enqueue", "add", "1", "--schedule", "2999-01-01T00:00:00Z/P1D"))
    assert state == "waiting"
    assert row(served.ok("task", "suspend", id))[1] == "suspended"
    assert row(served.ok("task", "resume", id))[1] == "waiting"
    served.ok("task", "reschedule", id, "cron: 30 2 * * * Europe/Paris")
    assert served.json("task", "info", id)["schedule"] == "cron: 30 2 * * * Europe/Paris"
    assert row(served.ok("task", "remove", id))[1] == "canceled"
    assert row(served.ok("task", "reset", id))[1] == "reset"


def test_tasks_are_canceled_by_id_or_by_filter(served: Home) -> None:
    later = ["--schedule", "2999-01-01T00:00:00Z"]
    ids = [row(served.ok("task", "enqueue", "add", "7", *later))[0] for _ in range(3)]
    assert row(served.ok("task", "cancel", ids[0]))[:2] == [ids[0], "canceled"]
    canceled = served.json("task", "cancel", "--name", "add", "--scheduled-after", "2998-01-01T00:00:00Z", "--yes")
    assert [task["id"] for task in canceled] == ids[1:]
    assert "409" in served.refused("task", "cancel", ids[0])
    assert served.ok("task", "cancel", "--name", "nobody", "--yes") == "canceled 0 tasks\n"
    served.refused("task", "cancel", status=2)
    served.refused("task", "cancel", ids[0], "--name", "add", status=2)


def test_a_change_of_many_that_is_not_meant_changes_nothing(served: Home, sit: Sitting) -> None:
    id = served.json("task", "enqueue", "add", "1", "--job", "asked", "--schedule", "2999-01-01T00:00:00Z")["id"]
    terminal = sit(served, "task", "cancel", "--job", "asked")
    terminal.until(r"Cancel 1 task \(1 waiting\)\? \[y/N\]")
    terminal.press("n\n")
    terminal.until("nothing was changed")
    assert terminal.wait() == 1 and served.json("task", "info", id)["state"] == "waiting"


def test_a_run_in_flight_is_watched_and_has_a_snapshot(served: Home) -> None:
    fifo = served.fifo("watched")
    id = served.json("task", "enqueue", "hold", str(fifo))["id"]
    with fifo.open("w") as file:
        listed = served.ok("task", "list", "--state", "running")
        assert id in listed and "files 1/3, bytes 1.0 kB" in listed
        assert id in served.ok("task", "snapshots")
        assert served.json("task", "snapshot", id)["method_name"] == "hold"
        served.ok("task", "delete-snapshot", id)
        assert "404" in served.refused("task", "snapshot", id)
        file.write("done")
    assert served.ok("task", "watch", id).splitlines()[-1] == '"done"'


def test_watch_draws_bars_on_a_terminal_and_ctrl_c_ends_it_with_130(served: Home) -> None:
    fifo = served.fifo("drawn")
    served.ok("task", "enqueue", "hold", str(fifo))
    with fifo.open("w") as file:
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(served.path)
            os.execve(served.command[0], [*served.command, "task", "watch"], {**served.environ, "TERM": "xterm"})
        seen = b""
        while b"1/3" not in seen:
            seen += os.read(terminal, 65536)
        os.write(terminal, b"\x03")
        try:
            while os.read(terminal, 65536):
                pass
        except OSError:  # how a terminal says that its other end was closed
            pass
        _, status = os.waitpid(pid, 0)
        os.close(terminal)
        file.write("done")
    assert os.waitstatus_to_exitcode(status) == 130
    assert "━".encode() in seen and b"hold(" in seen


def test_a_job_is_listed_shown_and_canceled(served: Home) -> None:
    for number in (1, 2):
        served.ok("task", "enqueue", "add", str(number), "--job", "nightly", "--schedule", "2999-01-01T00:00:00Z")
    assert any(line.split()[:2] == ["nightly", "2"] for line in served.ok("job", "list").splitlines())
    assert served.ok("job", "info", "nightly").count("waiting") == 2
    assert served.ok("job", "cancel", "nightly").count("canceled") == 2
    assert "404" in served.refused("job", "info", "none/such?")


def test_workers_are_listed(served: Home) -> None:
    (worker,) = served.json("worker", "list")
    assert worker["app"] == "app:queue"
    listed = served.ok("worker", "list")
    assert "app:queue" in listed and f"{worker['weight']}/{worker['concurrency']}" in listed


def test_a_token_opens_until_it_is_revoked(served: Home) -> None:
    secret = served.ok("token", "create", "ci", "--lifetime", "P1D").strip()
    (service,) = [json.loads(path.read_text()) for path in served.state.glob("*.json")]
    words = ["task", "list", "--url", service["url"]]
    assert served.ok(*words, HEADBOX_TOKEN=secret)
    (token,) = [token for token in served.json("token", "list") if token["name"] == "ci"]
    served.ok("token", "revoke", token["id"])
    assert "--token" in served.refused(*words, HEADBOX_TOKEN=secret)


def test_roles_hold_for_the_command_line_too(served: Home) -> None:
    served.ok("user", "create", "ann", "--role", "readers", stdin="a long password\n")
    (service,) = [json.loads(path.read_text()) for path in served.state.glob("*.json")]
    as_ann = ["--url", service["url"], "--user", "ann"]
    assert served.ok("task", "list", *as_ann, stdin="a long password\n")
    assert "403" in served.refused("task", "enqueue", "add", "1", *as_ann, stdin="a long password\n")
    assert "401" in served.refused("task", "list", *as_ann, stdin="a wrong password\n")
    assert "standard input" in served.refused("task", "list", *as_ann, status=2)
    served.ok("user", "role", "ann", "operators")
    assert served.ok("task", "enqueue", "add", "1", *as_ann, stdin="a long password\n")
    served.ok("user", "delete", "ann")
    assert "401" in served.refused("task", "list", *as_ann, stdin="a long password\n")


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (["task", "info", NOBODY], 1, "404"),
        (["task", "info", "../workers"], 1, "404"),
        (["task", "watch", NOBODY], 1, "404"),
        (["task", "enqueue", "no_such_task"], 1, "no_such_task"),
        (["task", "enqueue", "add", "--schedule", "tomorrow"], 1, "tomorrow"),
        (["task", "enqueue", "add", "--timeout", "soon"], 2, "soon"),
        (["task", "enqueue", "add", "--priority", "99"], 2, "--priority"),
        (["task", "list", "--state", "sleeping"], 1, "sleeping"),
        (["task", "list", "--nonsense"], 2, "--nonsense"),
        (["task", "frobnicate"], 2, "frobnicate"),
        (["task", "list", "--url", "nowhere"], 2, "no URL"),
        (["task", "list", "--url", "http://127.0.0.1:9/"], 1, "cannot be reached"),
        (["task", "list", "--token", "wrong"], 1, "401"),
        (["schedule", "preview", "tomorrow"], 2, "tomorrow"),
        (["token", "revoke", NOBODY], 1, "404"),
        (["user", "passwd", "nobody"], 1, "nobody"),
        (["user", "create", "b a d"], 2, "b a d"),
        (["user", "create", "ann", "--role", "king"], 2, "king"),
        (["db", "backup", "/nowhere/copy.db"], 1, "/nowhere"),
        (["db", "status", "--database", "sqlite:///nowhere.db"], 1, "nowhere.db"),
        (["db", "status", "--database", "nowhere"], 2, "--database"),
    ],
)
def test_a_mistake_is_one_sentence(words: list[str], status: int, sentence: str, served: Home) -> None:
    assert sentence in served.refused(*words, status=status)


def test_the_database_is_checked_and_copied_while_it_is_in_use(served: Home) -> None:
    status = served.json("db", "status")
    assert status["url"] == f"sqlite:///{served.path}/headbox.db"
    assert "is sound" in served.ok("db", "check")
    served.ok("db", "backup", "copy.db")
    assert "is sound" in served.ok("db", "check", "--database", "sqlite:///copy.db")
    assert "copy.db exists already" in served.refused("db", "backup", "copy.db")
    assert "up to date" in served.ok("db", "upgrade")


def test_settings_say_where_they_come_from(served: Home) -> None:
    shown = served.ok("config", "show", "--port", "81", HEADBOX_SECRET_KEY="0123456789abcdef", HEADBOX_QUEUES="a,b")
    rows = {line.split()[0]: line.split()[1:] for line in shown.splitlines()}
    assert rows["port"] == ["81", "option", "--port"]
    assert rows["queues"] == ["a,b", "HEADBOX_QUEUES"]
    assert "0123456789abcdef" not in shown


def test_a_pipe_that_is_closed_early_is_no_error(served: Home) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*served.command, "task", "list", "--json"],
        cwd=served.path,
        env=served.environ,
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)
    assert (done.stderr, done.returncode) == (b"", 1)


def test_help_is_there_for_every_command(served: Home) -> None:
    for words in (["--help"], ["task", "-h"], ["task", "enqueue", "--help"], ["serve", "--help"]):
        assert "Usage: headbox" in served.ok(*words)
    assert served.ok("--version").startswith("headbox ")


def test_half_a_backup_does_not_stay(served: Home) -> None:
    words = shlex.join([*served.command, "db", "backup", "half.db"])
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f 16; {words}"],
        cwd=served.path,
        env=served.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert not (served.path / "half.db").exists()
