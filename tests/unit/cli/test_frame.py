"""`headbox top` as lines: all that is going on, in any size of a terminal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headbox.cli.frame import View, frame, last_scroll, sparkline, top_line
from headbox.cli.look import Look
from headbox.cli.table import Line, cells_of

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ENDS = {"finished": 0, "error": 0, "timed_out": 0, "canceled": 0, "reset": 0}
STATISTICS = {
    "states": {"waiting": 1200, "running": 1, "reset": 0, "suspended": 2},
    "queues": [],
    "oldest_ready_seconds": 12.5,
    "throughput": {"second": {**ENDS, "finished": 812.4}, "hour": {**ENDS, "finished": 48000, "error": 3}},
    "lateness": {"hour": {"starts": 410, "late": 2, "p50_seconds": 0.005, "p95_seconds": 0.02, "max_seconds": 5.0}},
    "minutes": [{**ENDS, "finished": number} for number in range(60)],
}
TASK = {
    "id": "1",
    "class_name": None,
    "method_name": "sync",
    "args": ["fedora"],
    "kwargs": {},
    "state": "running",
    "start_time": "2026-11-24T11:57:00Z",
    "progress": {"files": {"done": 45, "total": 100}},
    "worker": "w",
    "weight": 1,
}
WORKER = {
    "id": "w",
    "host": "mill",
    "pid": 7,
    "app": "app:queue",
    "queues": [],
    "concurrency": 4,
    "weight": 3,
    "heartbeat_time": "2026-11-24T11:59:58Z",
}
DUE = {**TASK, "method_name": "nightly", "args": [], "due_time": "2026-11-24T12:03:00Z"}


def look(**changes: Any) -> Look:
    shown = Look("http://h/", NOW, STATISTICS, [TASK], False, [WORKER], [DUE])
    return shown._replace(**changes)


def text(lines: list[Line]) -> list[str]:
    return ["".join(part.text for part in line).rstrip() for line in lines]


def test_all_of_it_at_once() -> None:
    assert text(frame(look(), View(78), NOW)) == [
        "headbox  http://h/                                                    12:00:00",
        "1 running  1,200 waiting  2 suspended   oldest ready for 12 s",
        "▆▆▆▆▆▆▆▇▇▇▇▇▇▇▇█████ 812.4/s   last hour: 48,000 finished  3 error",
        "starts after they were due: p50 5 ms  p95 20 ms  max 5.0 s  2 late",
        "",
        "RUNNING 1",
        '  sync("fedora")  ━━━━━━╸───────  45%  3 min  files 45/100  mill:7',
        "",
        "WORKERS 1",
        "  mill:7  ━━━━━━━━━━╸─── 3/4  2 s ago   app:queue  all queues",
        "",
        "NEXT DUE",
        "  in 3 min  nightly()",
    ]


def test_queues_that_are_suspended_are_named() -> None:
    counts = {"waiting": 1200, "reset": 0, "running": 0}
    slow, mail = ({"name": name, "is_suspended": name == "slow", **counts} for name in ("slow", "mail"))
    assert text(frame(look(statistics={**STATISTICS, "queues": [mail, slow]}), View(78), NOW))[2] == (
        "suspended queues: slow (1,200 waiting)"
    )


@pytest.mark.parametrize("width", [1, 2, 8, 40, 80, 300])
@pytest.mark.parametrize("height", [1, 2, 3, 10, 24, 60])
def test_it_is_never_larger_than_the_terminal(width: int, height: int) -> None:
    crowded = look(running=[{**TASK, "args": ["東京" * 50]}] * 40, workers=[WORKER] * 20, due=[DUE] * 20, more=True)
    for scroll in (0, 5, 10_000):
        for trouble in ("", "away"):
            lines = frame(crowded, View(width, height, scroll, trouble == "", trouble), NOW)
            assert len(lines) == height
            assert all(sum(cells_of(part.text) for part in line) <= width for line in lines)


def test_forty_columns_show_what_matters() -> None:
    shown = text(frame(look(), View(40), NOW))
    assert '  sync("fedora")  ━━━╸────  45%  3 min' in shown
    assert "  mill:7  ━━━━━━── 3/4  2 s ago" in [line[:31].rstrip() for line in shown]


def test_scrolling_ends_with_the_last_line() -> None:
    view = View(80, 12)
    last = last_scroll(look(), view, NOW)
    shown = text(frame(look(), view._replace(scroll=last), NOW))
    assert shown[-2] == "  in 3 min  nightly()" and shown[-1].endswith("3–8 of 8")
    assert text(frame(look(), view._replace(scroll=last + 50), NOW)) == shown
    assert last_scroll(look(), View(80, 60), NOW) == 0


@pytest.mark.parametrize(("scroll", "count", "rows", "top"), [(0, 5, 10, 0), (-3, 20, 10, 0), (99, 20, 10, 10)])
def test_the_top_line_stays_where_there_is_something(scroll: int, count: int, rows: int, top: int) -> None:
    assert top_line(scroll, count, rows) == top


def test_nothing_at_all_is_said_in_words() -> None:
    shown = text(frame(look(statistics=None, running=[], workers=[], due=[]), View(80), NOW))
    assert shown[1:] == [
        "",
        "RUNNING 0",
        "  nothing runs now",
        "",
        "WORKERS 0",
        "  no worker is there: `headbox work` starts one",
        "",
        "NEXT DUE",
        "  nothing is due",
    ]
    assert "NEXT DUE" not in text(frame(look(due=None), View(80), NOW))


def test_a_server_that_does_not_answer_is_said_on_top() -> None:
    old = look(time=NOW - timedelta(seconds=90))
    assert text(frame(old, View(80, 24, trouble="refused"), NOW))[0].endswith("no answer for 90 s")
    assert text(frame(old, View(80, 24, paused=True), NOW))[0].endswith("paused at 11:58:30")


def test_whatever_a_server_says_is_shown_without_control_characters() -> None:
    hostile = "\x1b[2J\u202e\n"
    task = {**TASK, "method_name": hostile, "args": [hostile], "progress": {hostile: {"done": 1, "total": 2}}}
    worker = {**WORKER, "host": hostile, "app": hostile, "queues": [hostile]}
    shown = "".join(text(frame(look(url=hostile, running=[task], workers=[worker], due=[task | DUE]), View(300), NOW)))
    assert shown.isprintable() and "\\x1b[2J" in shown


@pytest.mark.parametrize(
    "task",
    [
        {**TASK, "start_time": None, "progress": None, "worker": "gone"},
        {**TASK, "progress": {"done": -5, "total": 0}, "start_time": "2026-11-24T12:00:09Z"},
        {**TASK, "progress": [1], "args": None, "kwargs": None},
    ],
)
def test_any_task_can_be_shown(task: dict[str, Any]) -> None:
    assert "sync(" in text(frame(look(running=[task]), View(80), NOW))[6]


def test_a_worker_that_is_silent_stands_out_and_one_of_an_older_server_has_its_children() -> None:
    silent = {**WORKER, "heartbeat_time": "2026-11-24T11:58:00Z"}
    del silent["weight"]
    line = frame(look(workers=[silent], more=True), View(80), NOW)[9]
    assert "".join(part.text for part in line).split()[:5] == ["mill:7", "4", "children", "2", "min"]
    assert [part.style for part in line if "min ago" in part.text] == ["red"]


def test_the_load_of_a_worker_that_does_not_say_it_is_that_of_its_tasks() -> None:
    silent = {name: value for name, value in WORKER.items() if name != "weight"}
    tasks = [{**TASK, "weight": 2}, TASK, {**TASK, "worker": "another"}]
    assert " 3/4 " in text(frame(look(workers=[silent], running=tasks), View(80), NOW))[11]


@pytest.mark.parametrize(
    ("values", "shown"),
    [([], ""), ([0, 0], "▁▁"), ([0, 1, 1000], "▁▂█"), ([5, 5], "██"), ([0, 25, 50, 75, 100], "▁▃▅▆█")],
)
def test_a_sparkline_rises_to_its_highest_and_none_is_lowest(values: list[float], shown: str) -> None:
    assert sparkline(values) == shown
