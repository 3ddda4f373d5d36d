from __future__ import annotations

import pytest

from headbox.storage.sqlite.bulk import MOST_BYTES, Set, as_set

NAMES = ("id", "queue", "args")


def test_what_rows_have_in_common_is_said_once() -> None:
    rows = [("1", "default", b"[1]"), ("2", "default", None)]
    assert as_set(NAMES, rows) == Set(("id", "args"), '[["1","[1]"],["2",null]]', {"queue": "default"})


def test_rows_that_differ_in_one_value_are_a_list_of_it() -> None:
    assert as_set(NAMES, [("1", "default", b"[1]"), ("2", "default", b"[1]")]) == Set(
        ("id",), '["1","2"]', {"queue": "default", "args": b"[1]"}
    )


def test_rows_that_differ_in_nothing_are_still_as_many() -> None:
    row = ("1", "default", None)
    assert as_set(NAMES, [row, row]) == Set((), "[[],[]]", {"id": "1", "queue": "default", "args": None})


@pytest.mark.parametrize(
    "args", [b"\x80HB1 a pickle", b'"a zero \\u0000 in JSON"', b"x" * MOST_BYTES], ids=["pickle", "zero", "large"]
)
def test_what_json_cannot_carry_or_is_too_large_makes_no_set(args: bytes) -> None:
    assert as_set(NAMES, [("1", "default", b"[1]"), ("2", "default", args)]) is None


def test_a_text_with_a_zero_makes_no_set_since_sqlite_would_cut_it_there() -> None:
    assert as_set(NAMES, [("1\0a", "default", None), ("1\0b", "default", None)]) is None


def test_a_pickle_that_all_have_in_common_is_bound() -> None:
    given = as_set(NAMES, [("1", "default", b"\x80"), ("2", "default", b"\x80")])
    assert given is not None and given.common["args"] == b"\x80"
