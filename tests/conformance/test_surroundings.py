from __future__ import annotations

from headbox.domain.task import DAY, HOUR, MINUTE
from headbox.domain.waiting import UnderWay, waiting_for
from headbox.storage.records import Report, Start
from tests.conformance.conftest import Scene


def before(scene: Scene, id: str) -> int | None:
    return scene.store.surroundings(scene.now, scene.store.get(id)).before


def test_workers_are_told_with_what_is_under_way(scene: Scene) -> None:
    scene.register("c", app="shop:queue", queues=("q",), concurrency=2, names=("shop:pack",))
    lasting, fresh = scene.enqueue(weight=2), scene.enqueue()
    scene.claim("c")
    scene.store.exchange("c", Report(starts=[Start(lasting.id, 1, scene.now)]), None, scene.now)
    scene.store.suspend_queue("q", scene.now)
    around = scene.store.surroundings(scene.now)
    (server,) = around.servers  # the others run only housekeeping
    assert (server.id, server.queues, server.concurrency, server.names) == ("c", ("q",), 2, frozenset({"shop:pack"}))
    assert server.under_way == (UnderWay(lasting.id, "pack", 2),) and server.taken == 2
    assert around.suspended_queues == frozenset({"q"}) and around.before is None
    assert [reason.reason for reason in waiting_for(scene.get(fresh), around, scene.now)] == ["worker"]


def test_those_that_are_claimed_first_are_counted(scene: Scene) -> None:
    scene.enqueue(queue="other")
    scene.enqueue(is_async=True)
    scene.enqueue(priority=1, due_time=scene.now + HOUR)
    scene.store.suspend(scene.enqueue(priority=2).id, scene.now)
    first = scene.enqueue(due_time=scene.now - MINUTE)
    second = scene.enqueue()
    urgent = scene.enqueue(priority=3)
    last = scene.enqueue(priority=-1)
    later = scene.enqueue(due_time=scene.now + DAY)
    assert [before(scene, task.id) for task in (urgent, first, second, last)] == [0, 1, 2, 3]
    assert before(scene, later.id) is None
    assert [task.id for task in scene.claim(async_limit=0, queues=("default",))] == [
        task.id for task in (urgent, first, second, last)
    ]


def test_no_more_are_counted_than_anybody_wants_to_know(scene: Scene) -> None:
    scene.store.enqueue([scene.task() for _ in range(1500)], scene.now)
    last = scene.enqueue(due_time=scene.now)
    assert before(scene, last.id) == 1001
    scene.store.enqueue([scene.task(priority=1) for _ in range(1500)], scene.now)
    assert before(scene, last.id) == 1001
