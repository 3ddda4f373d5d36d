"""W2: a backlog of tasks that do nothing, from the first start to the last finish."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from benchmarks.figures import FLOOR, Measured
from benchmarks.floor import floor_of
from benchmarks.floor.postgres import PostgresFloor
from benchmarks.scene import Scene, Site
from benchmarks.sizes import Sizes

KINDS = {"w2.sync": "nothing", "w2.async": "nothing_async"}


def measure(site: Site, sizes: Sizes) -> Iterator[Measured]:
    """Rates, in turns with the floor."""
    with site.scene() as scene, closing(floor_of(scene)) as floor:
        for _ in range(sizes.rounds):
            yield Measured("w2.sync", floor.drain(sizes.drain), FLOOR)
            if isinstance(floor, PostgresFloor):
                yield Measured("w2.two", floor.drain_by_two(sizes.drain), FLOOR)
            for figure, kind in KINDS.items():
                yield Measured(figure, drain(scene, kind, sizes.drain))
            yield Measured("w2.async", floor.drain(sizes.drain), FLOOR)


def drain(scene: Scene, kind: str, count: int) -> float:
    """Enqueues, then starts a worker. While it is at work only the last task is looked at: to count those that are left
    would take a fifth of the machine."""
    call = getattr(scene.application, kind).call
    last = scene.queue.enqueue_many(call() for _ in range(count))[-1]
    since = scene.queue.clock.now()
    with scene.worker():
        scene.wait_until(lambda: last.refresh().finish_time is not None)
        scene.wait_until_empty(method_name=kind)
    return rate_since(scene, since)


def rate_since(scene: Scene, since: int) -> float:
    """Runs a second, from the first start to the last finish of those that ended since."""
    ((count, first, last),) = scene.tables.rows(
        f"SELECT count(*), min(start_time), max(finish_time) FROM headbox_task_history WHERE finish_time >= {since}"
    )
    return count / max(last - first, 1) * 1e6
