"""Tables of a run: for the terminal and, in Markdown with charts, for docs/performance.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks.chart import draw
from benchmarks.figures import FIGURES, FLOOR, HEADBOX, POSTGRES, SQLITE, TITLES, Results
from benchmarks.peers.catalogue import PEERS
from benchmarks.targets import Row, judge

DOCS: Final = Path(__file__).parent.parent / "docs"
PAGE: Final = "performance.md"
TARGETS_HEAD: Final = ("what", "database", "Headbox", "to reach", "that is", "ratio", "reached")
PEERS_HEAD: Final = ("contender", "kept in", "accepted is durable")
Table = list[tuple[str, ...]]


def workloads(results: Results) -> list[str]:
    """Those of which something was measured."""
    return [workload for workload in TITLES if results.figures(workload)]


def figures_table(results: Results, workload: str) -> Table:
    """What Headbox and the floor made of a workload."""
    table: Table = [("", *(f"{who}, {database}" for database in (SQLITE, POSTGRES) for who in (HEADBOX, "the floor")))]
    for name in results.figures(workload):
        cells = (results.get(name, base, who) for base in (SQLITE, POSTGRES) for who in (HEADBOX, FLOOR))
        table.append((f"{FIGURES[name].title} {_unit(name)}".strip(), *map(number, cells)))
    return table


def targets_table(results: Results, workload: str) -> Table:
    """What was to be reached, and whether it was."""
    rows = [row for row in judge(results, workload) if row.ours is not None]
    return [TARGETS_HEAD, *map(_target_cells, rows)] if rows else []


def _target_cells(row: Row) -> tuple[str, ...]:
    figure, target = FIGURES[row.target.figure], row.target
    sign = "≥" if figure.more_is_better else "≤"
    of = FIGURES[target.of].title if target.of in FIGURES else target.of
    wanted = f"{sign} {number(target.bound)}{f' × {of}' if of else ''}"
    ratio = number(row.ours / row.needed * target.bound) if target.of and row.needed and row.ours is not None else ""
    reached = {True: "yes", False: "no", None: "not measured"}[row.is_reached]
    return (
        f"{figure.title} {_unit(target.figure)}".strip(),
        row.database,
        number(row.ours),
        wanted,
        number(row.needed),
        ratio,
        reached,
    )


def peers_table(results: Results, workload: str) -> Table:
    """What the peers made of the same, if they took part."""
    names = [
        name
        for name in results.figures(workload)
        if any(peer.title in _titles(results, name) for peer in PEERS.values())
    ]
    if not names:
        return []
    table: Table = [(*PEERS_HEAD, *(f"{FIGURES[name].title} {_unit(name)}" for name in names))]
    for database in (SQLITE, POSTGRES):
        table.append((HEADBOX, database, "yes", *(number(results.get(name, database)) for name in names)))
    for peer in PEERS.values():
        cells = [results.get(name, peer.store, peer.title) for name in names]
        if any(cell is not None for cell in cells):
            durable = "yes" if peer.is_durable else "no"
            table.append((peer.title, f"{peer.store} ({peer.setting})", durable, *map(number, cells)))
    return table


def _titles(results: Results, figure: str) -> set[str]:
    return {contender for _, contender in results.contenders(figure)}


def number(value: float | None) -> str:
    """With as many digits as mean something; a dash for what was not measured."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _unit(figure: str) -> str:
    unit = FIGURES[figure].unit
    return unit if unit in ("", "/s") else f"({unit})"


def text(results: Results) -> Iterator[str]:
    """The tables as they are printed."""
    for workload in workloads(results):
        yield f"\n{workload}  {TITLES[workload]}"
        for table in (figures_table, targets_table, peers_table):
            yield from _aligned(table(results, workload))
    for contender, note in results.notes.items():
        yield f"{contender}: {note}"


def _aligned(table: Table) -> Iterator[str]:
    if table:
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        yield ""
        for row in table:
            first, *others = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            yield "  " + "  ".join((first, *others)).rstrip()


def write(results: Results, docs: Path) -> None:
    """The page `performance.md`, and a chart for each workload."""
    images = docs / "images"
    images.mkdir(parents=True, exist_ok=True)
    for workload in workloads(results):
        (images / f"performance-{workload.lower()}.svg").write_text(draw(results, workload))
    (docs / PAGE).write_text("\n".join(_page(results)) + "\n")


def _page(results: Results) -> Iterator[str]:
    yield "# What was measured"
    yield ""
    yield "Written by `make bench` alone. All of it ran on one machine in one run: ratios are the"
    yield "result, absolute figures move with the machine. What was measured several times is a median."
    yield "[Where a task's microseconds go](explanation/performance.md) explains the figures."
    yield ""
    yield from _markdown([("", ""), *results.about.items()])
    for workload in workloads(results):
        yield ""
        yield f"## {workload}: {TITLES[workload]}"
        yield ""
        yield f"![{TITLES[workload]}](images/performance-{workload.lower()}.svg)"
        for table in (figures_table, targets_table, peers_table):
            if rows := table(results, workload):
                yield ""
                yield from _markdown(rows)
    if results.notes:
        yield ""
        yield "## What could not be measured"
        yield ""
        yield from (f"- {contender}: {note}" for contender, note in results.notes.items())


def _markdown(table: Sequence[Sequence[str]]) -> Iterator[str]:
    head, *rows = table
    yield f"| {' | '.join(head)} |"
    yield f"|{'|'.join(['---'] * len(head))}|"
    for row in rows:
        yield f"| {' | '.join(row)} |"
