"""Why a task does not run yet: the pure rule."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from headbox.domain.task import DAY, HOUR, MINUTE, SECOND, SYSTEM_QUEUE, Task
from headbox.domain.waiting import Server, Surroundings, UnderWay, in_words, waiting_for

NOW = 10**15


def task(**changes: Any) -> Task:
    return replace(Task("t", 1, "waiting", "q", 0, NOW, "shop:pack", "pack"), **changes)


def server(*under_way: UnderWay, **changes: Any) -> Server:
    return Server(**{"id": "w", "concurrency": 4, "names": frozenset({"shop:pack"}), "under_way": under_way} | changes)


def around(*servers: Server, **changes: Any) -> Surroundings:
    return Surroundings(servers=servers or (server(),), **changes)


def texts(one: Task, surroundings: Surroundings | None = None) -> list[str]:
    return [reason.text for reason in waiting_for(one, surroundings, NOW)]


def kinds(one: Task, surroundings: Surroundings | None = None) -> list[str]:
    return [reason.reason for reason in waiting_for(one, surroundings, NOW)]


def test_nothing_is_in_the_way_of_a_ready_task_that_a_worker_has_room_for() -> None:
    assert kinds(task(), around()) == kinds(task(state="reset"), around(before=0)) == []


@pytest.mark.parametrize("state", ["finished", "error", "timed_out", "canceled"])
def test_what_is_complete_waits_for_nothing(state: str) -> None:
    assert kinds(task(state=state, due_time=NOW + 1), around()) == []


def test_a_task_waits_for_its_time() -> None:
    assert texts(task(due_time=NOW + 3 * MINUTE), around()) == ["it is due in 3 min"]
    assert texts(task(due_time=NOW + 3 * MINUTE, consecutive_failures=1)) == ["it is tried again in 3 min"]
    assert texts(task(due_time=NOW + 1, consecutive_failures=1, scheduler="cron")) == ["it is due in 1 s"]


def test_what_blocks_it_is_all_told() -> None:
    blocked = task(due_time=NOW + HOUR, held=1)
    surroundings = Surroundings(suspended_queues=frozenset({"q"}))
    assert kinds(blocked, surroundings) == ["time", "callable", "queue_suspended", "no_worker"]
    assert kinds(task(state="suspended", due_time=NOW + HOUR), around()) == ["suspended"]


def test_a_task_waits_for_a_worker_of_its_queue_that_knows_its_callable() -> None:
    assert texts(task(), around(server(queues=("other",)))) == ["no worker serves its queue q"]
    assert texts(task(), around(server(names=frozenset()))) == ["no worker that serves its queue q knows shop:pack"]
    assert kinds(task(callable_payload=b"signed"), around(server(names=frozenset()))) == []
    assert kinds(task(), around(server(names=frozenset()), server(queues=("q",)))) == []


def test_a_heavy_task_waits_for_what_takes_the_weight() -> None:
    busy = server(UnderWay("1", "sync", 2), UnderWay("2", "publish", 1))
    busier = server(UnderWay("3", "sync", 4), id="x")
    (reason,) = waiting_for(task(weight=2), around(busier, busy), NOW)
    assert reason.text == "weight 3 of 4 is taken by sync, publish, and it takes 2"
    assert reason.data == {"weight": 2, "taken": 3, "concurrency": 4, "worker": "w", "tasks": ["1", "2"]}
    assert kinds(task(weight=2), around(busier, busy, server())) == []
    assert kinds(task(weight=9), around(server())) == []  # it runs alone
    assert kinds(task(weight=0), around(busier)) == []


def test_many_that_take_the_weight_are_not_all_named() -> None:
    runs = [UnderWay(str(number), f"task_{number}", 1) for number in range(8)]
    (reason,) = waiting_for(task(), around(server(*runs, concurrency=8)), NOW)
    assert reason.text.endswith("task_3, task_4, …, and it takes 1") and len(reason.data["tasks"]) == 5  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("before", "text"),
    [
        (1, "1 ready task of its queue is before it"),
        (12, "12 ready tasks of its queue are before it"),
        (1001, "more than 1,000 ready tasks of its queue are before it"),
    ],
)
def test_ready_tasks_that_come_first_are_counted(before: int, text: str) -> None:
    assert texts(task(), around(before=before)) == [text]


def test_a_claimed_run_waits_for_its_worker() -> None:
    assert kinds(task(state="running", worker="w"), around()) == ["worker"]
    assert kinds(task(state="running", worker="w", start_time=NOW), around()) == []


def test_the_housekeeping_needs_no_worker_with_an_application() -> None:
    assert kinds(task(queue=SYSTEM_QUEUE, due_time=NOW + DAY), Surroundings()) == ["time"]


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (1, "1 s"),
        (59 * SECOND, "59 s"),
        (90 * SECOND, "1 min 30 s"),
        (12 * MINUTE + 5, "12 min"),
        (2 * HOUR + 5 * MINUTE, "2 h 5 min"),
        (DAY, "1 d"),
        (49 * HOUR, "2 d 1 h"),
        (400 * DAY, "400 d"),
    ],
)
def test_spans_are_told_in_the_units_that_say_them_best(span: int, words: str) -> None:
    assert in_words(span) == words
