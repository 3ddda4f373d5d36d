from __future__ import annotations

from itertools import pairwise

import pytest

from headbox.domain.task import HOUR, SECOND, Instant, Span
from headbox.storage.records import Survey
from headbox.worker.rota import next_look

NOW = 1_795_000_000 * SECOND
LEASE = 20 * SECOND


def wait(survey: Survey, chance: float = 0.5, lease: Span = LEASE) -> Span:
    return next_look(survey, lease, NOW, chance) - NOW


def survey(workers: int, expire_time: Instant | None = None, housekeeping_time: Instant | None = None) -> Survey:
    return Survey(workers, "roll", expire_time, housekeeping_time)


@pytest.mark.parametrize("lease", [SECOND, 6 * SECOND, HOUR])
def test_a_worker_alone_looks_before_one_that_comes_now_could_be_lost_for_five_seconds(lease: Span) -> None:
    assert 5 * SECOND <= wait(survey(1), lease=lease) <= min(lease + 5 * SECOND, 8 * SECOND)


def test_it_looks_just_after_a_lease_ends_if_it_was_not_renewed() -> None:
    for chance in (0.0, 1.0):
        assert 3 * SECOND < wait(survey(5, NOW + 3 * SECOND), chance) < 3.2 * SECOND


def test_a_lease_that_has_ended_already_does_not_make_it_look_again_and_again() -> None:
    assert wait(survey(2, NOW - 1)) == 8 * SECOND


def test_a_thousand_look_four_times_a_second_whatever_leases_end() -> None:
    waits = [wait(survey(1000, NOW + 3 * SECOND), chance / 100) for chance in range(101)]
    assert sum(waits) / len(waits) == pytest.approx(250 * SECOND, rel=0.01)


@pytest.mark.parametrize("workers", [50, 200, 1000])
def test_many_that_started_at_one_moment_leave_no_time_in_which_nobody_looks(workers: int) -> None:
    waits = sorted(wait(survey(workers), number / workers) for number in range(workers))
    assert waits[0] <= 8 * SECOND
    assert max(after - before for before, after in pairwise(waits)) <= SECOND


def test_housekeeping_is_not_begun_by_all_at_one_moment() -> None:
    at = NOW + 100 * SECOND
    assert wait(survey(1000, None, at), 0.5) == 102 * SECOND
    assert wait(survey(1000, None, at), 1.0) == 104 * SECOND
    assert wait(survey(1, None, NOW + SECOND), 1.0) <= 1.02 * SECOND


def test_housekeeping_that_is_due_already_was_begun_in_this_look() -> None:
    assert wait(survey(1, None, NOW - 1)) == 8 * SECOND
