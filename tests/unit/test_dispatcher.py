"""Which run goes to which child, and when what is due, by children that are none and a clock that stands still."""

from __future__ import annotations

from typing import Any

import pytest

from headbox.config import Settings
from headbox.domain.task import SECOND, Work
from headbox.worker.children import REPEAT, Child
from headbox.worker.dispatcher import CHUNK, PATIENCE, SHELF_LIFE, Dispatcher
from headbox.worker.pace import AHEAD, MOST_AHEAD
from headbox.worker.protocol import Reason
from headbox.worker.slot import RunInProgress

NOW = 1_000_000_000_000  # ns
MILLISECOND = 1_000_000


class Slot:
    """What a child would show of itself."""

    def __init__(self) -> None:
        self.started: RunInProgress | None = None

    def in_progress(self) -> RunInProgress | None:
        return self.started


class Link:
    """The supervisor's end of a child that is not there."""

    def __init__(self, number: int, kind: str = "sync") -> None:
        self.number = number
        self.kind = kind
        self.ready = True
        self.slot = Slot()
        self.last_seq = 0
        self.chunks: list[list[str]] = []
        self.interrupts: list[tuple[int, int]] = []

    def hand(self, works: Any) -> range:
        first, self.last_seq = self.last_seq + 1, self.last_seq + len(works)
        self.chunks.append([work.id for work in works])
        return range(first, self.last_seq + 1)

    def take_back(self) -> int:
        return self.slot.started.seq if self.slot.started else 0

    def interrupt(self, seq: int, reason: int) -> None:
        self.interrupts.append((seq, reason))

    @property
    def given(self) -> list[str]:
        return [id for chunk in self.chunks for id in chunk]


class Shop:
    """A dispatcher with its children, by number."""

    def __init__(self, children: int = 2, *, async_children: int = 0, **settings: Any) -> None:
        self.dispatcher = Dispatcher(Settings(**{"concurrency": children} | settings))
        self.dispatcher.async_names = ("wait",)
        kinds = ["sync"] * children + ["async"] * async_children
        self.links = [Link(number, kind) for number, kind in enumerate(kinds)]
        for link in self.links:
            self.dispatcher.children[link.number] = Child(link, None)  # type: ignore[arg-type]

    def hand_out(self, *tasks: Work, now: int = NOW) -> list[list[str]]:
        """Hands these out. What each child has been given so far."""
        self.dispatcher.shelve(tasks, now)
        self.dispatcher.hand_out(now)
        return [link.given for link in self.links]

    def child(self, number: int) -> Child:
        return self.dispatcher.children[number]

    def begin(self, number: int, seq: int, at: int = NOW) -> None:
        """The child begins a run."""
        if self.child(number).is_sync:
            self.links[number].slot.started = RunInProgress(seq, at)
        else:
            self.child(number).started[seq] = at

    def end(self, number: int, seq: int) -> None:
        """The child's run ends."""
        self.child(number).drop(seq)
        self.links[number].slot.started = None

    @property
    def released(self) -> list[str]:
        return [task.id for task in self.dispatcher.clear_shelf()]


def task(id: str, callable: str = "pack", **fields: Any) -> Work:
    return Work(
        id=id, run=1, queue="default", priority=0, callable=callable, method_name=callable,
        **{"due_time": 0} | fields,
    )  # fmt: skip


def tasks(count: int, callable: str = "pack", **fields: Any) -> list[Work]:
    return [task(f"{callable}-{number}", callable, **fields) for number in range(count)]


@pytest.fixture
def quick() -> Shop:
    """Two children, and runs that were measured to take 1 ms."""
    shop = Shop()
    shop.dispatcher.pace.note("pack", MILLISECOND)
    return shop


# handing out


def test_a_callable_that_was_not_measured_travels_alone() -> None:
    shop = Shop()
    assert shop.hand_out(*tasks(3)) == [["pack-0"], ["pack-1"]]
    assert shop.released == ["pack-2"]


def test_short_runs_travel_ahead_an_even_share_to_each_child(quick: Shop) -> None:
    first, second = quick.hand_out(*tasks(60))
    assert len(first) == len(second) == 30


