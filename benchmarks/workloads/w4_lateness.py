"""W4: how late tasks start that are scheduled evenly over some seconds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from benchmarks.figures import Measured
from benchmarks.scene import Scene, Site
from benchmarks.sizes import Sizes
from benchmarks.workloads.times import quantile
from headbox import AtScheduler


def measure(site: Site, sizes: Sizes) -> Iterator[Measured]:
    """Quantiles in milliseconds, of few tasks and of many."""
    for kind, count in (("", sizes.scheduled), ("many_", sizes.scheduled_many)):
        with site.scene() as scene:
            times = lateness(scene, count, sizes.schedule_seconds)
        yield Measured(f"w4.{kind}p50", quantile(times, 0.5))
        yield Measured(f"w4.{kind}p99", quantile(times, 0.99))


def lateness(scene: Scene, count: int, seconds: float) -> list[float]:
    """How late each task began, in milliseconds."""
    with scene.worker():
        enqueueing = min(1.0, seconds) + count / 10_000  # seconds until the first is due
        first = time.time_ns() // 1000 + int(enqueueing * 1e6)
        due = {number: first + int(number * seconds * 1e6 / count) for number in range(count)}
        call = scene.application.note.call
        scene.queue.enqueue_many(
            call.options(scheduler=AtScheduler(_time(instant)))(number) for number, instant in due.items()
        )
        scene.wait_until_empty(method_name="note")
        return [began / 1e6 - due[number] / 1e3 for number, began in scene.begun()]


def _time(instant: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=instant)
