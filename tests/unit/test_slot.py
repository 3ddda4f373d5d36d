"""A run either starts or is taken back, never both, whichever process dies at whatever moment."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Iterator

import pytest

from headbox.worker.slot import Slot


@pytest.fixture
def slot() -> Iterator[Slot]:
    slot = Slot.create()
    yield slot
    slot.close()


def test_runs_that_start_at_once_are_those_that_were_not_taken_back(slot: Slot) -> None:
    slot.take_back(2)
    assert slot.begin_all([1, 2]) == [] and slot.last_started == 0
    assert slot.begin_all([2, 3, 4]) == [3, 4]
    assert slot.last_started == 4 and slot.started_at > 0
    assert slot.take_back(9) == 4


def test_no_runs_start_past_the_deadline(slot: Slot) -> None:
    slot.deadline = 1
    assert list(slot.begin_all([1, 2])) == [] and slot.last_started == 0


def test_a_run_is_in_progress_from_its_begin_to_its_end(slot: Slot) -> None:
    assert slot.in_progress() is None
    before = time.monotonic_ns()
    assert slot.begin(1)
    run = slot.in_progress()
    assert run is not None and run.seq == 1 and before <= run.started_at <= time.monotonic_ns()
    slot.end(1)
    assert slot.in_progress() is None
    assert slot.last_started == 1


def test_what_was_taken_back_does_not_start_and_what_comes_later_does(slot: Slot) -> None:
    assert slot.begin(1)
    assert slot.take_back(4) == 1
    assert [slot.begin(seq) for seq in (2, 3, 4, 5)] == [False, False, False, True]


def test_taking_back_before_anything_started_says_zero(slot: Slot) -> None:
    assert slot.take_back(3) == 0
    assert not slot.begin(3)


def test_an_interruption_is_for_the_run_that_is_meant_alone(slot: Slot) -> None:
    slot.begin(1)
    slot.aim(1, 2)
    assert slot.interruption() == 2
    slot.end(1)
    slot.begin(2)
    assert slot.interruption() == 0


def test_nothing_starts_after_the_deadline(slot: Slot) -> None:
    slot.deadline = time.clock_gettime_ns(time.CLOCK_BOOTTIME) + 3600 * 10**9
    assert slot.begin(1)
    slot.deadline = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - 1
    assert not slot.begin(2)
    slot.deadline = 0
    assert slot.begin(3)


def test_both_processes_see_the_same_words(slot: Slot) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0 if Slot(os.dup(slot.descriptor)).begin(7) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert slot.last_started == 7


def test_of_start_and_taking_back_exactly_one_happens(slot: Slot) -> None:
    """Another process starts runs as fast as it can, while this one takes the next three back as fast as it can."""
    rounds = 20_000
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(theirs, bytes(slot.begin(seq) for seq in range(1, rounds + 1)))
        os._exit(0)
    taken: set[int] = set()
    while (started := slot.last_started) < rounds - 5:
        taken.update(range(slot.take_back(started + 3) + 1, started + 4))
    begun = os.read(ours, rounds)
    os.waitpid(pid, 0)
    os.close(ours)
    os.close(theirs)
    assert taken
    assert {seq for seq in range(1, rounds + 1) if not begun[seq - 1]} == taken


def test_the_lock_is_free_once_its_holder_is_killed(slot: Slot) -> None:
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        fcntl.lockf(slot.descriptor, fcntl.LOCK_EX)
        os.write(theirs, b"x")
        signal.pause()
    os.read(ours, 1)
    with pytest.raises(BlockingIOError):
        fcntl.lockf(slot.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert slot.take_back(1) == 0
    os.close(ours)
    os.close(theirs)
