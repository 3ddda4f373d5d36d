"""What reaches the terminal: nothing that could control it, and colours only where they are wanted."""

from __future__ import annotations

import io
import json

import click
import pytest

from headbox.cli.terminal import coloured, compact, legible, print_fields, print_json_list, printable, width_of


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


def test_fields_stand_in_a_column_and_lines_stay_lines(capsys: pytest.CaptureFixture[str]) -> None:
    print_fields([("id", "1"), ("traceback", "one\ntwo\x1b")])
    assert capsys.readouterr().out == "id         1\ntraceback  one\n           two\\x1b\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environ", "colours"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": ""}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
        ({"TERM": ""}, False),
    ],
)
def test_colours_are_for_terminals_that_show_them_and_people_who_want_them(
    environ: dict[str, str], colours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert coloured(Terminal()) is colours
    assert coloured(io.StringIO()) is False


@pytest.mark.parametrize("wanted", [True, False])
def test_what_was_asked_for_goes_before_the_surroundings(wanted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1" if wanted else "")
    with click.Context(click.Command("x"), color=None) as context:
        context.color = wanted
        assert coloured(io.StringIO() if wanted else Terminal()) is wanted


@pytest.mark.parametrize(("columns", "width"), [("33", 33), ("0", 80), ("", 80), ("-5", 80), ("wide", 80), ("٣", 80)])
def test_a_terminal_without_a_width_has_80_columns(columns: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert width_of(Terminal()) == width
    assert width_of(io.StringIO()) is None


def test_text_is_written_in_the_characters_that_there_are() -> None:
    text = "Zürich … 東京 ━━"
    assert legible(text, io.TextIOWrapper(io.BytesIO(), "utf-8")) == text
    assert legible(text, io.TextIOWrapper(io.BytesIO(), "latin-1")) == "Zürich ~ \\u6771\\u4eac =="
    assert legible("Zürich", io.TextIOWrapper(io.BytesIO(), "latin-1")) == "Zürich"
