from __future__ import annotations

import pytest

from headbox.storage.postgres import frontier as postgres_frontier
from headbox.storage.postgres.frontier import FEW, LONGEST_REST, Frontier, Start, as_starts

LEVEL = ("default", False, 0)
HEAVY = 100 * FEW


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(postgres_frontier, "time", clock)
    return clock


def start(due_time: int, id: str = "a", queue: str = "default") -> Start:
    return Start(queue, False, 0, due_time, id)


def test_looks_begin_at_the_start_while_that_is_cheap(clock: Clock) -> None:
    frontier = Frontier()
    assert frontier.known(None) is None
    frontier.note(None, [start(1)], FEW)
    assert frontier.known(None) is None


def test_after_a_costly_look_the_next_ones_begin_where_levels_began(clock: Clock) -> None:
    frontier = Frontier()
    frontier.note(None, [start(1), start(2, queue="other")], HEAVY)
    assert frontier.known(None) == [start(1), start(2, queue="other")]
    frontier.note(None, [start(5)])
    assert frontier.known(None) == [start(5), start(2, queue="other")]


@pytest.mark.parametrize(("entries", "rest"), [(FEW + 1, 0.0013), (HEAVY, 0.13), (10**9, LONGEST_REST)])
def test_all_is_looked_at_again_after_a_rest_that_is_long_where_it_costs_much(
    clock: Clock, entries: int, rest: float
) -> None:
    frontier = Frontier()
    frontier.note(None, [start(1)], entries)
    clock.now += rest * 0.99
    assert frontier.known(None) is not None
    clock.now += rest * 0.02
    assert frontier.known(None) is None
    frontier.note(None, [start(1)], 0)
    assert frontier.known(None) is None


def test_a_level_that_is_found_empty_begins_at_the_last_task_that_was_claimed(clock: Clock) -> None:
    frontier = Frontier()
    frontier.note(None, [start(1)], HEAVY)
    frontier.note_claimed(LEVEL, 7, "b")
    assert frontier.known(None) == [start(1)]
    frontier.note(None, [])
    assert frontier.known(None) == [start(7, "b")]
    frontier.note(None, [start(3)])
    assert frontier.known(None) == [start(3)]


def test_each_list_of_queues_is_known_by_itself(clock: Clock) -> None:
    frontier = Frontier()
    frontier.note('["a"]', [start(1)], HEAVY)
    assert frontier.known('["a"]') == [start(1)] and frontier.known(None) is None


def test_queues_that_were_used_once_are_not_remembered_without_end(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_frontier, "MOST_LEVELS", 3)
    frontier = Frontier()
    for number in range(20):
        frontier.note(None, [start(number, queue=f"queue {number}")], HEAVY)
    assert len(frontier.known(None) or []) <= 4


def test_a_row_without_a_level_is_no_start() -> None:
    rows = [(None, None, None, None, None, 7), ("default", False, 0, 1, "a", 7)]
    assert as_starts(rows) == [start(1)]
