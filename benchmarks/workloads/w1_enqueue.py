"""W1: durable enqueues, one at a time, from sixteen threads at once, and in bulk; raw inserts beside them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

from benchmarks.figures import FLOOR, Measured
from benchmarks.floor import floor_of
from benchmarks.scene import Scene, Site
from benchmarks.sizes import Sizes
from benchmarks.workloads.times import rate

THREADS = 16


def measure(site: Site, sizes: Sizes) -> Iterator[Measured]:
    """Rates, in turns with the floor."""
    with site.scene() as scene, closing(floor_of(scene)) as floor:
        single(scene, 10)
        for _ in range(sizes.rounds):
            yield Measured("w1.single", floor.singles(sizes.singles), FLOOR)
            yield Measured("w1.single", single(scene, sizes.singles))
            yield Measured("w1.threads", threads(scene, sizes.singles * 4))
            yield Measured("w1.bulk", floor.bulk(sizes.bulk), FLOOR)
            yield Measured("w1.bulk", bulk(scene, sizes.bulk))


def single(scene: Scene, count: int) -> float:
    """One at a time."""
    enqueue = scene.application.nothing.enqueue
    return rate(count, lambda: [enqueue() for _ in range(count)])


def threads(scene: Scene, count: int) -> float:
    """From sixteen threads of one process."""
    enqueue, each = scene.application.nothing.enqueue, max(1, count // THREADS)
    started = [threading.Thread(target=lambda: [enqueue() for _ in range(each)]) for _ in range(THREADS)]

    def work() -> None:
        for thread in started:
            thread.start()
        for thread in started:
            thread.join()

    return rate(each * THREADS, work)


def bulk(scene: Scene, count: int) -> float:
    """In one transaction."""
    call = scene.application.nothing.call
    return rate(count, lambda: scene.queue.enqueue_many(call() for _ in range(count)))
