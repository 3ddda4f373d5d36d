"""What is written so that a terminal shows other lines, and what keys mean."""

from __future__ import annotations

import pytest

from headbox.cli.screen import changed_lines, read_keys
from headbox.cli.table import Styled
from headbox.cli.top import scrolled

A, B = [Styled("a", "red")], [Styled("b", "")]


def test_only_lines_that_have_changed_are_written() -> None:
    assert changed_lines([A, A], [A, B], 80, colour=False) == "\x1b[2;1Hb\x1b[K"
    assert changed_lines([A], [A], 80, colour=True) == ""
    assert changed_lines([A, B], [A], 80, colour=False) == "\x1b[2;1H\x1b[K"


def test_where_nobody_knows_what_is_shown_everything_is_written() -> None:
    assert changed_lines(None, [A], 80, colour=True) == "\x1b[2J\x1b[1;1H\x1b[31ma\x1b[0m\x1b[K"


def test_the_last_column_is_not_erased_by_what_follows() -> None:
    assert changed_lines([], [[Styled("東", "")]], 2, colour=False) == "\x1b[1;1H東"


@pytest.mark.parametrize(
    ("pressed", "keys"),
    [
        ("q", ["quit"]),
        ("jk", ["down", "up"]),
        ("\x1b[A\x1bOB", ["up", "down"]),
        ("\x1b[5~\x1b[6~ ", ["page up", "page down", "page down"]),
        ("gG\x1b[H\x1b[4~", ["home", "end", "home", "end"]),
        ("p\x1b", ["pause"]),
        ("\x1b[1;5C\x1b[<0;1;1M\xff\x00xyz", []),
        ("\x1bq", ["quit"]),
    ],
)
def test_keys_mean_what_they_say_and_others_nothing(pressed: str, keys: list[str]) -> None:
    assert read_keys(pressed) == keys


@pytest.mark.parametrize(
    ("key", "scroll", "to"),
    [
        ("down", 0, 1),
        ("down", 9, 9),
        ("up", 0, 0),
        ("page down", 2, 9),
        ("page up", 9, 0),
        ("end", 0, 9),
        ("pause", 4, 4),
    ],
)
def test_scrolling_stays_between_the_ends(key: str, scroll: int, to: int) -> None:
    assert scrolled(key, scroll, last=9, rows=24) == to
