"""A little chaos on each database, with fixed seeds, and a checker that notices each broken promise. `make chaos` is
the long run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.fault.chaos.checker import judge
from tests.fault.chaos.engine import Plan, run, tidy
from tests.fault.chaos.evidence import Evidence, Period, Run
from tests.fault.chaos.journal import Line
from tests.fault.chaos.ledger import ACCEPTED, REFUSED, UNKNOWN, Ledger

TASKS = 400
KILLS = ("kill -9 of a child", "kill -9 of a forkserver", "kill -9 of a supervisor", "kill -9 of the API", "SIGTERM")


@pytest.mark.parametrize(
    ("database", "seed", "faults"),
    [
        ("sqlite", 1, KILLS),
        ("sqlite", 2, ("every supervisor", "SIGSTOP", "write lock", "full disk")),
        ("postgres", 3, KILLS),
        ("postgres", 4, ("terminate_backend", "commit lost", "network")),
        ("postgres", 5, ("server killed", "server stopped", "SIGSTOP")),
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


# the checker


def archived(id: str, run: int = 1, state: str = "finished", final: bool = True, **others: Any) -> Run:
    """A record whose mark is `<id>/<run>`."""
    said = f"{id}/{run}"
    values: dict[str, Any] = {
        "args": json.dumps([f"token-{id}"]).encode(),
        "method_name": "nothing",
        "schedule_name": None,
        "scheduled_time": None,
        "finish_time": run * 1_000_000,
        "worker": "w",
        "result": json.dumps(said).encode() if state == "finished" else None,
        "exception": said if state == "error" else None,
    }
    return Run(id=id, run=run, state=state, final=final, **values | others)


def occurrence(number: int, time: int, **others: Any) -> Run:
    """A run of a schedule that was due at that second."""
    return archived(
        "s",
        number,
        final=False,
        schedule_name="s",
        scheduled_time=time * 1_000_000,
        finish_time=time * 1_000_000,
        **others,
    )


def evidence(*runs: Run) -> Evidence:
    """All is well: each run was asked for, executed once and recorded."""
    ledger = Ledger()
    archive: dict[str, list[Run]] = {}
    for each in runs:
        archive.setdefault(each.id, []).append(each)
        if each.schedule_name is None:
            ledger.note([(f"token-{each.id}", "nothing")], ACCEPTED)
    starts = {(each.id, each.run): [_line("start", each)] for each in runs}
    ends = {(each.id, each.run): [_line("end", each)] for each in runs}
    return Evidence(ledger, archive, starts, ends, [], Counter(), set(), [])


def _line(what: str, run: Run) -> Line:
    return Line(what, run.id, run.run, run.token, f"{run.id}/{run.run}", 0)


def test_the_checker_is_content_with_what_is_well() -> None:
    found = evidence(
        archived("a"),
        archived("b", 1, "reset", final=False),
        archived("b", 2),
        occurrence(1, 10),
        occurrence(2, 11),
        archived("s", 3, "canceled", schedule_name="s", scheduled_time=12_000_000),
    )
    found.ledger.note([("nobody-knows", "nothing")], UNKNOWN)
    found.ledger.note([("in-vain", "nothing")], REFUSED)
    verdict = judge(found)
    assert verdict.violations == []
    assert verdict.figures["runs recorded as lost"] == 1
    assert verdict.figures["tasks begun again after a recorded loss"] == 1


def lose(found: Evidence) -> None:
    del found.archive["a"]


def keep_waiting(found: Evidence) -> None:
    found.live.append(("c", 1, "waiting", "nothing"))


def run_what_was_refused(found: Evidence) -> None:
    found.ledger.note([("token-a", "nothing")], REFUSED)


def accept_twice(found: Evidence) -> None:
    found.archive["c"] = [archived("c", args=json.dumps(["token-a"]).encode())]
    found.starts["c", 1] = found.ends["c", 1] = [_line("end", archived("c"))]


def run_for_nobody(found: Evidence) -> None:
    found.ledger.entries.clear()


def tear_a_transaction(found: Evidence) -> None:
    found.orders.add("transaction-1")


def skip_a_number(found: Evidence) -> None:
    found.archive["a"] = [archived("a", 2)]
    found.starts["a", 2] = found.ends["a", 2] = [_line("end", archived("a", 2))]
    del found.starts["a", 1]


def end_twice(found: Evidence) -> None:
    found.archive["a"].append(archived("a", 2))
    found.starts["a", 2] = found.ends["a", 2] = [_line("end", archived("a", 2))]


def end_otherwise(found: Evidence) -> None:
    found.archive["a"] = [archived("a", state="error")]


def record_and_not_run(found: Evidence) -> None:
    del found.starts["a", 1]


def record_of_another(found: Evidence) -> None:
    found.archive["a"] = [archived("a", result=json.dumps("b/1").encode())]


def execute_twice(found: Evidence) -> None:
    found.starts["a", 1] *= 2


def execute_and_not_record(found: Evidence) -> None:
    found.starts["a", 2] = [_line("start", archived("a", 2))]


@pytest.mark.parametrize(
    ("breach", "kind"),
    [
        (lose, "lost"),
        (keep_waiting, "not ended"),
        (run_what_was_refused, "refused and there"),
        (accept_twice, "accepted twice"),
        (run_for_nobody, "asked by nobody"),
        (tear_a_transaction, "torn transaction"),
        (skip_a_number, "numbers"),
        (end_twice, "not one final record"),
        (end_otherwise, "wrong end"),
        (record_and_not_run, "recorded and never run"),
        (record_of_another, "recorded by another"),
        (execute_twice, "doubled"),
        (execute_and_not_record, "doubled"),
    ],
)
def test_the_checker_notices_a_broken_promise(breach: Callable[[Evidence], None], kind: str) -> None:
    found = evidence(archived("a"))
    breach(found)
    assert judge(found).count(kind) == 1


def test_the_checker_notices_an_occurrence_that_ran_twice() -> None:
    assert judge(evidence(occurrence(1, 10), occurrence(2, 10))).count("doubled occurrence") == 1


@pytest.mark.parametrize(
    ("periods", "logged", "blamed"),
    [([], 0, 1), ([], 1, 0), ([Period("outage", 10_500_000, 11_000_000, 11_500_000)], 0, 0)],
)
def test_the_checker_notices_an_occurrence_that_was_skipped_without_a_cause(
    periods: list[Period], logged: int, blamed: int
) -> None:
    found = evidence(occurrence(1, 10), occurrence(2, 12))
    found.periods.extend(periods)
    found.skips_logged["s"] = logged
    assert judge(found).count("skipped occurrence") == blamed
