"""A form for a call is read off a signature's text, and what was typed becomes the call that somebody would write."""

from __future__ import annotations

from typing import Any

import pytest

from headbox.web.ui.call_form import EVERYTHING, read_call, read_fields

SYNC = read_fields(
    "(repo: str, rate: int = 3, *, feed: 'str | None' = None, dry: bool = False, tags: list[str] = [], more=1)"
)


def test_fields_are_those_of_the_signature() -> None:
    found = [(field.name, field.kind, field.place, field.default) for field in SYNC]
    assert found == [
        ("repo", "text", "positional", None),
        ("rate", "number", "positional", "3"),
        ("feed", "text", "keyword", "None"),
        ("dry", "truth", "keyword", "False"),
        ("tags", "json", "keyword", "[]"),
        ("more", "json", "keyword", "1"),
    ]
    assert [field.name for field in SYNC if field.is_required] == ["repo"]


@pytest.mark.parametrize(
    "signature",
    ["(a=<object object at 0x7f>)", "nothing", "(", "(\x00)", "(" * 5000, "(a" + "+1" * 50_000 + ")"],
)
def test_a_signature_that_is_no_python_takes_all_its_arguments_as_json(signature: str) -> None:
    assert read_fields(signature) == EVERYTHING
    assert read_call(EVERYTHING, {"args": "[1]", "kwargs": '{"b": 2}'}) == ([1], {"b": 2}, {})


@pytest.mark.parametrize(
    ("given", "args", "kwargs"),
    [
        ({"repo": "fedora"}, ["fedora"], {}),
        ({"repo": "41", "rate": "5"}, ["41"], {"rate": 5}),
        ({"repo": " a b ", "feed": "null"}, [" a b "], {"feed": "null"}),
        (
            {"repo": "x", "dry": "true", "tags": '["a", 1]', "more": "word"},
            ["x"],
            {"dry": True, "tags": ["a", 1], "more": "word"},
        ),
        ({"repo": "x", "rate": "null", "more": "2.5"}, ["x"], {"rate": None, "more": 2.5}),
    ],
)
def test_what_is_typed_becomes_a_call(given: dict[str, str], args: list[Any], kwargs: dict[str, Any]) -> None:
    assert read_call(SYNC, given) == (args, kwargs, {})


@pytest.mark.parametrize(
    ("given", "field", "trouble"),
    [
        ({}, "repo", "This is needed."),
        ({"repo": "  "}, "repo", "This is needed."),
        ({"repo": "x", "rate": "many"}, "rate", "This takes a number."),
        ({"repo": "x", "rate": "true"}, "rate", "This takes a number."),
        ({"repo": "x", "dry": "1"}, "dry", "This takes true or false."),
        ({"repo": "x", "tags": "a, b"}, "tags", 'This is no JSON; write a text as "text".'),
        ({"repo": "x", "more": "[1"}, "more", 'This is no JSON; write a text as "text".'),
    ],
)
def test_what_cannot_be_is_said_at_its_field(given: dict[str, str], field: str, trouble: str) -> None:
    assert read_call(SYNC, given)[2] == {field: trouble}


MIXED = read_fields("(a, b=1, /, c=2, *rest, d, **more)")


@pytest.mark.parametrize(
    ("given", "args", "kwargs"),
    [
        ({"a": "1", "d": "4"}, [1], {"d": 4}),
        ({"a": "1", "b": "2", "c": "3", "d": "4"}, [1, 2], {"c": 3, "d": 4}),
        ({"a": "1", "b": "2", "c": "3", "rest": "[7, 8]", "d": "4"}, [1, 2, 3, 7, 8], {"d": 4}),
        ({"a": "1", "d": "4", "more": '{"e": 5}'}, [1], {"d": 4, "e": 5}),
    ],
)
def test_positions_are_kept(given: dict[str, str], args: list[Any], kwargs: dict[str, Any]) -> None:
    assert read_call(MIXED, given) == (args, kwargs, {})


def test_what_would_come_to_another_place_is_refused() -> None:
    assert read_call(MIXED, {"a": "1", "rest": "[7]", "d": "4"})[2].keys() == {"b", "c"}
    assert read_call(MIXED, {"a": "1", "d": "4", "more": '{"d": 5}'})[2] == {"d": "This is given twice."}
    assert read_call(MIXED, {"a": "1", "d": "4", "more": "[]"})[2].keys() == {"more"}
    assert read_call(MIXED, {"a": "1", "d": "4", "rest": "{}"})[2].keys() == {"rest"}
