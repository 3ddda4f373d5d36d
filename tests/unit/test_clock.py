"""The clock that many hosts share: it asks the database now and then, and never keeps anybody waiting for that."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from headbox import clock as clock_module
from headbox.clock import SharedClock
from headbox.domain.errors import StorageUnavailable

SECOND = 1_000_000
NOON = 1_795_000_000 * SECOND


@pytest.fixture
def boot(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What the machine has counted, in nanoseconds: set by hand."""
    counted = [5_000_000_000]
    monkeypatch.setattr(clock_module, "boot_time", lambda: counted[0])
    return counted


def test_the_first_answer_is_waited_for_and_its_failure_told(boot: list[int]) -> None:
    answers: list[Callable[[], int]] = [_away, lambda: NOON]
    clock = SharedClock(lambda: answers.pop(0)())
    with pytest.raises(StorageUnavailable):
        clock.now()
    assert clock.now() == NOON
    boot[0] += 9_000_000_000
    assert clock.now() == NOON + 9 * SECOND


def test_a_database_that_answers_late_or_never_keeps_nobody_waiting(boot: list[int]) -> None:
    asked, may_answer = threading.Semaphore(0), threading.Event()
    answers: list[Callable[[], int]] = [lambda: NOON, lambda: _late(may_answer, NOON + 60 * SECOND), _away]

    def ask() -> int:
        asked.release()
        return answers.pop(0)()

    clock = SharedClock(ask)
    assert clock.now() == NOON and asked.acquire(timeout=30)
    boot[0] += 11_000_000_000
    assert clock.now() == clock.now() == NOON + 11 * SECOND  # it has asked, once
    assert asked.acquire(timeout=30) and not asked.acquire(blocking=False)
    may_answer.set()
    _until(lambda: clock.now() == NOON + 60 * SECOND)
    boot[0] += 11_000_000_000
    assert clock.now() == NOON + 71 * SECOND and asked.acquire(timeout=30)
    assert answers == []


def test_it_notices_when_the_databases_clock_is_set_and_not_that_an_answer_was_slow(boot: list[int]) -> None:
    clock = SharedClock(lambda: NOON)
    assert clock.now() == NOON and clock.set_at is None
    asked_at = boot[0]
    boot[0] += 8_000_000_000
    clock.learn(NOON + 8 * SECOND, asked_at)  # answered at the end of eight seconds: it may be off by four
    assert clock.set_at is None and clock.now() == NOON + 8 * SECOND  # by the first, which it agrees with
    clock.learn(NOON + 8 * SECOND, boot[0])
    assert clock.now() == NOON + 8 * SECOND and clock.set_at is None
    boot[0] += 1_000_000_000
    clock.learn(NOON + 7 * SECOND, boot[0])  # two seconds back, and the slow answer is forgotten
    assert clock.set_at == boot[0]


def test_what_is_done_before_it_asks_first_does_not_count_as_the_way_there(boot: list[int]) -> None:
    clock = SharedClock(lambda: NOON, prepare=lambda: boot.__setitem__(0, boot[0] + 10_000_000))
    assert clock.now() == NOON


def test_a_slow_answer_is_taken_where_it_shows_another_time_or_the_last_is_old(boot: list[int]) -> None:
    clock = SharedClock(lambda: NOON)
    clock.now()
    asked_at, boot[0] = boot[0], boot[0] + 2_000_000  # two milliseconds: right by one
    clock.learn(NOON + 2_002, asked_at)
    assert clock.now() == NOON + 3_002
    clock.learn(NOON + 3_001, boot[0])
    boot[0] += 20_000_000_000  # in which a clock may go two milliseconds wrong
    asked_at, boot[0] = boot[0], boot[0] + 2_000_000
    clock.learn(NOON + 20 * SECOND + 3_500, asked_at)
    assert clock.now() == NOON + 20 * SECOND + 4_500


def _away() -> int:
    raise StorageUnavailable("it is away")


def _late(may_answer: threading.Event, instant: int) -> int:
    assert may_answer.wait(30)
    return instant


def _until(condition: Callable[[], Any]) -> None:
    for _ in range(3000):
        if condition():
            return
        threading.Event().wait(0.01)
    pytest.fail("in vain")
