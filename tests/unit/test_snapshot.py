"""A snapshot has the document's fields, and what it calls pickled loads with nothing but the standard library."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from pathlib import PurePath
from typing import Any

from headbox.domain.snapshot import snapshot
from headbox.domain.task import MINUTE, SECOND, Task
from headbox.storage.payload import Payloads

DOCUMENT = [
    "id", "class_name", "method_name", "state", "failure_threshold", "cancel_attempts", "callable", "args", "kwargs",
    "progress", "timeout", "schedule_threshold", "_progress_callback", "start_time", "finish_time", "result",
    "exception", "traceback",
]  # fmt: skip
PICKLED = [
    "callable", "args", "kwargs", "timeout", "schedule_threshold", "_progress_callback", "start_time", "finish_time",
    "result", "exception", "traceback",
]  # fmt: skip


def running(**fields: Any) -> Task:
    return Task(
        id="t-1", run=1, state="running", queue="default", priority=0, due_time=0, method_name="joinpath",
        snapshot_id="s-1", **({"callable": "posixpath:join"} | fields),
    )  # fmt: skip


def load(text: str) -> Any:
    return pickle.loads(text.encode("latin-1"))


def test_it_has_exactly_the_documents_fields_and_two_more() -> None:
    assert sorted(snapshot(running())) == sorted([*DOCUMENT, "snapshot_id", "task_class"])


def test_every_pickled_field_is_a_string_that_loads_also_where_there_is_nothing_to_say() -> None:
    shown = snapshot(running())
    values = {field: load(shown[field]) for field in PICKLED}
    assert values.pop("callable").__name__ == "join"
    assert values.pop("args") == []
    assert values.pop("kwargs") == {}
    assert set(values.values()) == {None}


def test_spans_instants_and_texts_load_as_python_values() -> None:
    shown = snapshot(
        running(timeout=MINUTE, schedule_threshold=SECOND // 2, start_time=1_325_743_200_000_001, exception="é")
    )
    assert load(shown["timeout"]) == timedelta(minutes=1)
    assert load(shown["schedule_threshold"]) == timedelta(milliseconds=500)
    assert load(shown["start_time"]) == datetime(2012, 1, 5, 6, 0, 0, 1, tzinfo=UTC)
    assert load(shown["exception"]) == "é"


def test_progress_is_a_plain_object() -> None:
    assert snapshot(running(progress='{"done": 3}'))["progress"] == {"done": 3}


def test_a_registered_callable_loads_as_the_function_also_a_nested_one() -> None:
    assert load(snapshot(running(callable="pathlib:PurePath.joinpath"))["callable"]) is PurePath.joinpath
    assert load(snapshot(running(callable="nightly"))["callable"]) == "nightly"


def test_a_bound_method_and_arguments_load_as_they_were_stored() -> None:
    payloads = Payloads((b"k",))
    bound = {"task_id": "t-1", "callable": "pathlib:PurePath.joinpath"}
    method = payloads.encode(PurePath("/a").joinpath, field="callable", **bound)
    arguments = payloads.encode([("b", 1)], field="args", **bound)
    shown = snapshot(running(callable=bound["callable"], callable_payload=method, args=arguments, kwargs=b'{"x":[1]}'))
    assert load(shown["callable"])("b") == PurePath("/a/b")
    assert load(shown["args"]) == [("b", 1)]
    assert load(shown["kwargs"]) == {"x": [1]}
