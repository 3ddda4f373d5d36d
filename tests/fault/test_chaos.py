"""A little chaos on each database, with fixed seeds. `make chaos` is the long run."""

from __future__ import annotations

import pytest

from tests.fault.chaos.engine import Plan, run, tidy

TASKS = 400
KILLS = (
    "kill -9 of a child",
    "kill -9 of a forkserver",
    "kill -9 of a supervisor",
    "kill -9 of the API",
    "SIGTERM",
    "SIGSTOP of a child",
)


@pytest.mark.parametrize(
    ("database", "seed", "faults"),
    [
        ("sqlite", 1, KILLS),
        ("sqlite", 2, ("every", "SIGSTOP of a supervisor", "write lock", "full disk")),
        ("postgres", 3, KILLS),
        ("postgres", 4, ("terminate_backend", "commit lost", "network")),
        ("postgres", 5, ("server killed", "server stopped", "SIGSTOP of a supervisor", "everything")),
    ],
)
def test_a_little_chaos_loses_nothing_and_doubles_nothing_unexplained(
    database: str, seed: int, faults: tuple[str, ...]
) -> None:
    outcome = run(Plan(database=database, seconds=3, tasks=TASKS, seed=seed, only=faults))
    try:
        assert outcome.verdict.violations == []
        assert outcome.verdict.figures["tasks accepted"] >= TASKS
        assert outcome.verdict.figures["lost"] == 0
        assert outcome.verdict.figures["executions"] >= outcome.verdict.figures["tasks in the archive"] - 3  # schedules
        assert outcome.periods
    finally:
        tidy(outcome)
