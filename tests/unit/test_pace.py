"""How many runs travel ahead follows from how long runs take."""

from __future__ import annotations

import pytest

from headbox.worker.pace import AHEAD, MOST_AHEAD, Pace

MILLISECOND = 1_000_000


def test_nothing_is_expected_and_one_run_travels_until_one_was_measured() -> None:
    pace = Pace()
    assert pace.expected("sync") is None
    assert pace.ahead == 1


@pytest.mark.parametrize(
    ("milliseconds", "ahead"), [(0, MOST_AHEAD), (0.01, MOST_AHEAD), (1, 49), (24, 2), (50, 1), (3_600_000, 1)]
)
def test_as_many_travel_ahead_as_start_within_50_ms(milliseconds: float, ahead: int) -> None:
    pace = Pace()
    pace.note("sync", int(milliseconds * MILLISECOND))
    assert pace.ahead == ahead
    assert pace.expected("sync") == int(milliseconds * MILLISECOND)


def test_callables_are_measured_apart() -> None:
    pace = Pace()
    pace.note("quick", MILLISECOND)
    pace.note("slow", 1000 * MILLISECOND)
    assert pace.expected("quick") == MILLISECOND
    assert pace.expected("slow") == 1000 * MILLISECOND


def test_a_measurement_moves_the_mean_a_little_and_many_move_it_all_the_way() -> None:
    pace = Pace()
    pace.note("sync", 0)
    pace.note("sync", 100 * MILLISECOND)
    assert pace.expected("sync") == pytest.approx(10 * MILLISECOND)
    for _ in range(100):
        pace.note("sync", 100 * MILLISECOND)
    assert pace.expected("sync") == pytest.approx(100 * MILLISECOND, rel=0.001)
    assert pace.ahead == max(1, AHEAD // (100 * MILLISECOND))


def test_many_runs_told_at_once_move_the_mean_as_far_as_one_by_one() -> None:
    """But one of them that the processor was taken from does not count more for having come last."""
    together, apart = Pace(), Pace()
    for pace in (together, apart):
        pace.note("sync", 0)
    together.note("sync", 12 * 5 * MILLISECOND, 12)
    for _ in range(12):
        apart.note("sync", 5 * MILLISECOND)
    assert together.expected("sync") == pytest.approx(apart.expected("sync"))
    assert together.ahead == apart.ahead
