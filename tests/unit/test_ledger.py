"""What a worker has to say is kept until it was said, and said once."""

from __future__ import annotations

from headbox.domain.outcomes import Outcome
from headbox.domain.task import Work
from headbox.storage.records import Progress, Release, Start
from headbox.worker.ledger import PROGRESS_EVERY, Ledger


def _task(id: str, run: int = 1) -> Work:
    return Work(id=id, run=run, queue="default", priority=0, due_time=0, callable="f", method_name="f")


def _outcome(id: str) -> Outcome:
    return Outcome(id, 1, "succeed", 5)


def test_a_fresh_ledger_has_nothing_to_say() -> None:
    ledger = Ledger()
    assert ledger.is_empty() and not ledger.is_pressing(0) and ledger.next_time() is None
    assert not ledger.take()


def test_outcomes_starts_and_releases_press() -> None:
    for say in (
        lambda ledger: ledger.outcomes.append(_outcome("a")),
        lambda ledger: ledger.start(_task("a"), 7),
        lambda ledger: ledger.release("a", 1),
    ):
        ledger = Ledger()
        say(ledger)
        assert ledger.is_pressing(0) and not ledger.is_empty()


def test_a_report_holds_all_that_was_said_and_is_said_once() -> None:
    ledger = Ledger()
    ledger.outcomes.append(_outcome("a"))
    ledger.start(_task("b"), 7)
    ledger.progress(_task("b"), "1")
    ledger.progress(_task("b"), "2")
    ledger.release("c", 3, hold=True)
    report = ledger.take()
    assert report.outcomes == [_outcome("a")]
    assert report.starts == [Start("b", 1, 7)]
    assert report.progress == [Progress("b", 1, "2")], "the latest alone"
    assert report.releases == [Release("c", 3, True)]
    assert ledger.is_empty()


def test_progress_alone_waits_for_its_interval() -> None:
    ledger = Ledger()
    ledger.progress(_task("a"), "1")
    assert ledger.is_pressing(PROGRESS_EVERY)
    ledger.note_told(ledger.take(), now=PROGRESS_EVERY)
    ledger.progress(_task("a"), "2")
    assert not ledger.is_pressing(2 * PROGRESS_EVERY - 1)
    assert ledger.next_time() == 2 * PROGRESS_EVERY
    assert ledger.is_pressing(2 * PROGRESS_EVERY)


def test_a_report_without_progress_starts_no_interval() -> None:
    ledger = Ledger()
    ledger.outcomes.append(_outcome("a"))
    ledger.note_told(ledger.take(), now=PROGRESS_EVERY)
    ledger.progress(_task("a"), "1")
    assert ledger.is_pressing(PROGRESS_EVERY)


def test_a_report_that_could_not_be_written_comes_before_what_was_said_since() -> None:
    ledger = Ledger()
    ledger.outcomes.append(_outcome("a"))
    ledger.start(_task("a"), 1)
    ledger.release("a", 1)
    ledger.progress(_task("a"), "old")
    ledger.progress(_task("b"), "kept")
    report = ledger.take()
    ledger.outcomes.append(_outcome("b"))
    ledger.start(_task("b"), 2)
    ledger.release("b", 1)
    ledger.progress(_task("a"), "new")
    ledger.give_back(report)
    again = ledger.take()
    assert [outcome.id for outcome in again.outcomes] == ["a", "b"]
    assert [start.id for start in again.starts] == ["a", "b"]
    assert [release.id for release in again.releases] == ["a", "b"]
    assert {said.id: said.progress for said in again.progress} == {"a": "new", "b": "kept"}


def test_settled_names_the_runs_whose_end_or_release_is_still_to_be_written() -> None:
    ledger = Ledger()
    ledger.outcomes.append(_outcome("a"))
    ledger.release("b", 2)
    ledger.start(_task("c"), 1)
    assert ledger.settled() == {("a", 1), ("b", 2)}
