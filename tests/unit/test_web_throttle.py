"""How guessing passwords is slowed down."""

from __future__ import annotations

import pytest

from headbox.web.throttle import FORGIVEN_AFTER, FREE_ATTEMPTS, LONGEST_PAUSE, PAIRS, Throttle

OLGA = ("olga", "10.0.0.1")


class Stopwatch:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def watch() -> Stopwatch:
    return Stopwatch()


@pytest.fixture
def throttle(watch: Stopwatch) -> Throttle:
    return Throttle(watch)


def fail(throttle: Throttle, times: int) -> None:
    for _ in range(times):
        throttle.fail(OLGA)


def test_some_failures_are_free(throttle: Throttle) -> None:
    fail(throttle, FREE_ATTEMPTS - 1)
    assert throttle.pause(OLGA) == 0


def test_then_each_doubles_the_pause_up_to_the_longest(throttle: Throttle) -> None:
    fail(throttle, FREE_ATTEMPTS)
    pauses = []
    for _ in range(8):
        pauses.append(throttle.pause(OLGA))
        throttle.fail(OLGA)
    assert pauses == [1, 2, 4, 8, 16, 32, LONGEST_PAUSE, LONGEST_PAUSE]


def test_a_pause_passes(throttle: Throttle, watch: Stopwatch) -> None:
    fail(throttle, FREE_ATTEMPTS + 2)
    watch.seconds += 3.5
    assert throttle.pause(OLGA) == 1
    watch.seconds += 0.5
    assert throttle.pause(OLGA) == 0


def test_nobody_else_is_slowed_down(throttle: Throttle) -> None:
    fail(throttle, 50)
    assert throttle.pause(("olga", "10.0.0.2")) == throttle.pause(("otto", "10.0.0.1")) == 0


def test_a_success_forgets_all_failures(throttle: Throttle) -> None:
    fail(throttle, 50)
    throttle.succeed(OLGA)
    fail(throttle, 1)
    assert throttle.pause(OLGA) == 0


def test_time_forgives(throttle: Throttle, watch: Stopwatch) -> None:
    fail(throttle, 50)
    watch.seconds += FORGIVEN_AFTER + 1
    assert throttle.pause(OLGA) == 0
    fail(throttle, 1)
    assert throttle.pause(OLGA) == 0


def test_a_million_names_take_no_more_memory_than_some(throttle: Throttle) -> None:
    for number in range(PAIRS + 10):
        throttle.fail((f"user {number}", None))
    assert len(throttle._failures) == PAIRS
