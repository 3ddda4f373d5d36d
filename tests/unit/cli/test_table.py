"""Tables: in a terminal as wide as that is, in a pipe whole."""

from __future__ import annotations

import io
import re
import sys

import pytest

from headbox.cli.table import Column, Styled, allot, cells_of, choose, cut, lay_out, print_table
from headbox.cli.task_table import COLUMNS

ID = "01234567-89ab-7def-8123-456789abcdef"
TASK = (ID, "running", 'sync("fedora", rate=20000)', "2 h ago, took 3 s", "files 1/3, bytes 1.0 kB")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def to_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Makes standard output a terminal."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return stream


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def shown(width: int) -> list[str]:
    lines = lay_out(COLUMNS, [[Styled(column.title, "") for column in COLUMNS], [Styled(c, "") for c in TASK]], width)
    return [cell.text.strip() for cell in lines[0]]


def test_what_matters_least_is_left_out_first() -> None:
    assert shown(200) == ["ID", "STATE", "TASK", "WHEN", "NOTE"]
    assert shown(80) == ["ID", "STATE", "TASK", "WHEN"]
    assert shown(60) == ["STATE", "TASK", "WHEN", "NOTE"]
    assert shown(40) == ["STATE", "TASK", "WHEN"]
    assert shown(25) == ["STATE", "TASK"]
    assert shown(5) == ["TASK"]


def test_a_column_that_is_whole_is_never_cut() -> None:
    for width in range(1, 130):
        header, row = lay_out(COLUMNS, [[Styled(c.title, "") for c in COLUMNS], [Styled(c, "") for c in TASK]], width)
        cells = {title.text.strip(): cell.text.strip() for title, cell in zip(header, row, strict=True)}
        assert cells.get("ID", ID) == ID and cells.get("STATE", "running") == "running"


@pytest.mark.parametrize("width", [1, 2, 10, 20, 40, 80, 120])
def test_a_table_is_no_wider_than_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = to_terminal(monkeypatch)
    monkeypatch.setenv("COLUMNS", str(width))
    rows = [
        ("a" * 30, "b" * 300),
        ("x", "[bold]y[/bold]"),
        ("東京" * 20, "e\u0301" * 50),
        ("x" * 9 + "\x1b[2J", "\n" * 9),
    ]
    print_table((Column("NAME", 10), Column("NOTE", 10, rank=1)), rows)
    lines = plain(terminal.getvalue()).splitlines()
    assert len(lines) == 5
    assert all(cells_of(line) <= width for line in lines)


def test_a_terminal_is_shown_colours_and_no_other_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = to_terminal(monkeypatch)
    print_table((Column("STATE"),), [(Styled("error", "red"),), (Styled("\x1b]0;owned\x07", "red"),)])
    assert terminal.getvalue() == "\x1b[1mSTATE\x1b[0m\n\x1b[31merror\x1b[0m\n\x1b[31m\\x1b]0;owned\\x07\x1b[0m\n"
    monkeypatch.setenv("NO_COLOR", "1")
    print_table((Column("STATE"),), [(Styled("error", "red"),)], header=False)
    assert terminal.getvalue().endswith("\x1b[0m\nerror\n")


def test_a_table_in_a_pipe_is_whole_and_has_no_colours(capsys: pytest.CaptureFixture[str]) -> None:
    print_table((Column("NAME"), Column("NOTE")), [("a", "b" * 300), (Styled("\x1b[31m", "red"), "[red]x[/red]")])
    out = capsys.readouterr().out
    assert "b" * 300 in out and "[red]x[/red]" in out
    assert "\x1b" not in out


def test_an_empty_table_is_its_header(capsys: pytest.CaptureFixture[str]) -> None:
    print_table((Column("NAME"), Column("NOTE")), [])
    assert capsys.readouterr().out == "NAME  NOTE\n"


@pytest.mark.parametrize(
    ("wanted", "least", "room", "widths"),
    [
        ([5, 5], [5, 5], 80, [5, 5]),
        ([30, 30], [10, 10], 40, [20, 20]),
        ([12, 90], [10, 10], 60, [12, 48]),
        ([30, 30, 30], [10, 10, 10], 32, [11, 11, 10]),
        ([30], [10], 4, [4]),
        ([30], [10], 0, [1]),
        ([0, 9], [0, 8], 20, [0, 9]),
    ],
)
def test_room_is_shared_by_those_that_want_it(
    wanted: list[int], least: list[int], room: int, widths: list[int]
) -> None:
    assert allot(wanted, least, room) == widths


def test_there_is_always_a_column() -> None:
    assert choose((Column("A", 50, rank=1), Column("B", 40)), [50, 40], 3) == [1]


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("abcd", 1, "…"),
        ("東京都", 6, "東京都"),
        ("東京都", 5, "東京…"),
        ("東京都", 4, "東 …"),
    ],
)
def test_what_is_cut_ends_in_an_ellipsis(text: str, width: int, shown: str) -> None:
    assert cut(text, width) == shown and cells_of(shown) <= width
