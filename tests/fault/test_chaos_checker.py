"""The checker of the chaos runs notices each broken promise."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.fault.chaos.checker import judge
from tests.fault.chaos.evidence import Evidence, Period, Run
from tests.fault.chaos.journal import Line
from tests.fault.chaos.ledger import ACCEPTED, REFUSED, UNKNOWN, Ledger

WORKER = 100  # the process of the worker that all records are in the name of


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
    return Evidence(ledger, archive, starts, ends, [], Counter(), set(), [], {"w": WORKER, "v": WORKER + 1})


def _line(what: str, run: Run, time: int = 0) -> Line:
    return Line(what, run.id, run.run, run.token, f"{run.id}/{run.run}", WORKER, time)


def test_the_checker_is_content_with_what_is_well() -> None:
    found = evidence(
        archived("a"),
        archived("b", 1, "reset", final=False),
        archived("b", 2),
        occurrence(1, 10),
        occurrence(2, 11),
        archived("s", 3, "canceled", schedule_name="s", scheduled_time=12_000_000, worker=None),
    )
    del found.starts["s", 3]
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


def execute_for_a_worker_that_is_not_recorded(found: Evidence) -> None:
    found.archive["a"] = [archived("a", worker="v")]


def execute_for_a_worker_that_nobody_knows(found: Evidence) -> None:
    del found.registered["w"]


def lose_for_another_worker(found: Evidence) -> None:
    found.archive["a"] = [archived("a", state="reset", final=False, worker="v"), archived("a", 2)]
    _execute(found, archived("a", 2))


def give_up_what_never_began(found: Evidence) -> None:
    lost = [archived("a", run, "reset", final=False) for run in (1, 2)]
    last = archived("a", 3, "error", exception="it was lost 3 times in a row")
    found.archive["a"] = [*lost, last]
    found.starts["a", 3] = [_line("start", last)]


def begin_after_the_loss(found: Evidence) -> None:
    found.archive["a"] = [archived("a", 1, "reset", final=False), archived("a", 2)]
    found.starts["a", 1] = [_line("start", archived("a"), 4_000_000)]
    _execute(found, archived("a", 2))


def leave_behind(found: Evidence) -> None:
    for id in "bcd":
        found.archive[id] = [archived(id)]
        found.ledger.note([(f"token-{id}", "nothing")], ACCEPTED)
        _execute(found, archived(id))
    found.ledger.times.update(dict.fromkeys(found.ledger.times, 0))
    for second in range(31):
        found.starts["tick", second] = [_line("start", occurrence(second, second), second * 1_000_000)]
        found.archive.setdefault("tick", []).append(occurrence(second, second))
    found.starts["a", 1] = [_line("start", archived("a"), 31_000_000)]


def finish_what_was_canceled(found: Evidence) -> None:
    found.archive["a"] = [archived("a", method_name="linger")]
    found.ledger.note_canceled("token-a", 1)


def begin_what_was_canceled(found: Evidence) -> None:
    found.archive["a"] = [archived("a", state="canceled", method_name="linger")]
    found.ledger.note_canceled("token-a", 1)


def _execute(found: Evidence, run: Run) -> None:
    found.starts[run.id, run.run], found.ends[run.id, run.run] = [_line("start", run)], [_line("end", run)]


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
        (execute_for_a_worker_that_is_not_recorded, "recorded for another worker"),
        (execute_for_a_worker_that_nobody_knows, "recorded for another worker"),
        (lose_for_another_worker, "recorded for another worker"),
        (give_up_what_never_began, "given up too early"),
        (begin_after_the_loss, "begun after its loss"),
        (leave_behind, "left behind"),
        (finish_what_was_canceled, "canceled in vain"),
        (begin_what_was_canceled, "canceled in vain"),
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
    ("fault", "logged", "blamed"),
    [
        (None, 0, 1),
        (None, 1, 0),
        ("kill -9 of a supervisor", 0, 0),  # it may have committed, and not have come to log it
        ("kill -9 of a child", 0, 1),
        ("wall clock set forward, then right", 0, 1),
    ],
)
def test_the_checker_notices_an_occurrence_that_was_skipped_and_not_told(
    fault: str | None, logged: int, blamed: int
) -> None:
    found = evidence(occurrence(1, 10), occurrence(2, 12))
    if fault is not None:
        found.periods.append(Period(fault, 10_500_000, 11_000_000, 11_500_000))
    found.skips_logged["s"] = logged
    assert judge(found).count("skipped occurrence") == blamed


def test_the_checker_notices_occurrences_that_are_missing_when_the_schedule_is_removed() -> None:
    """A schedule that has skipped its last minute has no successor to be held against but the record of its removal."""
    removed = occurrence(2, 70, state="canceled", worker=None)
    found = evidence(occurrence(1, 10), removed)
    del found.starts["s", 2]
    assert judge(found).count("skipped occurrence") == 1
