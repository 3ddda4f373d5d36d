"""The workloads, one a file: each takes place at a site and yields what it has measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from benchmarks.figures import Measured
from benchmarks.scene import Site
from benchmarks.sizes import Sizes
from benchmarks.workloads import (
    w1_enqueue,
    w2_drain,
    w3_start,
    w4_lateness,
    w5_memory,
    w6_crowded,
    w7_kill,
    w8_http,
    w9_mixed,
    w10_archive,
)

Workload = Callable[[Site, Sizes], Iterator[Measured]]

WORKLOADS: Final[dict[str, Workload]] = {
    "W1": w1_enqueue.measure,
    "W2": w2_drain.measure,
    "W3": w3_start.measure,
    "W4": w4_lateness.measure,
    "W5": w5_memory.measure,
    "W6": w6_crowded.measure,
    "W7": w7_kill.measure,
    "W8": w8_http.measure,
    "W9": w9_mixed.measure,
    "W10": w10_archive.measure,
}
