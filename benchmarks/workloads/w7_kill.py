"""W7: the worker is killed in the middle of its work and started again at once. What is lost, what begins twice, and
how long until everything that was cut short runs again."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from benchmarks.figures import Measured
from benchmarks.scene import Scene, Site
from benchmarks.sizes import Sizes

SECONDS = 0.05  # that each task takes


def measure(site: Site, sizes: Sizes) -> Iterator[Measured]:
    """Numbers of tasks, and seconds from the restart."""
    with site.scene() as scene:
        kept = kill(scene, sizes.killed)
    yield Measured("w7.lost", kept.lost)
    yield Measured("w7.twice", kept.twice)
    yield Measured("w7.recovered", kept.recovered)


class Kept(NamedTuple):
    """What became of the tasks: how many were lost or began twice, and the seconds until all ran again."""

    lost: int
    twice: int
    recovered: float


def kill(scene: Scene, count: int) -> Kept:
    """Kills a worker half-way, and starts another."""
    since = scene.queue.clock.now()
    call = scene.application.rest.call
    tasks = scene.queue.enqueue_many(call(number, SECONDS) for number in range(count))
    numbers = {task.id: number for number, task in enumerate(tasks)}
    with scene.worker() as worker:
        scene.wait_until(lambda: len(scene.begun()) >= count // 2, 0.005)
        worker.kill()
        worker.wait()
    cut_short = {numbers[id] for (id,) in scene.tables.rows("SELECT id FROM headbox_tasks WHERE state = 'running'")}
    restarted = time.time_ns()
    with scene.worker():
        scene.wait_until_empty(method_name="rest")
    begun = scene.begun()
    ended = f"SELECT count(DISTINCT id) FROM headbox_task_history WHERE state = 'finished' AND finish_time >= {since}"
    again = {number: began for number, began in begun if began >= restarted and number in cut_short}
    return Kept(
        lost=count - scene.tables.rows(ended)[0][0],
        twice=sum(times > 1 for times in Counter(number for number, _ in begun).values()),
        recovered=(max(again.values(), default=restarted) - restarted) / 1e9,
    )
