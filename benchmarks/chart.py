"""A bar chart as SVG, readable on a light and on a dark page."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Final, NamedTuple

from benchmarks.figures import FIGURES, FLOOR, HEADBOX, TITLES, Results

WIDTH: Final = 760
LEFT: Final = 210  # where bars begin
LONGEST: Final = WIDTH - LEFT - 90
BAR, GAP, HEAD = 16, 6, 30
STYLE: Final = """
text { font: 12px system-ui, sans-serif; fill: #24292f; }
.title { font-weight: 600; }
.headbox { fill: #2f6fdb; } .floor { fill: #8c959f; } .peer { fill: #c47f17; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .headbox { fill: #6ea8fe; } .floor { fill: #6e7681; } .peer { fill: #e3b341; }
}
"""


class Bar(NamedTuple):
    """One contender's value of a figure."""

    label: str
    kind: str
    value: float


def draw(results: Results, workload: str) -> str:
    """The chart of a workload: a group of bars for each figure, each group to a scale of its own."""
    parts, top = [f'<text class="title" x="0" y="16">{escape(TITLES[workload])}</text>'], HEAD
    for name in results.figures(workload):
        figure, bars = FIGURES[name], list(_bars(results, name))
        parts.append(f'<text class="title" x="0" y="{top + 14}">{escape(f"{figure.title} {figure.unit}")}</text>')
        top += BAR + GAP
        most = max(bar.value for bar in bars) or 1
        for bar in bars:
            parts += _draw_bar(bar, top, bar.value / most * LONGEST)
            top += BAR + GAP
        top += GAP
    box = f'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}"'
    return f'<svg {box} role="img"><style>{STYLE}</style>\n' + "\n".join(parts) + "\n</svg>\n"


def _bars(results: Results, figure: str) -> Iterator[Bar]:
    for database, contender in results.contenders(figure):
        value = results.get(figure, database, contender)
        assert value is not None
        own = contender in (HEADBOX, FLOOR)
        yield Bar(f"{contender}, {database}" if own else contender, contender.lower() if own else "peer", max(value, 0))


def _draw_bar(bar: Bar, top: int, length: float) -> Iterator[str]:
    yield f'<text x="{LEFT - 8}" y="{top + 12}" text-anchor="end">{escape(bar.label)}</text>'
    yield f'<rect class="{bar.kind}" x="{LEFT}" y="{top}" width="{max(length, 1):.1f}" height="{BAR}" rx="2"/>'
    shown = f"{bar.value:,.0f}" if bar.value >= 100 else f"{bar.value:.3g}"
    yield f'<text x="{LEFT + max(length, 1) + 6:.1f}" y="{top + 12}">{shown}</text>'
