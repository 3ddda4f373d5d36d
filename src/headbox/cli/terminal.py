"""What reaches the terminal: text without control characters, tables that fit, times as people read them, JSON."""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rich.console import Console

UNLIMITED = 100_000  # columns, where no terminal limits them
GAP = 2


def printable(text: str, *, lines: bool = False) -> str:
    """`text` with whatever could move the cursor, hide or reorder text written as an escape; `lines` keeps newlines."""
    if text.isprintable():
        return text
    return "".join(character if _is_harmless(character, lines) else _escape(character) for character in text)


def _is_harmless(character: str, lines: bool) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs" or (lines and character in "\n\t")


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def compact(value: Any) -> str:
    """A JSON value in one printable line."""
    return printable(json.dumps(value, ensure_ascii=False, separators=(", ", ": ")))


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """One JSON value for scripts. ASCII only: a terminal shows no control character that the data holds."""
    print(json.dumps(value, indent=indent), flush=True)


def print_json_list(values: Iterable[Any]) -> None:
    """A JSON list for scripts, an element a line, printed as the elements come."""
    separator = "["
    for value in values:
        print(f"{separator}\n{json.dumps(value)}", end="")
        separator = ","
    print("\n]" if separator == "," else "[]")


def console(*, stderr: bool = False) -> Console:
    """The terminal, or the pipe: that has no width, no colours."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    plain = not stream.isatty()
    return Console(
        file=stream,
        width=UNLIMITED if plain else None,
        no_color=plain or bool(os.environ.get("NO_COLOR")),
        force_terminal=False if plain else None,
        markup=False,
        highlight=False,
        emoji=False,
    )


class Column(NamedTuple):
    """A table's column: its title, the narrowest that is of use, and whether it is always shown whole."""

    title: str
    width: int = 8
    whole: bool = False


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[Any]], *, header: bool = True) -> None:
    """A table for people. Where the terminal is too narrow the last columns are left out; long cells are cut."""
    from rich.table import Table
    from rich.text import Text

    screen = console()
    table = Table(box=None, pad_edge=False, show_header=header, padding=(0, GAP, 0, 0), header_style="bold")
    shown = columns[: count_fitting(columns, screen.width)]
    for column in shown:
        width = column.width if column.whole else None
        table.add_column(column.title, no_wrap=True, overflow="ellipsis", min_width=width)
    for row in rows:
        cells = [cell if isinstance(cell, Text) else Text(printable(str(cell))) for cell in row]
        table.add_row(*cells[: len(shown)])
    screen.print(table)


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


def count_fitting(columns: Sequence[Column], width: int) -> int:
    """How many of the columns, from the first, fit side by side; at least one."""
    needed = 0
    for count, column in enumerate(columns):
        needed += column.width + GAP * (count > 0)
        if needed > width:
            return max(count, 1)
    return len(columns)


def print_fields(pairs: Iterable[tuple[str, Any]]) -> None:
    """What is known about one thing: a name and a value a line."""
    pairs = [(name, printable(str(value), lines=True)) for name, value in pairs]
    width = max((len(name) for name, _ in pairs), default=0) + GAP
    for name, value in pairs:
        print(f"{name:<{width}}" + value.replace("\n", "\n" + " " * width))


def show_time(text: str | None, now: datetime, *, utc: bool = False) -> str:
    """An instant of the API as people read it: the local time, with the day unless that is today. `utc`: as it is."""
    if text is None or utc:
        return text or ""
    try:
        time = datetime.fromisoformat(text).astimezone(now.tzinfo)
    except (ValueError, OverflowError):  # the last day of the calendar has ended already in this time zone
        return text
    if time.date() == now.date():
        return f"{time:%H:%M:%S}"
    return f"{time:%d %b %H:%M}" if time.year == now.year else f"{time:%d %b %Y %H:%M}"


def local_now() -> datetime:
    """The present time in the machine's time zone."""
    return datetime.now(UTC).astimezone()


def show_span(seconds: float) -> str:
    """A span as people say it: `30 ms`, `2.5 s`, `12 s`, `3 min 5 s`, `2 h 10 min`, `4 d 3 h`."""
    if seconds < 10:
        return f"{seconds:.1f} s" if seconds >= 0.9995 else f"{max(seconds, 0) * 1000:.0f} ms"
    whole = int(seconds)
    for unit, size, smaller, smaller_size in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // smaller_size
            return f"{whole // size} {unit} {rest} {smaller}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"
