"""Tables that fit the terminal: the columns that matter least are left out, long cells are cut, nothing wraps.

In a pipe every column is there, and every cell is whole.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple, TextIO

from headbox.cli.terminal import coloured, legible, paint, print_json_list, printable, width_of

GAP: Final = 2
CUT: Final = "…"


class Styled(NamedTuple):
    """A cell in a colour."""

    text: str
    style: str


Line = list[Styled]


class Column(NamedTuple):
    """A table's column: its title, the narrowest that is of use, whether it is shown whole or not at all, its place
    when there is room for some columns only (the lowest comes first), and whether its cells stand to the right."""

    title: str
    width: int = 8
    whole: bool = False
    rank: int = 0
    right: bool = False


def show_list(
    values: Iterable[Any],
    columns: Sequence[Column],
    cells: Callable[[Any], Sequence[Any]],
    *,
    as_json: bool,
    header: bool = True,
) -> None:
    """A list as a table for people, or as JSON for scripts. `cells` gives the row of one value."""
    if as_json:
        print_json_list(values)
    elif header:
        print_table(columns, map(cells, values))
    else:
        for value in values:  # each as soon as it is known
            print_table(columns, [cells(value)], header=False)


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[Any]], *, header: bool = True) -> None:
    """A table for people, as wide as the terminal at most."""
    out = sys.stdout
    shown = [[_cell(cell, out) for cell in row] for row in rows]
    titles = [[Styled(column.title, "bold") for column in columns]] if header else []
    print_lines(lay_out(columns, [*titles, *shown], width_of(out)))


def print_lines(lines: Iterable[Line]) -> None:
    """Lines for people, in their colours."""
    out = sys.stdout
    colour = coloured(out)
    for line in lines:
        print("".join(paint(legible(cell.text, out), cell.style if colour else "") for cell in line).rstrip())


def _cell(value: Any, out: TextIO) -> Styled:
    styled = value if isinstance(value, Styled) else Styled(str(value), "")
    return styled._replace(text=legible(printable(styled.text), out))


def lay_out(columns: Sequence[Column], rows: Sequence[Sequence[Styled]], width: int | None) -> list[Line]:
    """The lines of a table in so many columns of a terminal, or as many as it takes. Each cell has its gap."""
    wanted = [
        max([column.width if column.whole else 0, *(cells_of(row[number].text) for row in rows)])
        for number, column in enumerate(columns)
    ]
    if width is None:
        shown, widths = list(range(len(columns))), wanted
    else:
        shown = choose(columns, wanted, width)
        widths = allot([wanted[n] for n in shown], [least(columns[n], wanted[n]) for n in shown], room(width, shown))
    places = [(n, size, columns[n].right, n == shown[-1]) for n, size in zip(shown, widths, strict=True)]
    return [[_fit(row[n], size, right=right, last=last) for n, size, right, last in places] for row in rows]


def choose(columns: Sequence[Column], wanted: Sequence[int], width: int) -> list[int]:
    """Which columns are shown side by side, by number: those that fit, as they are ranked; at least one."""
    shown: list[int] = []
    for number in sorted(range(len(columns)), key=lambda number: columns[number].rank):
        needed = sum(least(columns[each], wanted[each]) for each in (*shown, number)) + GAP * len(shown)
        if not shown or needed <= width:
            shown.append(number)
    return sorted(shown)


def least(column: Column, wanted: int) -> int:
    """The narrowest that the column can be, when its widest cell is `wanted` wide."""
    return wanted if column.whole else min(wanted, column.width)


def room(width: int, shown: Sequence[int]) -> int:
    """What the gaps leave of the width."""
    return width - GAP * (len(shown) - 1)


def allot(wanted: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """How wide each column becomes: at least its least, then an equal share of what is left, never more than wanted."""
    widths = [min(size, max(room, 1)) for size in least]
    while (spare := room - sum(widths)) > 0:
        hungry = [number for number, size in enumerate(wanted) if widths[number] < size]
        if not hungry:
            break
        share = max(spare // len(hungry), 1)
        for number in hungry[:spare]:
            widths[number] = min(widths[number] + share, wanted[number])
    return widths


def _fit(cell: Styled, width: int, *, right: bool, last: bool) -> Styled:
    text = cut(cell.text, width)
    space = " " * (width - cells_of(text))
    if right:
        return cell._replace(text=space + text + ("" if last else " " * GAP))
    return cell._replace(text=text if last else text + space + " " * GAP)


def cut(text: str, width: int) -> str:
    """The text in at most so many columns of a terminal; what is left out is an ellipsis."""
    if cells_of(text) <= width:
        return text
    if width <= 0:
        return ""
    if text.isascii():
        return text[: max(width - 1, 0)] + CUT
    from rich.cells import set_cell_size

    return set_cell_size(text, max(width - 1, 0)) + CUT


def cut_line(line: Line, width: int) -> Line:
    """As much of the line as fits."""
    shown: Line = []
    for cell in line:
        if width <= 0:
            break
        shown.append(cell._replace(text=cut(cell.text, width)))
        width -= cells_of(cell.text)
    return shown


def cells_of(text: str) -> int:
    """How many columns of a terminal the text takes: wide characters two, combining ones none."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
