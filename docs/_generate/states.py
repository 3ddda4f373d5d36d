"""The diagram of the states and the table beside it, drawn from `TRANSITIONS`: where things stand is said here, what
there is and what it is called only there. A transition without a way to draw it is an error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final, NamedTuple

from docs._generate.markdown import page, table
from headbox.domain.states import COMPLETE, STATES, TRANSITIONS, State

MARK: Final = (
    "<!-- the diagram is drawn here when the site is built, from TRANSITIONS in src/headbox/domain/states.py -->"
)
WIDTH, HEIGHT, ROUND = 980, 520, 8
BOX_WIDTH, BOX_HEIGHT = 120, 40
NOT_BEGUN: Final = ("waiting", "reset", "suspended")
# Where several states do the same it is drawn once, from the frame around them.
FRAMES: Final = {"not begun": (NOT_BEGUN, (70, 50, 200, 380)), "complete": (COMPLETE, (750, 50, 180, 380))}
CENTERS: Final = {
    "suspended": (170, 100), "waiting": (170, 240), "reset": (170, 380), "running": (490, 240),
    "finished": (840, 105), "error": (840, 195), "timed_out": (840, 285), "canceled": (840, 375),
}  # fmt: skip


class Way(NamedTuple):
    """How an arrow runs, and where the middle of its label is."""

    path: str
    label: tuple[int, int]
    turned: bool = False


WAYS: Final = {
    ("waiting", "running"): Way("M230 232 H422", (345, 224)),
    ("running", "waiting"): Way("M430 250 H238", (345, 268)),
    ("waiting", "suspended"): Way("M140 220 V128", (112, 178)),
    ("suspended", "waiting"): Way("M200 120 V212", (230, 178)),
    ("reset", "suspended"): Way("M110 380 C 20 340, 20 140, 102 103", (34, 240), turned=True),
    ("reset", "running"): Way("M230 366 C 300 350, 380 310, 438 266", (318, 322)),
    ("running", "reset"): Way("M480 260 C 450 330, 340 380, 238 384", (420, 360)),
    ("running", "running"): Way("M468 220 C 455 165, 525 165, 514 212", (490, 168)),
    ("not begun", "canceled"): Way("M270 412 C 420 445, 640 430, 773 386", (520, 440)),
    ("running", "finished"): Way("M550 228 L773 112", (640, 168)),
    ("running", "error"): Way("M550 235 L772 198", (672, 208)),
    ("running", "timed_out"): Way("M550 243 L772 282", (672, 258)),
    ("running", "canceled"): Way("M550 252 L773 364", (655, 320)),
    ("complete", "suspended"): Way("M800 50 C 720 -5, 300 -5, 190 72", (495, 26)),
    ("complete", "waiting"): Way("M750 75 C 560 60, 330 100, 238 218", (490, 98)),
    ("complete", "reset"): Way("M800 430 C 720 525, 260 525, 180 408", (490, 494)),
}


HEAD: Final = (
    '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    '<path d="M0 0 L8 4 L0 8 z"/></marker></defs>'
)


def arrows() -> dict[tuple[str, str], list[str]]:
    """(from, to) of every arrow and the events that it stands for; what a whole frame does is one arrow."""
    found: dict[tuple[str, str], list[str]] = {}
    for event, ways in TRANSITIONS.items():
        targets = {target for reached in ways.values() for target in reached}
        for target in targets:
            sources = [source for source, reached in ways.items() if target in reached]
            for source in _framed(sources):
                found.setdefault((source, target), []).append(event)
    return found


def _framed(sources: Sequence[str]) -> Sequence[str]:
    """The sources, those of a whole frame replaced by it."""
    for frame, (members, _) in FRAMES.items():
        if set(members) <= set(sources):
            sources = [frame, *(source for source in sources if source not in members)]
    return sources


def transitions() -> Iterator[tuple[State, str, State]]:
    """(from, event, to) of every transition."""
    for event, ways in TRANSITIONS.items():
        for source, targets in ways.items():
            for target in targets:
                yield source, event, target


def render() -> str:
    """The diagram and the table. ValueError for a transition that has no way."""
    rows: dict[tuple[str, str], list[str]] = {}
    for source, event, target in sorted(transitions(), key=lambda row: STATES.index(row[0])):
        rows.setdefault((source, event), []).append(f"`{target}`")
    cells = ((f"`{source}`", event, " or ".join(targets)) for (source, event), targets in rows.items())
    return page(draw(), table(("from", "event", "to"), cells))


def draw() -> str:
    """The diagram as SVG without any blank line, so that it can stand in Markdown."""
    drawn = arrows()
    if lost := sorted(drawn.keys() - WAYS.keys()):
        raise ValueError(f"WAYS has no way for {lost}: say how to draw it")
    parts = [
        f'<svg class="states" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="states-title">',
        '<title id="states-title">The states of a task; the table below says the same</title>',
        HEAD,
        *(_frame(name, frame) for name, (_, frame) in FRAMES.items()),
        *(_arrow(WAYS[ends], ", ".join(events)) for ends, events in drawn.items()),
        *(_state(name, *center) for name, center in CENTERS.items()),
        "</svg>",
    ]
    return "\n".join(parts)


def _frame(name: str, frame: tuple[int, int, int, int]) -> str:
    x, y, width, height = frame
    return (
        f'<g class="frame"><rect x="{x}" y="{y}" width="{width}" height="{height}" rx="{ROUND}"/>'
        f'<text x="{x + 46}" y="{y + height - 8}">{escape(name)}</text></g>'
    )


def _state(name: str, x: int, y: int) -> str:
    left, top = x - BOX_WIDTH // 2, y - BOX_HEIGHT // 2
    return (
        f'<g class="state"><rect x="{left}" y="{top}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="{ROUND}"/>'
        f'<text x="{x}" y="{y + 5}">{escape(name)}</text></g>'
    )


def _arrow(way: Way, label: str) -> str:
    x, y = way.label
    turn = f' transform="rotate(-90 {x} {y})"' if way.turned else ""
    return f'<g class="arrow"><path d="{way.path}"/><text x="{x}" y="{y}"{turn}>{escape(label)}</text></g>'
