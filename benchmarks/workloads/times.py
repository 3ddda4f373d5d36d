"""How workloads make figures of times."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence


def rate(count: int, work: Callable[[], object]) -> float:
    """Per second, if `work` does `count` of something."""
    began = time.perf_counter()
    work()
    return count / (time.perf_counter() - began)


def quantile(times: Sequence[float], share: float) -> float:
    """The time that so many are not above."""
    ordered = sorted(times)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
