"""The last lines of a terminal: how what was drawn is found again, and what is shown where there is no room."""

from __future__ import annotations

import pytest

from headbox.cli.region import shorten, way_back
from headbox.cli.table import Styled


@pytest.mark.parametrize(
    ("widths", "columns", "up"),
    [([], 80, 0), ([10], 80, 0), ([10, 0, 80], 80, 2), ([81], 80, 1), ([80, 80], 40, 3), ([5], 1, 4)],
)
def test_lines_that_a_narrower_terminal_broke_are_erased_too(widths: list[int], columns: int, up: int) -> None:
    assert way_back(widths, columns) == "\r" + (f"\x1b[{up}A" if up else "") + "\x1b[J"


def test_what_has_no_room_is_counted() -> None:
    lines = [[Styled(str(number), "")] for number in range(5)]
    assert shorten(lines, 5) == lines
    assert [line[0].text for line in shorten(lines, 3)] == ["0", "1", "… 3 more lines"]
    assert [line[0].text for line in shorten(lines, 1)] == ["… 5 more lines"]
