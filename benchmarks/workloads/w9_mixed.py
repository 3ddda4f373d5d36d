"""W9: real work of many kinds at once. The ideal schedule keeps every place busy and waits for nothing but its tasks;
the figure is the share of it that was reached."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

from benchmarks.figures import Measured
from benchmarks.scene import Scene, Site
from benchmarks.sizes import Sizes

SEED = 9
CONCURRENCY = 4  # synchronous tasks at a time
ASYNC_CONCURRENCY = 100
SHORTEST, LONGEST = 0.001, 0.2  # seconds


class Piece(NamedTuple):
    """One task: what an attempt takes, how often it fails first, and the pause after that, in seconds."""

    is_async: bool
    seconds: float
    failures: int
    pause: float

    @property
    def work(self) -> float:
        """What all its attempts take."""
        return self.seconds * (self.failures + 1)

    @property
    def chain(self) -> float:
        """From its first start to its last end at best."""
        return self.work + self.pause * self.failures


def measure(site: Site, sizes: Sizes) -> Iterator[Measured]:
    """A share of 1."""
    with site.scene() as scene:
        yield Measured("w9.share", share(scene, draw(sizes.mixed)))


def share(scene: Scene, pieces: list[Piece]) -> float:
    """How much of the ideal schedule a worker reaches with these pieces."""
    app, since = scene.application, scene.queue.clock.now()
    scene.queue.enqueue_many(
        (app.work_async if piece.is_async else app.work).call(piece.seconds, piece.failures, piece.pause)
        for piece in pieces
    )
    with scene.worker(CONCURRENCY):
        for name in ("work", "work_async"):
            scene.wait_until_empty(method_name=name)
    query = "SELECT min(start_time), max(finish_time) FROM headbox_task_history WHERE queue = 'default'"
    ((first, last),) = scene.tables.rows(f"{query} AND finish_time >= {since}")
    return ideal(pieces) / ((last - first) / 1e6)


def draw(count: int) -> list[Piece]:
    """The same pieces each time."""
    chance = random.Random(SEED)
    return [
        Piece(
            is_async=chance.random() < 1 / 3,
            seconds=SHORTEST * (LONGEST / SHORTEST) ** chance.random(),
            failures=chance.choices((0, 1, 2), (8, 1, 1))[0],
            pause=0.1,
        )
        for _ in range(count)
    ]


def ideal(pieces: list[Piece]) -> float:
    """Seconds that the best schedule takes: the work over the places, or the longest chain with its pauses."""
    places = {False: CONCURRENCY, True: ASYNC_CONCURRENCY}
    work = [sum(p.work for p in pieces if p.is_async is kind) / count for kind, count in places.items()]
    return max(*work, *(piece.chain for piece in pieces))
