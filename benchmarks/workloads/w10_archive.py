"""W10: the other workloads again after very many archived runs, as a share of what they reach without."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from benchmarks.figures import Measured
from benchmarks.process_tree import memory
from benchmarks.scene import Scene, Site
from benchmarks.sizes import Sizes
from benchmarks.tables import numbered_id
from benchmarks.workloads.times import quantile
from benchmarks.workloads.w1_enqueue import bulk, single, threads
from benchmarks.workloads.w2_drain import drain
from benchmarks.workloads.w3_start import starts
from benchmarks.workloads.w4_lateness import lateness
from benchmarks.workloads.w5_memory import settling
from benchmarks.workloads.w6_crowded import crowd, partial_drain
from benchmarks.workloads.w7_kill import kill
from benchmarks.workloads.w8_http import CONNECTIONS, LIST_CONNECTIONS, NEW_TASK, api
from benchmarks.workloads.w9_mixed import draw, share
from headbox.domain.task import DAY, SECOND

ROUNDS = 2  # each costs two starts of a worker
SPAN = 30 * DAY  # over which the archived runs have ended


def measure(site: Site, sizes: Sizes) -> Iterator[Measured]:
    """Shares of 1: of rates, and for times the other way about."""
    with site.scene() as empty, site.scene() as full:
        archive(full, sizes.archived)
        for figure, work in PARTS.items():
            for _ in range(1 if figure in LONG else min(sizes.rounds, ROUNDS)):
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


def _lateness(scene: Scene, sizes: Sizes) -> float:
    scene.journal_path.write_text("")
    return 1 / quantile(lateness(scene, sizes.scheduled // 3 or 1, sizes.schedule_seconds / 3), 0.5)


def _memory(scene: Scene, sizes: Sizes) -> float:
    with scene.worker() as worker:
        time.sleep(settling(sizes))
        return 1 / memory(worker.pid)


def _backlog(scene: Scene, sizes: Sizes) -> float:
    crowd(scene, sizes.waiting_few, 0)
    return partial_drain(scene, min(sizes.waiting_few, sizes.crowded_drain))


def _recovered(scene: Scene, sizes: Sizes) -> float:
    scene.journal_path.write_text("")
    return 1 / kill(scene, sizes.killed).recovered


def _get(scene: Scene, sizes: Sizes) -> float:
    task = scene.application.nothing.enqueue().id
    with api(scene) as (client, _):
        return client.rate("GET", f"/tasks/{task}/", sizes.http_seconds / 3, CONNECTIONS)


def _list(scene: Scene, sizes: Sizes) -> float:
    bulk(scene, sizes.listed // 10)
    with api(scene) as (client, _):
        return client.rate("GET", "/tasks/", sizes.http_seconds / 3, LIST_CONNECTIONS)


def _post(scene: Scene, sizes: Sizes) -> float:
    with api(scene) as (client, _):
        return client.rate("POST", "/tasks/", sizes.http_seconds / 3, CONNECTIONS, NEW_TASK)


def _statistics(scene: Scene, sizes: Sizes) -> float:
    with api(scene) as (client, _):
        return client.rate("GET", "/statistics/", sizes.http_seconds / 3, CONNECTIONS)


PARTS: dict[str, Callable[[Scene, Sizes], float]] = {
    "w10.single": lambda scene, sizes: single(scene, sizes.singles),
    "w10.threads": lambda scene, sizes: threads(scene, sizes.singles),
    "w10.bulk": lambda scene, sizes: bulk(scene, sizes.bulk),
    "w10.sync": lambda scene, sizes: drain(scene, "nothing", sizes.drain),
    "w10.async": lambda scene, sizes: drain(scene, "nothing_async", sizes.drain),
    "w10.start": _start,
    "w10.lateness": _lateness,
    "w10.memory": _memory,
    "w10.backlog": _backlog,
    "w10.recovered": _recovered,
    "w10.get": _get,
    "w10.list": _list,
    "w10.post": _post,
    "w10.statistics": _statistics,
    "w10.mixed": lambda scene, sizes: share(scene, draw(sizes.mixed // 3 or 1)),
}
LONG = {"w10.lateness", "w10.memory", "w10.backlog", "w10.recovered", "w10.mixed"}  # seconds each, and steady