def test_no_child_gets_more_than_it_starts_in_time(quick: Shop) -> None:
    given = quick.hand_out(*tasks(500))
    assert [len(runs) for runs in given] == [quick.dispatcher.pace.ahead] * 2
    assert len(quick.released) == 500 - 2 * quick.dispatcher.pace.ahead


def test_chunks_hold_64_runs_at_most() -> None:
    shop = Shop(1)
    shop.dispatcher.pace.note("pack", 1)
    shop.hand_out(*tasks(200))
    assert [len(chunk) for chunk in shop.links[0].chunks] == [CHUNK, CHUNK, CHUNK, 200 - 3 * CHUNK]


def test_order_is_kept(quick: Shop) -> None:
    given = quick.hand_out(*tasks(20))
    assert all(runs == sorted(runs, key=lambda id: int(id.split("-")[1])) for runs in given)
    assert given[0][0] == "pack-0"


def test_a_task_that_was_lost_once_travels_in_a_chunk_of_its_own_and_none_joins_it(quick: Shop) -> None:
    first, second = quick.hand_out(task("lost", losses=1), *tasks(10))
    assert first == ["lost"] and len(second) == 6, "an even share"
    assert quick.hand_out(task("more"))[0] == ["lost"]
    quick.end(0, 1)
    quick.hand_out(*[task(f"more-{number}") for number in range(20)])
    assert len(quick.links[0].given) > 1


def test_nobody_is_given_runs_who_is_not_ready_is_to_go_or_is_being_interrupted(quick: Shop) -> None:
    quick.links[0].ready = False
    quick.child(1).retiring = True
    assert quick.hand_out(*tasks(4)) == [[], []]
    quick.links[0].ready, quick.child(1).retiring = True, False
    quick.dispatcher.hand_out(NOW)
    quick.begin(0, 1)
    quick.dispatcher.interrupt(quick.child(0), 1, Reason.CANCEL, NOW)
    before = len(quick.links[0].given)
    quick.hand_out(*tasks(6))
    assert len(quick.links[0].given) == before


def test_a_child_that_is_late_is_given_no_more(quick: Shop) -> None:
    quick.hand_out(task("slow"))
    quick.begin(0, 1, at=NOW - AHEAD - 1)
    quick.hand_out(*tasks(10))
    assert quick.links[0].given == ["slow"]
    assert len(quick.links[1].given) == 10


def test_a_child_gets_no_more_runs_than_it_may_have_before_it_is_replaced() -> None:
    shop = Shop(1, child_runs=3)
    shop.dispatcher.pace.note("pack", 1)
    shop.child(0).ended = 1
    assert [len(runs) for runs in shop.hand_out(*tasks(10))] == [2]


# weights


def test_weights_in_progress_never_exceed_the_concurrency() -> None:
    shop = Shop(4)
    weights = [2, 2, 1, 1]
    given = shop.hand_out(*(task(f"{number}", f"f{number}", weight=weight) for number, weight in enumerate(weights)))
    assert sorted(given) == [[], [], ["0"], ["1"]]
    assert shop.dispatcher.weight == 4
    shop.end(0, 1)
    assert shop.dispatcher.weight == 2
    shop.dispatcher.hand_out(NOW)
    assert shop.dispatcher.weight == 4


def test_a_task_heavier_than_the_worker_runs_alone_and_nothing_beside_it() -> None:
    shop = Shop(2)
    assert shop.hand_out(task("heavy", "f", weight=9), task("light", "g")) == [["heavy"], []]
    shop.end(0, 1)
    shop.dispatcher.hand_out(NOW)
    assert shop.dispatcher.weight == 1
    assert "heavier" not in shop.hand_out(task("heavier", "h", weight=9))[1]


def test_tasks_without_weight_always_fit() -> None:
    shop = Shop(2)
    assert shop.hand_out(task("heavy", "f", weight=9), task("weightless", "g", weight=0)) == [["heavy"], ["weightless"]]


