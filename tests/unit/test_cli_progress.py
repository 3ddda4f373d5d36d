"""How a task's progress is read for people, whatever the task reported."""

from __future__ import annotations

from typing import Any

import pytest

from headbox.cli.progress import Measure, describe, measures

FILES = {"files": {"done": 3, "total": 10}, "bytes": {"done": 1_234_567, "total": None}}


def test_a_measure_or_several_by_name() -> None:
    assert measures({"done": 3, "total": 10}) == [Measure("", 3, 10)]
    assert measures(FILES) == [Measure("files", 3, 10), Measure("bytes", 1_234_567, None)]


@pytest.mark.parametrize(
    ("progress", "shown"),
    [
        (None, ""),
        ({"done": 3, "total": 10}, "3/10"),
        ({"done": 0.5, "total": 1.0}, "0.5/1"),
        (FILES, "files 3/10, bytes 1.2 MB"),
        ({"bytes": {"done": 10, "total": 2_000_000_000_000}}, "bytes 10 B/2.0 TB"),
        ("half way", '"half way"'),
        (7, "7"),
        ([1, "\x1b[31m"], '[1, "\\u001b[31m"]'),
        ({"done": True, "total": 2}, '{"done": true, "total": 2}'),
        ({"done": "many"}, '{"done": "many"}'),
        ({"files": {"done": 3}, "phase": "copying"}, '{"files": {"done": 3}, "phase": "copying"}'),
        ({}, "{}"),
        ({"\x1b": {"done": 1, "total": 2}}, "\\x1b 1/2"),
    ],
)
def test_any_progress_is_one_printable_line(progress: Any, shown: str) -> None:
    assert describe(progress) == shown


@pytest.mark.parametrize(
    ("done", "total", "fraction"),
    [(1, 4, 0.25), (5, 4, 1.0), (-1, 4, 0.0), (1, 0, None), (1, None, None)],
)
def test_a_fraction_stays_between_nothing_and_all(done: float, total: float | None, fraction: float | None) -> None:
    assert Measure("", done, total).fraction == fraction
