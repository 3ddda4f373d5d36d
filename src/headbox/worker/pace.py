"""How long runs take, measured per callable: it says how many runs may travel to a child ahead of their start."""

from __future__ import annotations

AHEAD = 50_000_000  # ns: a run that is handed out is expected to start within this
MOST_AHEAD = 512
_WEIGHT = 0.1  # of the newest measurement in a mean


class Pace:
    """Moving means of run times, in nanoseconds."""

    def __init__(self) -> None:
        self.means: dict[str, float] = {}
        self.mean: float | None = None  # of all

    def note(self, callable: str, nanoseconds: int, runs: int = 1) -> None:
        """So many runs of `callable` took so long in all."""
        mean, weight = nanoseconds / runs, 1 - (1 - _WEIGHT) ** runs
        self.means[callable] = _moved(self.means.get(callable), mean, weight)
        self.mean = _moved(self.mean, mean, weight)

    def expected(self, callable: str) -> float | None:
        """How long a run of `callable` is expected to take; None if none was measured yet."""
        return self.means.get(callable)

    @property
    def ahead(self) -> int:
        """How many runs of the present mix a child can be given ahead."""
        if self.mean is None:
            return 1
        return max(1, min(MOST_AHEAD, int(AHEAD / (self.mean + 1))))


def _moved(mean: float | None, to: float, weight: float) -> float:
    return to if mean is None else mean + weight * (to - mean)
