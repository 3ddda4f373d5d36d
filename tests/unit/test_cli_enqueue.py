"""A call written on the command line: what becomes an argument, a keyword, a JSON value or text."""

from __future__ import annotations

from typing import Any

import click
import pytest

from headbox.cli.enqueue import read_call, read_options, read_value
from headbox.domain.errors import InvalidSchedule


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("-2.5", -2.5),
        ("true", True),
        ("null", None),
        ("[1, 2]", [1, 2]),
        ('{"a": "b"}', {"a": "b"}),
        ('"5"', "5"),
        ("fedora-41", "fedora-41"),
        ("", ""),
        ("NaN", "NaN"),
        ("Infinity", "Infinity"),
        ("{broken", "{broken"),
        ("[" * 100_000, "[" * 100_000),
        ("1" * 5000, "1" * 5000),
    ],
)
def test_what_is_json_is_a_value_and_anything_else_is_text(text: str, value: Any) -> None:
    assert read_value(text) == value


def test_keywords_are_told_from_values_by_their_name() -> None:
    call = read_call(("web", "rate=5", "feed=http://h/?a=b", "http://h/?a=b", "=x", "9a=1", 'note="5"', "empty="))
    assert call == (
        ["web", "http://h/?a=b", "=x", "9a=1"],
        {"rate": 5, "feed": "http://h/?a=b", "note": "5", "empty": ""},
    )


def test_a_keyword_given_twice_is_refused() -> None:
    with pytest.raises(click.UsageError, match="rate is given twice"):
        read_call(("rate=1", "rate=2"))


def test_options_go_as_the_api_takes_them_and_only_those_given() -> None:
    given = {"timeout": "90", "schedule_threshold": "PT5M", "weight": 0, "unique": None, "queue": "x", "job_id": None}
    assert read_options(given) == {"timeout": "PT1M30S", "schedule_threshold": "PT5M", "weight": 0, "queue": "x"}


def test_a_bad_duration_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(InvalidSchedule, match="soon"):
        read_options({"timeout": "soon"})