def test_a_heavier_run_never_joins_lighter_ones_in_a_child(quick: Shop) -> None:
    quick.dispatcher.concurrency = 4
    quick.hand_out(*tasks(2))
    quick.hand_out(*tasks(2, weight=2))
    assert [len(link.given) for link in quick.links] == [1, 1]
    assert quick.dispatcher.weight <= 4
    assert [quick.child(number).weight for number in (0, 1)] == [1, 1]


def test_a_task_that_was_passed_over_for_5_s_reserves_the_worker_until_it_fits() -> None:
    shop = Shop(4)
    shop.hand_out(task("light", "f"))
    shop.dispatcher.note_passed_over("heavy", 4, NOW)
    assert shop.dispatcher.room(NOW + PATIENCE - 1).runs == 3
    assert shop.dispatcher.room(NOW + PATIENCE).runs == 0
    shop.dispatcher.note_passed_over("heavy", 4, NOW + PATIENCE)
    assert shop.dispatcher.room(NOW + PATIENCE + 1).runs == 0, "it has waited since it was first passed over"
    shop.end(0, 1)
    assert shop.dispatcher.room(NOW + PATIENCE).max_weight is None


def test_a_reservation_ends_when_the_task_is_gone_and_another_has_its_own_5_s() -> None:
    shop = Shop(4)
    shop.hand_out(task("light", "f"))
    shop.dispatcher.note_passed_over("heavy", 4, NOW)
    shop.dispatcher.note_passed_over("other", 4, NOW + PATIENCE)
    assert shop.dispatcher.room(NOW + PATIENCE).runs == 3
    shop.dispatcher.note_passed_over(None, 0, NOW + 2 * PATIENCE)
    assert shop.dispatcher.room(NOW + 9 * PATIENCE).runs == 3


def test_a_reservation_keeps_no_weightless_task_waiting() -> None:
    shop = Shop(2, async_children=1, async_concurrency=5)
    shop.hand_out(task("light", "f"))
    shop.dispatcher.note_passed_over("heavy", 2, NOW)
    room = shop.dispatcher.room(NOW + PATIENCE)
    assert (room.async_runs, room.max_weight) == (5, 0)


def test_only_what_fits_is_asked_for() -> None:
    shop = Shop(4)
    assert shop.dispatcher.room(NOW).max_weight is None
    shop.hand_out(task("light", "f"), task("heavier", "g", weight=2))
    room = shop.dispatcher.room(NOW)
    assert (room.runs, room.max_weight) == (2, 1)


# asynchronous tasks


def test_async_tasks_go_to_the_event_loop_as_many_as_it_may_have() -> None:
    shop = Shop(1, async_children=1, async_concurrency=3)
    assert shop.dispatcher.room(NOW).async_runs == 3
    assert shop.hand_out(*tasks(2, "wait", weight=0)) == [[], ["wait-0", "wait-1"]]
    assert shop.dispatcher.room(NOW).async_runs == 1
    assert shop.dispatcher.room(NOW).runs == 1


def test_an_event_loop_is_given_as_many_short_runs_ahead_as_the_sync_children_together() -> None:
    shop = Shop(3, async_children=1, async_concurrency=100)
    shop.dispatcher.async_pace.note("wait", 10_000)
    assert shop.dispatcher.room(NOW).async_runs == 100 + 3 * MOST_AHEAD


def test_an_event_loop_with_a_run_that_cannot_be_interrupted_gets_no_more() -> None:
    shop = Shop(1, async_children=1)
    shop.hand_out(task("stuck", "wait", weight=0))
    shop.begin(1, 1)
    shop.dispatcher.interrupt(shop.child(1), 1, Reason.CANCEL, NOW)
    assert shop.hand_out(task("next", "wait", weight=0))[1] == ["stuck", "next"]
    shop.dispatcher.overdue(NOW + REPEAT)
    assert shop.hand_out(task("later", "wait", weight=0))[1] == ["stuck", "next"]


# taking back


