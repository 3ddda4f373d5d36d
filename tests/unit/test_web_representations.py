"""How tasks look: the table of fields, and that stored JSON goes out as it is."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from headbox.domain.task import FIELDS as COLUMNS
from headbox.domain.task import MINUTE, SECOND, Task
from headbox.web.representations import DEFAULT_FIELDS, FIELDS, Show, encode, show_task

TASK = Task("id", 1, "waiting", "default", 0, 10 * SECOND, "shop:pack", "pack", enqueue_time=0)


def shown(task: Task, *names: str, now: int = 0) -> dict[str, object]:
    value: dict[str, object] = json.loads(encode(Show(names or FIELDS, now)(task)))
    return value


def test_the_default_fields_are_the_contracts_fifteen() -> None:
    assert DEFAULT_FIELDS == (
        "id", "job_id", "class_name", "method_name", "args", "state", "start_time", "finish_time", "result",
        "exception", "traceback", "progress", "scheduled_time", "scheduler", "snapshot_id",
    )  # fmt: skip
    assert tuple(shown(TASK, *DEFAULT_FIELDS)) == DEFAULT_FIELDS


def test_every_field_can_be_shown_of_any_task() -> None:
    assert list(shown(TASK)) == list(FIELDS)


def test_stored_json_goes_out_byte_for_byte() -> None:
    args = b'[ 1.50, {"b":1,"a":2}, "\\u00e9" ]'
    assert b'"args":' + args in encode(show_task(replace(TASK, args=args)))


@pytest.mark.parametrize(
    ("changes", "args"),
    [
        ({}, []),
        ({"args": b"[1]"}, [1]),
        ({"args": b'["secret"]', "public_args": '["***"]'}, ["***"]),
        ({"args": b"\x80HB1...", "public_args": '["(1, 2)"]'}, ["(1, 2)"]),
        ({"args": b"\x80HB1..."}, None),
        ({"args": b"[1"}, None),
        ({"args": b""}, None),
        ({"args": b"[" * 100_000}, None),
    ],
)
def test_what_is_shown_of_arguments(changes: dict[str, object], args: object) -> None:
    assert shown(replace(TASK, **changes), "args") == {"args": args}


def test_a_time_has_a_fraction_only_where_it_is_not_zero() -> None:
    task = replace(TASK, start_time=0, finish_time=250_000, scheduled_time=1_325_743_200 * SECOND)
    assert shown(task, "start_time", "finish_time", "scheduled_time") == {
        "start_time": "1970-01-01T00:00:00Z",
        "finish_time": "1970-01-01T00:00:00.250000Z",
        "scheduled_time": "2012-01-05T06:00:00Z",
    }


def test_durations_are_iso_8601() -> None:
    assert shown(replace(TASK, timeout=30 * MINUTE), "timeout") == {"timeout": "PT30M"}


def test_waiting_for_names_the_time_and_the_missing_callable() -> None:
    held = replace(TASK, held=1)
    time, missing = (
        {"reason": "time", "text": "it is due in 10 s", "due_time": "1970-01-01T00:00:10Z"},
        {"reason": "callable", "text": "no worker knows shop:pack", "callable": "shop:pack"},
    )
    assert shown(held, "waiting_for", now=0) == {"waiting_for": [time, missing]}
    assert shown(held, "waiting_for", now=10 * SECOND) == {"waiting_for": [missing]}
    assert shown(replace(held, state="running", start_time=1), "waiting_for") == {"waiting_for": []}


def test_of_a_task_is_read_only_what_is_shown() -> None:
    assert Show(["state", "args"], 0).columns == ("id", "public_args", "args", "state")
    assert Show(["id", "waiting_for"], 0).columns == COLUMNS
    assert len(show_task.columns) == 17


def test_tasks_that_have_something_to_say_are_shown_beside_those_that_have_nothing() -> None:
    tasks = [TASK, replace(TASK, start_time=0, args=b"[1]", unique_key="key"), replace(TASK, public_args='["***"]')]
    show = Show(["start_time", "args", "unique"], 0)
    assert show.tasks([]) == show.rows([]) == []
    assert json.loads(encode(show.tasks(tasks))) == [
        {"args": [], "start_time": None, "unique": False},
        {"args": [1], "start_time": "1970-01-01T00:00:00Z", "unique": True},
        {"args": ["***"], "start_time": None, "unique": False},
    ]
