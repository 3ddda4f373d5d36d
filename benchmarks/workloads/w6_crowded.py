"""W6: the drain of W2 with much else in the database, and what it does to those who enqueue meanwhile."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg

from benchmarks.figures import Measured
from benchmarks.scene import Scene, Site
from benchmarks.sizes import Sizes
from benchmarks.tables import numbered_id
from benchmarks.workloads.times import quantile
from benchmarks.workloads.w2_drain import rate_since
from headbox.domain.task import DAY

LOOK = 0.05  # seconds between two looks at how far a drain is


def measure(site: Site, sizes: Sizes) -> Iterator[Measured]:
    """Rates, and the enqueues' p99 in milliseconds."""
    few, drained = sizes.waiting_few, min(sizes.waiting_few, sizes.crowded_drain)
    for figure, waiting, future in (
        ("w6.small", few, 0),
        ("w6.large", sizes.waiting, 0),
        ("w6.future", drained, sizes.future),
    ):
        with site.scene() as scene:
            crowd(scene, waiting, future)
            yield Measured(figure, partial_drain(scene, drained))
    with site.scene() as scene:
        crowd(scene, few, 0)
        with reader(scene):
            yield Measured("w6.reader", partial_drain(scene, drained))
    with site.scene() as scene:
        crowd(scene, few, 0)
        with enqueuer(scene) as process:
            partial_drain(scene, drained)
            said, _ = process.communicate(b"\n")
        yield Measured("w6.enqueue", quantile([float(time) for time in said.split()], 0.99))


def crowd(scene: Scene, waiting: int, future: int) -> None:
    """Tasks that are ready, and tasks of a higher priority that are not."""
    one = scene.application.nothing.enqueue()
    scene.tables.multiply("headbox_tasks", one.id, waiting, id=numbered_id("waiting"), due_time="one.due_time + n")
    if future:
        tomorrow = f"{scene.queue.clock.now() + DAY} + n"
        changed = {"due_time": tomorrow, "scheduled_time": tomorrow, "priority": "9"}
        scene.tables.multiply("headbox_tasks", one.id, future, id=numbered_id("future"), **changed)
    scene.tables.analyze()


def partial_drain(scene: Scene, count: int) -> float:
    """The rate until so many have ended; the worker then puts back what it had in hand."""
    since = scene.queue.clock.now()
    ended = f"SELECT count(*) FROM headbox_task_history WHERE finish_time >= {since}"
    with scene.worker():
        scene.wait_until(lambda: scene.tables.rows(ended)[0][0] >= count, LOOK)
    return rate_since(scene, since)


@contextmanager
def reader(scene: Scene) -> Iterator[None]:
    """Somebody who has read once and keeps the transaction open."""
    if scene.tables.is_postgres:
        opened: psycopg.Connection | sqlite3.Connection = psycopg.connect(scene.url)
        opened.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    else:
        opened = sqlite3.connect(scene.url.removeprefix("sqlite:///"), isolation_level=None)
        opened.execute("BEGIN")
    with closing(opened):
        opened.execute("SELECT count(*) FROM headbox_tasks").fetchall()
        yield


@contextmanager
def enqueuer(scene: Scene) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that enqueues one task after another until it reads a line; then it says how long each took."""
    command = [sys.executable, "-m", "benchmarks.enqueuer"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield process
    finally:
        process.kill()
        process.wait()
