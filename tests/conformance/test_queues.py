from __future__ import annotations

import threading

import pytest

from headbox.domain.errors import StateConflict
from headbox.domain.statistics import QueueCounts
from headbox.domain.task import MINUTE, SECOND, SYSTEM_QUEUE
from headbox.storage.records import ClaimRequest, Report
from headbox.storage.store import open_store
from tests.conformance.conftest import LIFETIME, Scene


def told(scene: Scene, name: str) -> QueueCounts:
    return next(queue for queue in scene.store.queues(scene.now) if queue.name == name)


@pytest.mark.parametrize("queues", [(), ("a", "b")])
def test_nothing_of_a_suspended_queue_is_claimed(scene: Scene, queues: tuple[str, ...]) -> None:
    before = scene.enqueue(queue="a", priority=9)
    other = scene.enqueue(queue="b")
    scene.store.suspend_queue("a", scene.now)
    scene.enqueue(queue="a", is_async=True)
    assert [task.id for task in scene.claim(queues=queues, async_limit=9)] == [other.id]
    assert scene.store.ready(ClaimRequest(queues=queues, limit=1), scene.now) is None
    assert scene.get(before).state == "waiting"


def test_what_runs_goes_on_and_may_be_scheduled_again_but_waits_then(scene: Scene) -> None:
    task = scene.running(queue="a", attempts=2)
    scene.store.suspend_queue("a", scene.now)
    scene.finish(task, "fail")
    scene.pass_time(MINUTE)
    assert scene.get(task).state == "waiting" and scene.claim() == []


def test_a_resumed_queue_is_claimed_from_as_before(scene: Scene) -> None:
    first, second = scene.enqueue(queue="a"), scene.enqueue(queue="a", priority=1)
    assert scene.store.ready(ClaimRequest(queues=("a",), limit=1), scene.now) == scene.now
    scene.store.suspend_queue("a", scene.now)
    assert scene.claim() == []
    scene.store.resume_queue("a")
    assert [task.id for task in scene.claim()] == [second.id, first.id]


def test_both_may_be_asked_again(scene: Scene) -> None:
    scene.store.suspend_queue("a", scene.now)
    scene.store.suspend_queue("a", scene.pass_time(SECOND))
    assert told(scene, "a").suspend_time == scene.now - SECOND
    scene.store.resume_queue("a")
    scene.store.resume_queue("a")
    assert [queue.name for queue in scene.store.queues(scene.now)] == [SYSTEM_QUEUE]


def test_the_housekeeping_is_not_suspended(scene: Scene) -> None:
    with pytest.raises(StateConflict, match="housekeeping"):
        scene.store.suspend_queue(SYSTEM_QUEUE, scene.now)


def test_queues_are_told_with_their_tasks_and_who_serves_them(scene: Scene) -> None:
    scene.register("c", app="shop:queue", queues=("a", "idle"))
    scene.register("d", app="shop:queue", queues=())
    scene.enqueue(queue="b")
    scene.running(queue="a")
    scene.store.suspend_queue("b", scene.now)
    scene.pass_time(MINUTE)
    queues = {queue.name: queue for queue in scene.store.queues(scene.now)}
    assert list(queues) == ["a", "b", SYSTEM_QUEUE, "idle"]
    assert (queues["a"].running, queues["a"].workers, queues["a"].suspend_time) == (1, 2, None)
    assert (queues["b"].workers, queues["b"].suspend_time) == (1, scene.now - MINUTE)
    assert (queues["idle"].waiting, queues["idle"].workers) == (0, 2)
    assert queues[SYSTEM_QUEUE].workers == 4
    assert queues["b"].oldest_ready is None


def test_a_resumed_queue_wakes_its_workers(scene: Scene, url: str) -> None:
    """By the watch alone: nobody has enqueued anything."""
    scene.enqueue(queue="a")
    scene.store.suspend_queue("a", scene.now)
    other = open_store(url, LIFETIME)
    watch = other.watch("a", ["a"])
    try:
        while watch.wait(0.2):
            pass
        resuming = threading.Timer(0.1, lambda: scene.store.resume_queue("a"))
        resuming.start()
        assert watch.wait(10)
        resuming.join()
        claims = other.exchange("a", Report(), ClaimRequest(queues=("a",), limit=1), scene.now).claims
        assert claims is not None and len(claims.tasks) == 1
    finally:
        watch.close()
        other.close()