def test_what_stands_behind_a_run_that_is_not_over_in_time_comes_back_in_its_order(quick: Shop) -> None:
    quick.hand_out(*tasks(8))
    quick.begin(0, 1, at=NOW)
    quick.begin(1, 1, at=NOW)
    given = quick.links[0].given
    quick.dispatcher.take_back(NOW + AHEAD)
    assert len(quick.child(0).runs) == 4, "it is in time still"
    quick.begin(1, 2, at=NOW + AHEAD)
    quick.dispatcher.take_back(NOW + AHEAD + 1)
    assert [run.id for run in quick.child(0).runs.values()] == given[:1]
    assert len(quick.child(1).runs) == 4
    assert quick.released == given[1:]


def test_what_came_back_is_first_in_line(quick: Shop) -> None:
    quick.hand_out(*tasks(4))
    quick.links[0].ready = quick.links[1].ready = False
    quick.dispatcher.shelve([task("later")], NOW)
    given = quick.links[0].given
    quick.dispatcher.take_back_from(quick.child(0), NOW)
    assert quick.released == [*given, "later"]


def test_a_run_that_was_claimed_ahead_is_handed_out_when_it_is_due(quick: Shop) -> None:
    due = NOW + 7_000
    quick.dispatcher.shelve([task("ahead", due_time=1_007), task("due", due_time=999)], NOW, instant=1_000)
    assert sorted(quick.hand_out(now=due - 1)) == [[], ["due"]]
    assert quick.dispatcher.next_time(due - 1) == due
    assert sorted(quick.hand_out(now=due)) == [["ahead"], ["due"]]


def test_a_run_that_was_claimed_ahead_takes_up_room_and_can_be_canceled(quick: Shop) -> None:
    room = quick.dispatcher.room(NOW).runs
    ahead = task("ahead", due_time=1_007)
    quick.dispatcher.shelve([ahead], NOW, instant=1_000)
    assert quick.dispatcher.room(NOW).runs == room - 1
    assert quick.dispatcher.take_from_shelf([("ahead", 1)]) == [ahead]


def test_draining_takes_back_all_that_has_not_started(quick: Shop) -> None:
    quick.hand_out(*tasks(10))
    quick.begin(0, 2)
    quick.dispatcher.take_back_all(NOW)
    assert [len(quick.child(number).runs) for number in (0, 1)] == [2, 0]
    assert quick.dispatcher.runs_in_hand == 10
    assert len(quick.released) == 8


def test_runs_lie_on_the_shelf_for_100_ms_at_most() -> None:
    shop = Shop(1)
    shop.links[0].ready = False
    shop.hand_out(task("old", "f"), now=NOW)
    shop.hand_out(task("new", "f"), now=NOW + SHELF_LIFE)
    assert shop.dispatcher.next_time(NOW) == NOW + SHELF_LIFE
    assert shop.dispatcher.clear_shelf(NOW + SHELF_LIFE) == []
    assert [run.id for run in shop.dispatcher.clear_shelf(NOW + SHELF_LIFE + 1)] == ["old"]
    assert [run.id for run in shop.dispatcher.in_hand()] == ["new"]


def test_a_canceled_run_is_taken_off_the_shelf() -> None:
    shop = Shop(1)
    shop.links[0].ready = False
    shop.hand_out(*tasks(3))
    assert [run.id for run in shop.dispatcher.take_from_shelf({("pack-1", 1), ("pack-2", 2)})] == ["pack-1"]
    assert shop.released == ["pack-0", "pack-2"]


# interrupting


def test_a_run_is_interrupted_once_its_timeout_is_over_and_not_before() -> None:
    shop = Shop(1)
    shop.hand_out(task("slow", "f", timeout=3 * SECOND))
    assert shop.dispatcher.next_time(NOW) == NOW + AHEAD, "when it will have begun"
    shop.begin(0, 1)
    shop.child(0).recorded[1] = 0
    assert shop.dispatcher.next_time(NOW) == NOW + 3 * REPEAT
    shop.dispatcher.expire(NOW + 3 * REPEAT - 1)
    assert shop.links[0].interrupts == []
    shop.dispatcher.expire(NOW + 3 * REPEAT)
    shop.dispatcher.expire(NOW + 3 * REPEAT + 1)
    assert shop.links[0].interrupts == [(1, Reason.TIMEOUT)]


