"""W3: from the enqueue call to the first line of the task, on a worker that has nothing else to do."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.figures import Measured
from benchmarks.scene import Scene, Site
from benchmarks.sizes import Sizes
from benchmarks.workloads.times import quantile

WARM_UP = 20


def measure(site: Site, sizes: Sizes) -> Iterator[Measured]:
    """Quantiles in milliseconds."""
    with site.scene() as scene, scene.worker():
        times = starts(scene, sizes.starts)
    yield Measured("w3.p50", quantile(times, 0.5))
    yield Measured("w3.p99", quantile(times, 0.99))


def starts(scene: Scene, count: int) -> list[float]:
    """How long each start took, in milliseconds. Both times are by the same clock of the machine."""
    called = {}
    for number in range(-WARM_UP, count):
        called[number] = time.time_ns()
        scene.application.note.enqueue(number).wait(60)
    return [(began - called[number]) / 1e6 for number, began in scene.begun() if number >= 0]
