"""How a task looks in a line, and all that is known about one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from headbox.cli.task_table import known, row

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
TASK = {
    "id": "1",
    "class_name": "Repo",
    "method_name": "sync",
    "args": ["fedora"],
    "kwargs": {"rate": 5},
    "state": "waiting",
    "start_time": None,
    "finish_time": None,
    "due_time": "2026-11-24T11:59:00Z",
    "exception": None,
    "progress": None,
    "waiting_for": [],
}
HELD = [
    {"reason": "time", "text": "it is due in 3 min"},
    {"reason": "queue_suspended", "text": "its queue reports is suspended"},
    {"reason": "before", "text": "12 ready tasks of its queue are before it"},
]


def cells(**changes: Any) -> list[str]:
    _, state, *rest = row({**TASK, **changes}, NOW)
    return [state.text, *rest]


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({}, ["waiting", "ready", ""]),
        ({"due_time": "2026-11-24T12:03:00Z"}, ["waiting", "in 3 min", ""]),
        ({"state": "suspended"}, ["suspended", "", ""]),
        ({"state": "running"}, ["running", "starts", ""]),
        (
            {"state": "running", "start_time": "2026-11-24T11:58:00Z", "progress": {"done": 1, "total": 2}},
            ["running", "for 2 min", "1/2"],
        ),
        (
            {"state": "error", "finish_time": "2026-11-24T11:00:00Z", "exception": "no"},
            ["error", "60 min ago", "no"],
        ),
        (
            {"state": "finished", "start_time": "2026-11-24T09:00:00Z", "finish_time": "2026-11-24T10:00:00Z"},
            ["finished", "2 h ago, took 1 h", ""],
        ),
        (
            {"waiting_for": HELD},
            ["waiting", "ready", "its queue reports is suspended; 12 ready tasks of its queue are before it"],
        ),
        (
            {"waiting_for": [{"reason": "callable", "text": "no worker knows shop:pack"}]},
            ["waiting", "no worker knows it", "no worker knows shop:pack"],
        ),
    ],
)
def test_a_line_says_what_matters_in_that_state(changes: dict[str, Any], shown: list[str]) -> None:
    state, call, when, note = cells(**changes)
    assert call == 'Repo.sync("fedora", rate=5)'
    assert [state, when, note] == shown


def test_all_that_is_known_has_words_and_exact_times() -> None:
    fields = dict(
        known({**TASK, "waiting_for": HELD, "traceback": "last", "queue": "reports", "result": "x"}, utc=True)
    )
    assert fields["waiting_for"].startswith("it is due in 3 min; its queue reports is suspended; 12 ready")
    assert fields["due_time"] == "2026-11-24T11:59:00Z" and fields["result"] == '"x"'
    assert list(fields)[-1] == "traceback" and "exception" not in fields