def test_an_interrupt_is_repeated_each_second_and_after_the_grace_the_child_is_to_be_killed() -> None:
    shop = Shop(1, cancel_grace=2 * SECOND)
    shop.hand_out(task("stuck", "f"))
    shop.begin(0, 1)
    shop.child(0).recorded[1] = 0
    shop.dispatcher.interrupt(shop.child(0), 1, Reason.CANCEL, NOW)
    assert shop.dispatcher.next_time(NOW) == NOW + REPEAT
    assert shop.dispatcher.overdue(NOW + REPEAT - 1) == []
    assert shop.dispatcher.overdue(NOW + REPEAT) == []
    assert shop.links[0].interrupts == [(1, Reason.CANCEL)] * 2
    assert shop.dispatcher.overdue(NOW + 2 * REPEAT) == [shop.child(0)]
    shop.child(0).killed = True
    assert shop.dispatcher.overdue(NOW + 3 * REPEAT) == []
    assert shop.dispatcher.next_time(NOW + 3 * REPEAT) is None


def test_the_first_reason_for_an_interrupt_stays() -> None:
    shop = Shop(1)
    shop.hand_out(task("stuck", "f"))
    shop.begin(0, 1)
    for reason in (Reason.CANCEL, Reason.SHUTDOWN):
        shop.dispatcher.interrupt(shop.child(0), 1, reason, NOW)
    assert shop.links[0].interrupts == [(1, Reason.CANCEL)]
    assert shop.child(0).interruptions[1].reason == Reason.CANCEL


def test_a_run_that_has_ended_is_not_interrupted(quick: Shop) -> None:
    quick.hand_out(*tasks(2))
    quick.end(0, 1)
    quick.dispatcher.interrupt(quick.child(0), 1, Reason.CANCEL, NOW)
    assert quick.links[0].interrupts == []


# time


def test_nothing_is_due_where_nothing_is_in_hand() -> None:
    assert Shop().dispatcher.next_time(NOW) is None


def test_a_start_is_due_to_be_recorded_after_50_ms() -> None:
    shop = Shop(1)
    shop.hand_out(task("slow", "f"))
    shop.begin(0, 1, at=NOW)
    assert shop.dispatcher.next_time(NOW) == NOW + AHEAD
    shop.child(0).recorded[1] = 0
    assert shop.dispatcher.next_time(NOW + AHEAD) is None


def test_a_child_forgets_all_of_what_is_nobodys_business_any_more() -> None:
    shop = Shop(1, async_children=1, concurrency=2)
    shop.hand_out(task("a", "wait", timeout=SECOND, weight=1), task("b", "f"))
    shop.begin(0, 1)
    shop.begin(1, 1)
    shop.child(1).recorded[1] = 0
    for number in (0, 1):
        shop.child(number).forget()
    assert shop.dispatcher.next_time(NOW) is None
    assert shop.dispatcher.weight == 0 and shop.dispatcher.runs_in_hand == 0


def test_room_is_what_children_can_start_in_time_less_what_waits(quick: Shop) -> None:
    ahead = quick.dispatcher.pace.ahead
    assert quick.dispatcher.room(NOW).runs == 2 * ahead
    quick.links[0].ready = quick.links[1].ready = False
    quick.dispatcher.shelve(tasks(3), NOW)
    assert quick.dispatcher.room(NOW).runs == 0
    quick.links[0].ready = True
    assert quick.dispatcher.room(NOW).runs == ahead - 3
    assert ahead < MOST_AHEAD


def test_no_more_is_claimed_while_the_arguments_in_hand_are_large_but_for_a_child_with_nothing_to_do(
    quick: Shop,
) -> None:
    quick.dispatcher.shelve(tasks(9, args=b" " * 1_000_000), NOW)
    assert quick.dispatcher.room(NOW).runs == 0
    quick.dispatcher.clear_shelf()
    quick.child(0).add(1, task("large", args=b" " * 9_000_000))
    assert quick.dispatcher.room(NOW).runs == 1
    quick.child(1).add(1, task("small"))
    assert quick.dispatcher.room(NOW).runs == 0
    quick.end(0, 1)
    assert quick.dispatcher.room(NOW).runs > 1
