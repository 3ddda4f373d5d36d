"""Commands in surroundings that are not as they should be: closed pipes, full disks, odd locales, no home."""

from __future__ import annotations

import json
import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.acceptance.cli.conftest import Sitting
    from tests.service import Home


def shell(home: Home, script: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Runs a line of shell in which `headbox` is the command."""
    function = f'headbox() {{ {shlex.join(home.command)} "$@"; }}\nset -o pipefail\n'
    return subprocess.run(
        ["bash", "-c", function + script],
        cwd=home.path,
        env={**home.environ, **environ},
        capture_output=True,
        timeout=60,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
    )


@pytest.mark.parametrize("words", ["task list", "task list --json", "worker list", "top --once", "stats", "--help"])
def test_a_reader_who_has_seen_enough_hears_no_complaint(words: str, served: Home) -> None:
    done = shell(served, f"headbox {words} | true; exec 2>&1; headbox {words} | head -1 | wc -l")
    assert done.stderr == "" and done.stdout.split() in (["1"], ["0"])


@pytest.mark.parametrize(
    "words", ["task list", "task list --json", "top --once", "schedule preview PT1H", "config show"]
)
def test_a_closed_output_and_a_full_one_are_no_traceback(words: str, served: Home) -> None:
    closed = shell(served, f"headbox {words} >&-")
    assert (closed.returncode, closed.stderr) == (0, "")
    full = shell(served, f"headbox {words} >/dev/full")
    assert full.returncode == 1 and full.stderr.count("\n") == 1 and "No space left on device" in full.stderr
    assert shell(served, f"headbox {words} >/dev/full 2>&-").returncode == 1


def test_closed_streams_keep_an_error_an_error(served: Home) -> None:
    assert shell(served, "headbox task info nobody <&- >&- 2>&-").returncode == 1
    assert shell(served, "headbox task list --user ann <&-").returncode == 2


@pytest.mark.parametrize(
    "environ",
    [
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"LC_ALL": "POSIX", "PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LANG": "nonsense"},
        {"TZ": "Nowhere/Land"},
    ],
    ids=str,
)
def test_another_locale_is_no_traceback(environ: dict[str, str], served: Home) -> None:
    served.ok("task", "enqueue", "add", "東京 ü \udce9".encode("utf-8", "surrogateescape").decode("latin-1"))
    for words in ("task list", "task list --json", "top --once", "stats", "schedule preview PT1H"):
        done = shell(served, f"headbox {words}", **environ)
        assert (done.returncode, done.stderr) == (0, ""), words


def test_bytes_that_are_no_text_are_no_traceback(served: Home) -> None:
    done = shell(served, "headbox task enqueue add $'\\xff\\xfe' --wait; headbox task info $'\\xff'")
    assert [line.startswith("headbox: ") for line in done.stderr.splitlines()] == [True, True]
    assert done.returncode == 1
    assert "UTF-8" in served.refused("task", "info", "\udcff")
    served.refused("task", "list", "--name", "\udcff")
    served.refused("task", "list", "--url", "http://127.0.0.1:9/\udcff/", status=2)
    served.refused("task", "list", "--user", "\udcff", stdin="x\n")


@pytest.mark.parametrize("width", ["0", "1", "-1", "99999", "x"])
def test_any_width_will_do(width: str, served: Home) -> None:
    for words in (["task", "list"], ["worker", "list"], ["stats"], ["config", "show"], ["task", "--help"]):
        done = shell(served, f"COLUMNS={width} headbox {shlex.join(words)}")
        assert (done.returncode, done.stderr) == (0, "")


def test_errors_are_json_beside_json(served: Home) -> None:
    done = served.run("task", "info", "nobody", "--json")
    assert (done.returncode, done.stdout) == (1, "")
    error = json.loads(done.stderr)
    assert error["status"] == 404 and "404" in error["error"]


def test_colours_are_where_they_are_wanted(served: Home, sit: Sitting) -> None:
    listed = ["task", "list", "--state", "current"]
    plain = (
        sit(served, *listed, TERM="dumb"),
        sit(served, *listed, NO_COLOR="1"),
        sit(served, "--no-color", *listed),
        sit(served, *listed, "--no-color"),
    )
    for terminal in plain:
        assert terminal.wait() == 0
        assert "\x1b" not in terminal.raw and "cull_history" in terminal.raw
    coloured = sit(served, *listed)
    assert coloured.wait() == 0 and "\x1b[" in coloured.raw
    assert "\x1b" not in served.ok(*listed)
    assert "\x1b[" in served.ok("--color", *listed)


def test_many_are_changed_once_somebody_says_so(served: Home, sit: Sitting) -> None:
    later = ["--schedule", "2999-01-01T00:00:00Z", "--job", "many"]
    ids = {served.json("task", "enqueue", "add", str(number), *later)["id"] for number in range(3)}
    terminal = sit(served, "task", "suspend", "--job", "many")
    terminal.until(r"Suspend 3 tasks \(3 waiting\)\? \[y/N\]")
    terminal.press("n\n")
    assert terminal.wait() == 1
    assert "say --yes" in served.refused("task", "suspend", "--job", "many", status=2)
    terminal = sit(served, "task", "suspend", "--job", "many")
    terminal.until("Suspend 3 tasks")
    terminal.press("y\n")
    assert terminal.wait() == 0 and "suspended 3 tasks" in str(terminal.screen)
    assert served.ok("task", "resume", "--job", "many", "--yes") == "resumed 3 tasks\n"
    canceled = served.json("task", "cancel", "--job", "many", "--yes")
    assert {task["id"] for task in canceled} == ids
    assert served.ok("task", "reset", "--job", "many", "--state", "canceled", "--yes") == "reset 3 tasks\n"
    assert served.ok("task", "reset", "--name", "no_such", "--yes") == "reset 0 tasks\n"


def test_what_has_ended_is_found_by_when_and_by_its_text(served: Home) -> None:
    for _ in range(3):
        served.ok("task", "enqueue", "add", "7", "--schedule", "2999-01-01T00:00:00Z", "--job", "ended")
    assert served.ok("task", "cancel", "--job", "ended", "--text", "no such", "--yes") == "canceled 0 tasks\n"
    canceled = served.json("task", "cancel", "--job", "ended", "--text", "ADD", "--yes")
    archived = ["--state", "archived", "--outcome", "canceled", "--job", "ended"]
    first = min(task["finish_time"] for task in canceled)
    assert served.ok("task", "reset", *archived, "--finished-before", first, "--yes") == "reset 0 tasks\n"
    assert (
        served.ok("task", "reset", *archived, "--finished-after", "2020-01-01T00:00:00Z", "--yes") == "reset 3 tasks\n"
    )


def test_what_is_removed_is_found_by_filters_too(served: Home) -> None:
    served.ok("task", "enqueue", "add", "7", "--schedule", "2999-01-01T00:00:00Z/PT1H", "--job", "removed")
    assert served.ok("task", "remove", "--job", "removed", "--yes") == "removed 1 task\n"
    assert served.json("task", "list", "--job", "removed", "--state", "incomplete") == []
