"""Who listens slowly is cut before what waits for it takes much memory."""

from __future__ import annotations

from headbox.domain.task import Task
from headbox.web.events import PENDING, PENDING_BYTES, Listener, Told
from headbox.web.representations import show_task


def a_task(kwargs: bytes = b"{}") -> Task:
    return Task(
        id="a", run=1, state="waiting", queue="default", priority=0, due_time=0, callable="m:f", method_name="f",
        scheduler="immediate", schedule=None, scheduled_time=None, weight=1, enqueue_time=0, kwargs=kwargs,
    )  # fmt: skip


def listener() -> Listener:
    return Listener("ann", lambda task: True, show_task, frozenset())


def offered_until_cut(task: Task) -> int:
    slow = listener()
    for number in range(2 * PENDING):
        slow.offer(Told(number, task))
        if slow.is_slow:
            return number
    raise AssertionError("it was never cut")


def test_who_takes_nothing_is_cut_after_so_many_events_or_bytes() -> None:
    assert offered_until_cut(a_task()) == PENDING
    assert offered_until_cut(a_task(b" " * (PENDING_BYTES // 4))) == 4


def test_who_takes_what_waits_is_not_cut_however_large_it_is() -> None:
    quick = listener()
    for number in range(10):
        quick.offer(Told(number, a_task(b" " * 2 * PENDING_BYTES)))
        assert quick.take("x").count(b"event: task") == 1
    assert not quick.is_slow
