"""An interrupt ends whatever a task is stuck in; what does not let itself be interrupted is killed."""

from __future__ import annotations

import array
import fcntl
import os
import signal
import termios
import time
from pathlib import Path
from typing import Any

import pytest

from headbox.worker.protocol import Progressed, Reason

STUCK = ["sleep", "loop", "read_socket", "wait_for_subprocess", "wait_for_lock", "match_regex", "run_event_loop"]


@pytest.mark.parametrize("name", STUCK)
def test_a_task_that_is_stuck_ends_as_interrupted_and_its_child_with_it(family: Any, work: Any, name: str) -> None:
    child = family.child()
    seq, _ = child.hand([getattr(work, name)(), work.nothing()])
    family.in_progress(child, seq)
    ended = _interrupt_until_ended(family, child, seq, Reason.TIMEOUT)
    assert ended.seq == seq and ended.interrupted and ended.ending.event == "interrupted"
    assert "longer than its timeout" in ended.ending.exception
    assert family.exited(child).status == 0
    assert child.take_back() == seq


def test_an_interrupt_arrives_at_once(family: Any, work: Any) -> None:
    child = family.child()
    (seq,) = child.hand([work.sleep()])
    family.in_progress(child, seq)
    before = time.monotonic()
    _interrupt_until_ended(family, child, seq, Reason.CANCEL)
    assert time.monotonic() - before < 1


def test_the_traceback_shows_where_the_task_was(family: Any, work: Any) -> None:
    child = family.child()
    (seq,) = child.hand([work.sleep()])
    family.in_progress(child, seq)
    traceback = _interrupt_until_ended(family, child, seq, Reason.SHUTDOWN).ending.traceback
    assert "time.sleep(seconds)" in traceback and "shutting down" in traceback
    assert "headbox/worker" not in traceback


def test_a_task_may_catch_the_interrupt_and_clean_up(family: Any, work: Any) -> None:
    child = family.child()
    (seq,) = child.hand([work.clean_up_when_interrupted()])
    family.in_progress(child, seq)
    ended = _interrupt_until_ended(family, child, seq, Reason.CANCEL)
    assert ended.interrupted and ended.ending.event == "succeed"
    assert b"cleaned up: the task was canceled" in ended.ending.result


def test_a_task_that_swallows_interrupts_gets_each_and_dies_by_the_kill(family: Any, work: Any, tmp_path: Path) -> None:
    child = family.child()
    log = tmp_path / "log"
    (seq,) = child.hand([work.swallow_everything(str(log))])
    family.in_progress(child, seq)
    family.until(lambda: child.interrupt(seq, Reason.CANCEL) or (log.exists() and log.read_text().count("\n") >= 2))
    assert set(log.read_text().split()) == {"Interrupted"}
    family.nursery.kill(child.number)
    assert family.exited(child).status == -signal.SIGKILL
    assert child.slot.in_progress().seq == seq


def test_a_task_that_holds_the_interpreter_dies_by_the_kill(family: Any, work: Any) -> None:
    child, other = family.child(), family.child()
    (seq,) = child.hand([work.hold_the_interpreter()])
    family.in_progress(child, seq)
    child.interrupt(seq, Reason.CANCEL)
    family.nursery.kill(child.number)
    assert family.exited(child).status == -signal.SIGKILL
    assert child.slot.in_progress().seq == seq
    other.hand([work.nothing()])
    assert not family.ended(other).interrupted


def test_an_async_task_that_blocks_the_loop_dies_by_the_kill(family: Any, work: Any) -> None:
    child = family.child("async")
    seqs = child.hand([work.sleep_async(), work.block_the_loop()])
    family.until(lambda: family.started(child) == [*seqs])
    child.interrupt(seqs[1], Reason.CANCEL)
    family.nursery.kill(child.number)
    assert family.exited(child).status == -signal.SIGKILL
    assert child.slot.last_started == seqs[1]


def test_an_interrupt_for_a_run_that_has_ended_strikes_no_other(family: Any, work: Any) -> None:
    child = family.child()
    first, second, third = child.hand([work.nothing(), work.sleep(0.2), work.nothing()])
    family.in_progress(child, second)
    while child.slot.in_progress():
        child.interrupt(first, Reason.CANCEL)
        family.until(lambda: True)
    ends = [family.ended(child) for _ in range(3)]
    assert [end.seq for end in ends] == [first, second, third]
    assert not any(end.interrupted for end in ends)


def test_an_interrupt_for_a_run_that_is_still_to_start_spares_the_one_in_progress(family: Any, work: Any) -> None:
    child = family.child()
    first, second = child.hand([work.sleep(), work.nothing()])
    family.in_progress(child, first)
    child.interrupt(first, Reason.TIMEOUT)
    child.interrupt(second, Reason.CANCEL)
    ended = family.ended(child)
    assert ended.seq == first and "longer than its timeout" in ended.ending.exception


def test_interrupts_between_short_runs_strike_the_one_that_is_meant_or_none(family: Any, work: Any) -> None:
    """Children with many short runs, each interrupted at a run picked while they pass by."""
    for _ in range(40):
        child = family.child()
        seqs = child.hand([work.nothing()] * 300)
        meant = min(child.slot.last_started + 5, len(seqs))
        while child.slot.last_started < meant:
            pass
        child.interrupt(meant, Reason.CANCEL)
        child.stop()
        family.exited(child)
        ends = family.heard[child.number]
        assert [end.seq for end in ends if end.interrupted] in ([], [meant])
        assert len(ends) in (meant, len(seqs))


def test_an_interrupt_while_progress_is_sent_leaves_no_broken_message(family: Any, work: Any) -> None:
    child = family.child()
    (seq,) = child.hand([work.report_much()])
    while _unread(child) < 200_000:  # nobody reads: the task gets stuck in sending
        os.sched_yield()
    child.interrupt(seq, Reason.CANCEL)
    ended = family.ended(child)
    assert ended.interrupted and "in report_much" in ended.ending.traceback
    reports = [message for message in family.heard[child.number] if isinstance(message, Progressed)]
    assert reports and all(len(report.progress) == 60_002 for report in reports)


def _interrupt_until_ended(family: Any, child: Any, seq: int, reason: Reason) -> Any:
    """As the supervisor does it, each second; a first one may come before the task is inside its own code."""
    next_time = 0.0

    def interrupt() -> bool:
        nonlocal next_time
        if time.monotonic() >= next_time:
            child.interrupt(seq, reason)
            next_time = time.monotonic() + 1
        return child.closed

    family.until(interrupt)
    return family.ended(child)


def _unread(child: Any) -> int:
    size = array.array("i", [0])
    fcntl.ioctl(child._inlet, termios.FIONREAD, size)
    return size[0]
