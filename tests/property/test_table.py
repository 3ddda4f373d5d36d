"""Tables: whatever they hold and however narrow the terminal, every line fits and nothing that must be whole is cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headbox.cli.table import Column, Styled, allot, cells_of, cut, lay_out
from headbox.cli.terminal import printable

columns = st.lists(
    st.builds(
        Column,
        title=st.text("ABC", max_size=12),
        width=st.integers(0, 40),
        whole=st.booleans(),
        rank=st.integers(0, 9),
        right=st.booleans(),
    ),
    min_size=1,
    max_size=8,
)
texts = st.text(max_size=60).map(printable)


@given(columns=columns, width=st.integers(1, 200), data=st.data())
def test_every_line_fits_and_what_is_whole_is_whole(columns: list[Column], width: int, data: st.DataObject) -> None:
    row = [data.draw(texts) for _ in columns]
    (line,) = lay_out(columns, [[Styled(text, "") for text in row]], width)
    assert 1 <= len(line) <= len(columns)
    assert sum(cells_of(cell.text) for cell in line) <= width
    whole = [text for column, text in zip(columns, row, strict=True) if column.whole]
    if len(line) == len(columns) > 1:
        shown = "".join(cell.text for cell in line)
        assert all(text in shown for text in whole)


@given(columns=columns, data=st.data())
def test_in_a_pipe_nothing_is_left_out_or_cut(columns: list[Column], data: st.DataObject) -> None:
    row = [data.draw(texts) for _ in columns]
    (line,) = lay_out(columns, [[Styled(text, "") for text in row]], None)
    assert len(line) == len(columns)
    assert all(text in cell.text for text, cell in zip(row, line, strict=True))


@given(text=texts, width=st.integers(1, 80))
def test_what_is_cut_is_as_long_as_it_may_be(text: str, width: int) -> None:
    shown = cut(text, width)
    assert cells_of(shown) <= width
    assert shown == text or (shown.endswith("…") and cells_of(shown) == width)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=8), st.integers(0, 200))
def test_room_is_used_up_before_anything_is_cut(sizes: list[tuple[int, int]], room: int) -> None:
    wanted = [size for size, _ in sizes]
    least = [min(size, low) for size, low in sizes]
    widths = allot(wanted, least, room)
    assert all(size <= want or size == 1 for size, want in zip(widths, wanted, strict=True))
    if sum(least) <= room:
        assert sum(widths) == min(room, sum(wanted))


def test_a_column_without_room_shows_nothing() -> None:
    assert cut("0", 0) == cut("ü…", 0) == ""
