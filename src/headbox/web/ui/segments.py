"""Bars of several colours: how many are in which state. Drawn as SVG, since a page may not carry styles of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

WIDTH: Final = 1000
LEAST: Final = 8  # of what is there at all: one failure among thousands is seen


class Segment(NamedTuple):
    """A part of a bar, from `x` on."""

    state: str
    x: float
    width: float


def segments(
    counts: Mapping[str, int], order: Sequence[str], width: float = WIDTH, least: float = LEAST
) -> list[Segment]:
    """The bar of these counts, its parts in that order; [] where nothing is counted."""
    shown = [(state, counts[state]) for state in order if counts.get(state)]
    free = width - least * len(shown)
    total = sum(number for _, number in shown)
    found: list[Segment] = []
    place = 0.0
    for state, number in shown:
        part = round(least + free * number / total, 1)
        found.append(Segment(state, round(place, 1), part))
        place += part
    return found
