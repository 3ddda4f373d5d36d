"""W10: the other workloads again after very many archived runs, as a share of what they reach without."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from benchmarks.figures import Measured
from benchmarks.scene import Scene, Site
from benchmarks.sizes import Sizes
from benchmarks.tables import numbered_id
from benchmarks.workloads.times import quantile
from benchmarks.workloads.w1_enqueue import bulk, single
from benchmarks.workloads.w2_drain import drain
from benchmarks.workloads.w3_start import starts
from benchmarks.workloads.w8_http import LIST_CONNECTIONS, api
from headbox.domain.task import DAY, SECOND

ROUNDS = 2  # each costs two starts of a worker
SPAN = 30 * DAY  # over which the archived runs have ended


def measure(site: Site, sizes: Sizes) -> Iterator[Measured]:
    """Shares of 1: of rates, and for times the other way about."""
    with site.scene() as empty, site.scene() as full:
        archive(full, sizes.archived)
        for figure, work in PARTS.items():
            for _ in range(min(sizes.rounds, ROUNDS)):
                before, after = (enter(scene, work, sizes) for scene in (empty, full))
                yield Measured(figure, after / before)


def enter(scene: Scene, work: Callable[[Scene, Sizes], float], sizes: Sizes) -> float:
    """Does a part in one of the scenes, whose turn it is, and leaves nothing waiting."""
    scene.enter()
    try:
        return work(scene, sizes)
    finally:
        scene.tables.rows("DELETE FROM headbox_tasks WHERE queue = 'default'")


def archive(scene: Scene, count: int) -> None:
    """Runs that have ended evenly over the last days, the newest some minutes ago."""
    drain(scene, "nothing", 1)
    ((id,),) = scene.tables.rows("SELECT id FROM headbox_task_history WHERE queue = 'default' LIMIT 1")
    last, gap = scene.queue.clock.now() - 7200 * SECOND, SPAN // count
    ended = f"{last} - ({count} - n) * CAST({gap} AS bigint)"
    scene.tables.multiply("headbox_task_history", id, count, id=numbered_id("0"), start_time=ended, finish_time=ended)
    scene.tables.analyze()


def _start(scene: Scene, sizes: Sizes) -> float:
    scene.journal_path.write_text("")
    with scene.worker():
        return 1 / quantile(starts(scene, sizes.starts // 3 or 1), 0.5)


def _get(scene: Scene, sizes: Sizes) -> float:
    task = scene.application.nothing.enqueue().id
    with api(scene) as (client, _):
        return client.rate("GET", f"/tasks/{task}/", sizes.http_seconds / 3, 16)


def _list(scene: Scene, sizes: Sizes) -> float:
    bulk(scene, sizes.listed // 10)
    with api(scene) as (client, _):
        return client.rate("GET", "/tasks/", sizes.http_seconds / 3, LIST_CONNECTIONS)


PARTS: dict[str, Callable[[Scene, Sizes], float]] = {
    "w10.single": lambda scene, sizes: single(scene, sizes.singles),
    "w10.bulk": lambda scene, sizes: bulk(scene, sizes.bulk),
    "w10.sync": lambda scene, sizes: drain(scene, "nothing", sizes.drain),
    "w10.async": lambda scene, sizes: drain(scene, "nothing_async", sizes.drain),
    "w10.start": _start,
    "w10.get": _get,
    "w10.list": _list,
}
