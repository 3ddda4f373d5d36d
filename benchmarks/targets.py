"""What Headbox is to reach: a bound for each figure and database, absolute or against something of the same run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from benchmarks.figures import FIGURES, FLOOR, HEADBOX, POSTGRES, SQLITE, Results
from benchmarks.peers.catalogue import PEERS

FLOOR_OF: Final = "the floor"
DURABLE: Final = "the best durable peer on PostgreSQL"
HUEY: Final = "Huey on SQLite"
BOTH: Final = (SQLITE, POSTGRES)
MB = 1.048576


class Target(NamedTuple):
    """`bound` × what `of` names: the floor, another figure of ours, or peers; the bound alone where `of` is empty."""

    figure: str
    databases: tuple[str, ...]
    bound: float
    of: str = ""


class Row(NamedTuple):
    """A target held against a run; None where something was not measured."""

    target: Target
    database: str
    ours: float | None
    needed: float | None

    @property
    def is_reached(self) -> bool | None:
        """Whether ours is as good as needed."""
        if self.ours is None or self.needed is None:
            return None
        better = FIGURES[self.target.figure].more_is_better
        return self.ours >= self.needed if better else self.ours <= self.needed


TARGETS: Final = (
    Target("w2.sync", BOTH, 0.5, FLOOR_OF),
    Target("w2.sync", (SQLITE,), 50_000),
    Target("w2.sync", (SQLITE,), 12, HUEY),
    Target("w2.sync", (POSTGRES,), 2, DURABLE),
    Target("w2.async", BOTH, 0.5, FLOOR_OF),
    Target("w2.async", (POSTGRES,), 1.5, DURABLE),
    Target("w1.single", BOTH, 0.8, FLOOR_OF),
    Target("w1.single", (POSTGRES,), 1, DURABLE),
    Target("w1.threads", (SQLITE,), 3, "w1.single"),
    Target("w1.threads", (POSTGRES,), 2, "w1.single"),
    Target("w1.bulk", (SQLITE,), 60_000),
    Target("w1.bulk", (POSTGRES,), 40_000),
    Target("w1.bulk", (POSTGRES,), 1, DURABLE),
    Target("w3.p50", BOTH, 1.5),
    Target("w3.p99", BOTH, 5),
    Target("w3.p50", (POSTGRES,), 1, DURABLE),
    Target("w3.p99", (POSTGRES,), 1, DURABLE),
    Target("w4.p99", BOTH, 5),
    Target("w4.many_p99", BOTH, 5),
    *(Target(figure, BOTH, 0.9, "w2.sync") for figure in ("w6.small", "w6.large", "w6.future", "w6.reader")),
    Target("w6.enqueue", BOTH, 10),
    Target("w7.lost", BOTH, 0),
    Target("w7.recovered", BOTH, 2),
    Target("w8.get", (SQLITE,), 5_000),
    Target("w8.get", (POSTGRES,), 2_500),
    Target("w8.list", BOTH, 25),
    Target("w8.growth", BOTH, 10 * MB),
    Target("w8.page", BOTH, 100),
    Target("w8.ended_page", BOTH, 100),
    Target("w9.share", BOTH, 0.95),
    *(Target(figure, BOTH, 0.9) for figure in FIGURES if figure.startswith("w10.")),
    Target("w5.worker", BOTH, 60),
    Target("w5.serve", BOTH, 110),
    Target("w5.idle", BOTH, 0.5),
    Target("w5.growth", BOTH, 2),  # what an allocator breathes; more would be a leak
)


def judge(results: Results, workload: str) -> Iterator[Row]:
    """The targets of a workload, held against a run."""
    for target in TARGETS:
        if FIGURES[target.figure].workload == workload:
            for database in target.databases:
                reference = _reference(results, target, database)
                needed = None if reference is None else target.bound * reference
                yield Row(target, database, results.get(target.figure, database), needed)


def _reference(results: Results, target: Target, database: str) -> float | None:
    if not target.of:
        return 1
    if target.of == FLOOR_OF:
        return results.get(target.figure, database, FLOOR)
    if target.of == HUEY:
        return results.get(target.figure, SQLITE, PEERS["huey-sqlite"].title)
    if target.of == DURABLE:
        titles = [peer.title for peer in PEERS.values() if peer.is_durable and peer.store == POSTGRES]
        values = [value for title in titles if (value := results.get(target.figure, POSTGRES, title)) is not None]
        best = max if FIGURES[target.figure].more_is_better else min
        return best(values, default=None)
    return results.get(target.of, database, HEADBOX)
