"""W7: the worker is killed in the middle of its work and started again at once. What is lost, what begins twice, and
how long until everything that was cut short runs again."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

from benchmarks.figures import Measured
from benchmarks.scene import Scene, Site
from benchmarks.sizes import Sizes

SECONDS = 0.05  # that each task takes


def measure(site: Site, sizes: Sizes) -> Iterator[Measured]:
    """Numbers of tasks, and seconds from the restart."""
    with site.scene() as scene:
        call = scene.application.rest.call
        tasks = scene.queue.enqueue_many(call(number, SECONDS) for number in range(sizes.killed))
        numbers = {task.id: number for number, task in enumerate(tasks)}
        with scene.worker() as worker:
            scene.wait_until(lambda: len(scene.begun()) >= sizes.killed // 2, 0.005)
            worker.kill()
            worker.wait()
        cut_short = {numbers[id] for (id,) in scene.tables.rows("SELECT id FROM headbox_tasks WHERE state = 'running'")}
        restarted = time.time_ns()
        with scene.worker():
            scene.wait_until_empty(method_name="rest")
        yield from judge(scene, sizes.killed, cut_short, restarted)


def judge(scene: Scene, count: int, cut_short: set[int], restarted: int) -> Iterator[Measured]:
    """What the journal and the history say."""
    begun = scene.begun()
    (finished,) = scene.tables.rows("SELECT count(DISTINCT id) FROM headbox_task_history WHERE state = 'finished'")[0]
    again = {number: began for number, began in begun if began >= restarted and number in cut_short}
    yield Measured("w7.lost", count - finished)
    yield Measured("w7.twice", sum(times > 1 for times in Counter(number for number, _ in begun).values()))
    yield Measured("w7.recovered", (max(again.values(), default=restarted) - restarted) / 1e9)
