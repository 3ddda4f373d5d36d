"""W5: what a worker and a whole service take of the machine while they have nothing to do, and whether work leaves
anything behind."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.figures import Measured
from benchmarks.process_tree import cpu_seconds, memory
from benchmarks.scene import Scene, Site
from benchmarks.sizes import Sizes

SETTLE = 3.0  # seconds after which a process has done what it does at its start
WAITING = 20_000  # tasks at a time


def measure(site: Site, sizes: Sizes) -> Iterator[Measured]:
    """Megabytes, and per cent of a core."""
    settle = settling(sizes)
    with site.scene() as scene, scene.worker() as worker:
        time.sleep(settle)
        yield Measured("w5.worker", memory(worker.pid))
        half_way = work_off(scene, worker.pid, sizes.memory_tasks // 2)
        yield Measured("w5.growth", work_off(scene, worker.pid, sizes.memory_tasks // 2) - half_way)
    with site.scene() as scene, scene.service() as service:
        time.sleep(settle)
        yield Measured("w5.serve", memory(service.pid))
        before = cpu_seconds(service.pid)
        time.sleep(sizes.idle_seconds)
        yield Measured("w5.idle", (cpu_seconds(service.pid) - before) / sizes.idle_seconds * 100)


def settling(sizes: Sizes) -> float:
    """Seconds to wait before a process is looked at."""
    return min(SETTLE, sizes.idle_seconds)


def work_off(scene: Scene, pid: int, count: int) -> float:
    """The worker's memory after so many tasks. (The first of them also fill the caches of the database.)"""
    call = scene.application.nothing.call
    for begin in range(0, count, WAITING):
        scene.queue.enqueue_many(call() for _ in range(min(WAITING, count - begin)))
        scene.wait_until_empty(method_name="nothing")
    return memory(pid)
