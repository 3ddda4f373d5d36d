"""Watching: when a task has ended, of a schedule which occurrence, and what is drawn meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, repeat
from typing import Any

import pytest

from headbox.cli import watch
from headbox.cli.client import Refused
from headbox.cli.table import cells_of
from headbox.cli.times import local_now
from headbox.cli.watch import bars, display, end_of, follow_all, report_end, watch_running

TASK = {
    "id": "1",
    "class_name": None,
    "method_name": "sync",
    "args": ["web"],
    "kwargs": {},
    "state": "waiting",
    "start_time": None,
    "finish_time": None,
    "due_time": None,
    "exception": None,
    "traceback": None,
    "result": None,
    "progress": None,
    "waiting_for": [],
    "run": 1,
    "scheduler": "immediate",
}


def task(**changes: Any) -> dict[str, Any]:
    return {**TASK, **changes}


class Server:
    """Answers each look at a task with the next of its states, and each look at what runs likewise."""

    def __init__(self, *states: dict[str, Any], runs: list[Any] | None = None, running: list[list[Any]] | None = None):
        self.patience = 0.0
        self.on_away: Any = None
        self.waited: list[tuple[str, float]] = []
        self.states: Iterator[dict[str, Any]] = chain(states, repeat(states[-1])) if states else iter(())
        self.runs = runs or []
        self.running = iter(running or [])

    def get(self, path: str, query: Mapping[str, Any], *, wait: float = 0) -> Any:
        if "wait" in query:
            self.waited.append((path, wait))
            return None
        return self.runs if path.endswith("/runs/") else next(self.states)

    def first(self, path: str, query: Mapping[str, Any], limit: int) -> tuple[list[Any], bool]:
        return next(self.running), False


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "PAUSE", 0.0)


def test_a_task_is_followed_to_its_end() -> None:
    states = [task(state=state) for state in ("waiting", "running", "finished")]
    assert [ended["state"] for ended in follow_all(Server(*states), ["1"])] == ["finished"]


def test_where_nobody_sees_it_run_its_end_is_waited_for_and_a_schedule_is_looked_at() -> None:
    once = Server(task(state="running"), task(state="finished"))
    follow_all(once, ["1"])
    assert once.waited == [("tasks/1/", watch.LONG)]
    schedule = Server(task(scheduler="cron"), task(scheduler="cron", state="finished"))
    follow_all(schedule, ["1"])
    assert schedule.waited == []


def test_a_task_that_is_gone_from_the_history_ends_no_watch() -> None:
    class Forgetful(Server):
        def get(self, path: str, query: Mapping[str, Any], *, wait: float = 0) -> Any:
            raise Refused("unknown", 404)

    looks = watch_running(Forgetful(running=[[task(state="running")], []]))
    assert [next(looks).ended for _ in range(2)] == [[], []]


def test_an_attempt_that_failed_is_not_the_end() -> None:
    states = [
        task(state="running"),
        task(state="waiting", run=2),
        task(state="running", run=2),
        task(state="error", run=2),
    ]
    assert follow_all(Server(*states), ["1"]) == [states[-1]]


def test_a_new_schedules_first_occurrence_is_the_end_though_it_ended_before_the_first_look() -> None:
    first = task(scheduler="interval", state="finished")
    server = Server(task(scheduler="interval", state="waiting", run=2), runs=[first])
    assert follow_all(server, ["1"], {"1": 1}) == [first]


def test_of_a_schedule_the_occurrence_that_was_current_is_the_end() -> None:
    states = [task(state="running", run=4, scheduler="interval"), task(run=6, scheduler="interval")]
    runs = [task(run=5, state="error"), task(run=4, state="finished"), task(run=3, state="error")]
    assert follow_all(Server(*states, runs=runs), ["1"]) == [runs[1]]


def test_an_occurrence_that_was_lost_ends_with_the_run_that_took_its_place() -> None:
    lost = [task(run=4, state="reset")]
    assert end_of(Server(runs=lost), task(run=5, scheduler="cron"), 4) is None
    ended = [task(run=5, state="finished"), *lost]
    assert end_of(Server(runs=ended), task(run=6, scheduler="cron"), 4) == ended[0]


def test_what_ran_and_ended_is_told_once() -> None:
    running, ended = task(state="running"), task(state="finished")
    looks = watch_running(Server(ended, running=[[running], [], []]))
    assert [next(looks) for _ in range(3)] == [([running], [], False), ([], [ended], False), ([], [], False)]


def test_the_status_says_whether_any_has_failed(capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = task(state="finished", result={"a": "\x1b"}), task(state="error", traceback="Traceback:\n\x1bx\n")
    assert report_end([good], as_json=False) == 0
    assert capsys.readouterr().out.splitlines()[-1] == '{"a": "\\u001b"}'
    assert report_end([good, bad], as_json=False) == 1
    assert capsys.readouterr().err == "Traceback:\n\\x1bx\n"
    assert report_end([task(state="canceled")], as_json=True) == 1


def drawn(*tasks: dict[str, Any], width: int = 100) -> list[str]:
    return ["".join(part.text for part in line) for line in bars(list(tasks), width, local_now())]


def test_every_measure_has_a_bar() -> None:
    progress = {"files": {"done": 1, "total": 2}, "bytes": {"done": 1500, "total": None}}
    title, files, sizes = drawn(task(state="running", progress=progress))
    assert title.split()[:2] == ["running", 'sync("web")']
    assert files.split()[0] == "files" and "━" in files and files.split()[-1] == "1/2"
    assert sizes.split()[0] == "bytes" and sizes.split()[-2:] == ["1.5", "kB"]


@pytest.mark.parametrize(
    "progress", [None, "half", 5, [], {"done": 0, "total": 0}, {"done": 9, "total": 3}, {"done": -1}]
)
def test_any_progress_can_be_drawn_in_any_width(progress: Any) -> None:
    for width in (1, 20, 80):
        lines = drawn(task(state="running", progress=progress, args=["x" * 300]), width=width)
        assert lines and all(cells_of(line) <= width for line in lines)


def test_without_a_terminal_nothing_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    display(Server(), iter([watch.Look([task()], [])]))
    assert capsys.readouterr() == ("", "")
