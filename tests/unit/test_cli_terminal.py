"""What reaches the terminal: nothing that could control it, in widths that fit, at times that people read."""

from __future__ import annotations

import io
import json
import re
import sys
from datetime import UTC, datetime, timedelta, timezone

import pytest

from headbox.cli.terminal import (
    Column,
    compact,
    count_fitting,
    print_fields,
    print_json_list,
    print_table,
    printable,
    show_span,
    show_time,
)

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=timezone(timedelta(hours=1)))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, Zürich, 東京", "plain text, Zürich, 東京"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\rb\nc\td\x00e\x7f", "a\\rb\\nc\\td\\x00e\\x7f"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202eevil\u2066", "\\u202eevil\\u2066"),
        ("a\u2028b", "a\\u2028b"),
        ("\ud800", "\\ud800"),
        ("no\u00a0break", "no\u00a0break"),
    ],
)
def test_nothing_that_controls_a_terminal_is_printable(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_lines_keep_their_ends_and_nothing_else() -> None:
    assert printable("a\n\tb\x1bc", lines=True) == "a\n\tb\\x1bc"


def test_a_json_value_is_one_printable_line() -> None:
    assert compact({"é": ["\u009b2J", "\u202e"]}) == '{"é": ["\\x9b2J", "\\u202e"]}'


def test_a_json_list_is_json_whatever_it_holds(capsys: pytest.CaptureFixture[str]) -> None:
    for values in ([], [{"a": "\x9b"}], [1, None, "x"]):
        print_json_list(iter(values))
        out = capsys.readouterr().out
        assert json.loads(out) == values
        assert out.isascii()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (None, ""),
        ("2026-11-24T13:05:09Z", "14:05:09"),
        ("2026-11-24T23:30:00.250000Z", "25 Nov 00:30"),
        ("2027-01-01T00:00:00Z", "01 Jan 2027 01:00"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
        ("not a time", "not a time"),
    ],
)
def test_times_are_local_with_the_day_unless_it_is_today(text: str | None, shown: str) -> None:
    assert show_time(text, NOW) == shown


def test_utc_shows_the_time_as_it_is() -> None:
    assert show_time("2026-11-24T13:05:09.000001Z", NOW, utc=True) == "2026-11-24T13:05:09.000001Z"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-3, "0 ms"),
        (0.0125, "12 ms"),
        (0.9999, "1.0 s"),
        (2.54, "2.5 s"),
        (59, "59 s"),
        (60, "1 min"),
        (185, "3 min 5 s"),
        (7200, "2 h"),
        (7800, "2 h 10 min"),
        (90000, "1 d 1 h"),
    ],
)
def test_spans_are_said_as_people_say_them(seconds: float, shown: str) -> None:
    assert show_span(seconds) == shown


def test_columns_that_do_not_fit_are_left_out_but_for_the_first() -> None:
    columns = (Column("ID", 36, whole=True), Column("STATE", 9), Column("TASK", 14))
    assert [count_fitting(columns, width) for width in (10, 36, 46, 47, 62, 63, 500)] == [1, 1, 1, 2, 2, 3, 3]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("width", [20, 40, 80, 120])
def test_a_table_is_no_wider_than_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    print_table((Column("NAME", 10), Column("NOTE", 10)), [("a" * 30, "b" * 300), ("x", "[bold]y[/bold]")])
    lines = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue()).splitlines()
    assert len(lines) == 3
    assert all(len(line) <= width for line in lines)


def test_a_table_in_a_pipe_is_whole_and_has_no_colours(capsys: pytest.CaptureFixture[str]) -> None:
    print_table((Column("NAME"), Column("NOTE")), [("a", "b" * 300), ("\x1b[31m", "[red]not markup[/red]")])
    out = capsys.readouterr().out
    assert "b" * 300 in out and "[red]not markup[/red]" in out
    assert "\x1b" not in out


def test_fields_stand_in_a_column_and_lines_stay_lines(capsys: pytest.CaptureFixture[str]) -> None:
    print_fields([("id", "1"), ("traceback", "one\ntwo\x1b")])
    assert capsys.readouterr().out == "id         1\ntraceback  one\n           two\\x1b\n"


def test_now_has_a_zone() -> None:
    from headbox.cli.terminal import local_now

    assert abs((local_now() - datetime.now(UTC)).total_seconds()) < 60
