"""Clocks jump under load: the wall clock of a machine, and the clock of the database that many machines share."""

from __future__ import annotations

import pytest

from tests.fault.chaos.engine import Plan, run, tidy


@pytest.mark.parametrize(("database", "seed"), [("sqlite", 6), ("postgres", 7)])
def test_nothing_is_lost_or_doubled_and_no_occurrence_skipped_untold_while_clocks_jump(
    database: str, seed: int
) -> None:
    outcome = run(Plan(database=database, seconds=4, tasks=400, seed=seed, only=("clock",)))
    try:
        assert outcome.verdict.violations == []
        assert outcome.verdict.figures["tasks accepted"] >= 400
        assert outcome.periods
    finally:
        tidy(outcome)
