"""How much of each workload is run; every size is an option of `make bench`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any


def _size(default: Any, meaning: str) -> Any:
    """A field with its meaning for `--help`."""
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True)
class Sizes:
    """The defaults are what a run of ten minutes bears."""

    rounds: int = _size(3, "times that what is held against the floor is measured, in turns with it")
    singles: int = _size(1000, "single enqueues in a round")
    bulk: int = _size(20_000, "tasks enqueued in bulk")
    drain: int = _size(20_000, "tasks of a drain")
    starts: int = _size(300, "timed starts on an idle worker")
    scheduled: int = _size(200, "tasks scheduled over ten seconds: few")
    scheduled_many: int = _size(10_000, "tasks scheduled over ten seconds: many")
    schedule_seconds: float = _size(10.0, "over which they are scheduled")
    idle_seconds: float = _size(20.0, "that an idle service is watched")
    memory_tasks: int = _size(100_000, "tasks after which a worker's memory is looked at again")
    waiting_few: int = _size(200_000, "tasks of the smaller backlog")
    waiting: int = _size(1_000_000, "tasks of the large backlog")
    future: int = _size(500_000, "future tasks of a higher priority")
    crowded_drain: int = _size(40_000, "tasks of a drain with much else in the database")
    killed: int = _size(200, "tasks amid which the worker is killed")
    http_seconds: float = _size(3.0, "that each call over HTTP is repeated")
    listed: int = _size(10_000, "tasks in the list that is timed")
    listed_many: int = _size(100_000, "tasks in the list whose memory is watched")
    mixed: int = _size(1500, "tasks of the mixed work")
    archived: int = _size(1_000_000, "archived runs")
    peer_singles: int = _size(1000, "single enqueues of a peer")
    peer_starts: int = _size(100, "timed starts of a peer")
    peer_seconds: float = _size(4.0, "that a peer's drain may take: slow peers get fewer tasks")


DEFAULT = Sizes()
FULL = replace(
    DEFAULT,
    idle_seconds=60.0,
    memory_tasks=1_000_000,
    waiting=2_000_000,
    future=1_000_000,
    archived=10_000_000,
    crowded_drain=200_000,
    peer_seconds=20.0,
)
TINY = Sizes(
    rounds=1, singles=10, bulk=50, drain=50, starts=3, scheduled=3, scheduled_many=5, schedule_seconds=0.2,
    idle_seconds=0.2, memory_tasks=50, waiting_few=60, waiting=200, future=100, crowded_drain=40, killed=12,
    http_seconds=0.05, listed=20, listed_many=30, mixed=6, archived=100, peer_singles=5, peer_starts=3,
    peer_seconds=0.1,
)  # fmt: skip


def described(sizes: Sizes) -> str:
    """All of them, as a run says them."""
    return ", ".join(f"{name.replace('_', ' ')} {value:,}" for name, value in asdict(sizes).items())
