"""The last lines of a terminal, drawn again and again in place while what is printed scrolls on above them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from headbox.cli.screen import SHOWN, TOGETHER
from headbox.cli.table import Line, Styled, cells_of
from headbox.cli.terminal import NO_COLOURS, coloured, legible, paint

ERASE_BELOW: Final = "\x1b[J"


class Region:
    """Lines at the end of the terminal behind standard error."""

    def __init__(self) -> None:
        self._widths: list[int] = []

    def size(self) -> tuple[int, int]:
        """Columns and rows of the terminal; 80 and 24 where it does not say."""
        try:
            columns, rows = os.get_terminal_size(sys.stderr.fileno())
        except OSError:
            columns, rows = 0, 0
        return columns or 80, rows or 24

    def draw(self, lines: Sequence[Line]) -> None:
        """Shows the lines, which fit the terminal, in place of those before."""
        columns, _ = self.size()
        colour = coloured(sys.stderr)
        texts = ["".join(paint(part.text, part.style if colour else "") for part in line) for line in lines]
        back = way_back(self._widths, columns)
        self._widths = [sum(cells_of(part.text) for part in line) for line in lines]
        sys.stderr.write(legible(f"{TOGETHER}{back}" + "\n".join(texts) + SHOWN, sys.stderr))
        sys.stderr.flush()

    def clear(self) -> None:
        """Takes the lines away."""
        columns, _ = self.size()
        sys.stderr.write(way_back(self._widths, columns))
        sys.stderr.flush()
        self._widths = []


def way_back(widths: Sequence[int], columns: int) -> str:
    """What leads from the end of lines so wide to their beginning, and erases them. A terminal that has become narrower
    has broken them."""
    rows = sum(max(-(-width // columns), 1) for width in widths)
    return "\r" + (f"\x1b[{rows - 1}A" if rows > 1 else "") + ERASE_BELOW


def shorten(lines: Sequence[Line], rows: int) -> list[Line]:
    """As many of the lines as there are rows; the last says how many there are besides."""
    if len(lines) <= rows:
        return list(lines)
    return [*lines[: max(rows - 1, 0)], [Styled(f"… {len(lines) - max(rows - 1, 0)} more lines", "dim")]]


def can_draw() -> bool:
    """Whether standard error is a terminal that can be drawn on."""
    return sys.stderr.isatty() and os.environ.get("TERM", "") not in NO_COLOURS


@contextmanager
def live_region() -> Iterator[Region | None]:
    """A region that is gone at the end; None without a terminal that can be drawn on."""
    if not can_draw():
        yield None
        return
    region = Region()
    try:
        yield region
    finally:
        region.clear()
