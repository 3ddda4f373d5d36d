"""A claim of a worker that has nothing to report: what it gives and leaves is what any claim does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from headbox.domain.errors import Superseded
from headbox.domain.task import HOUR, MINUTE, SECOND, SYSTEM_QUEUE, Work
from headbox.storage.records import ClaimRequest, Claims, Filter

if TYPE_CHECKING:
    from tests.conformance.conftest import Scene

ANYTHING = ClaimRequest(queues=(), limit=4, async_limit=100, ahead=SECOND)


def claim(scene: Scene, worker: str = "a", **changes: Any) -> Claims:
    claims = scene.store.claim(worker, replace(ANYTHING, **changes), scene.now)
    assert isinstance(claims, Claims)
    return claims


def ids(claims: Claims) -> list[str]:
    return [work.id for work in claims.tasks]


def test_where_nothing_is_ready_it_tells_when_something_will_be(scene: Scene) -> None:
    assert scene.store.claim("a", ANYTHING, scene.now) is None
    scene.enqueue(due_time=scene.now + HOUR)
    later = scene.enqueue(due_time=scene.now + MINUTE, priority=-1)
    assert scene.store.claim("a", ANYTHING, scene.now) == later.due_time
    assert scene.store.claim("a", replace(ANYTHING, queues=("other",)), scene.now) is None


@pytest.mark.parametrize("is_async", [False, True])
def test_it_claims_what_is_due_and_counts_it(scene: Scene, is_async: bool) -> None:
    tasks = [scene.enqueue(is_async=is_async, due_time=scene.now + ahead) for ahead in (0, SECOND)]
    later = scene.enqueue(is_async=is_async, due_time=scene.now + MINUTE)
    claims = claim(scene)
    assert claims == Claims([Work.of(scene.get(task)) for task in tasks], next_time=later.due_time)
    for task in tasks:
        running = scene.get(task)
        assert (running.state, running.worker, running.claimed_state) == ("running", "a", "waiting")
        assert running.snapshot_id
    (queue,) = [queue for queue in scene.store.statistics(scene.now).queues if queue.name == "default"]
    assert (queue.running, queue.waiting) == (2, 1)
    assert scene.store.claim("b", ANYTHING, scene.now) == later.due_time


def test_it_claims_no_more_than_there_is_room_for_and_says_that_there_is_more(scene: Scene) -> None:
    tasks = [scene.enqueue(due_time=scene.now - number) for number in range(6)]
    claims = claim(scene)
    assert ids(claims) == [task.id for task in reversed(tasks[2:])] and claims.more
    assert len(claim(scene, limit=10).tasks) == 2
    scene.enqueue(is_async=True)
    assert claim(scene, async_limit=0).tasks == []


def test_of_several_priorities_and_kinds_the_most_urgent_go_first(scene: Scene) -> None:
    low, high = scene.enqueue(priority=-1), scene.enqueue(priority=1)
    middle, asynchronous = scene.enqueue(queue="other"), scene.enqueue(is_async=True)
    assert ids(claim(scene, limit=2, async_limit=0)) == [high.id, middle.id]
    assert set(ids(claim(scene))) == {low.id, asynchronous.id}


def test_what_is_too_heavy_or_unknown_is_passed_over(scene: Scene) -> None:
    heavy, unknown, fit = scene.enqueue(weight=3), scene.enqueue(callable="shop:gone"), scene.enqueue()
    claims = claim(scene, max_weight=1, unknown=("shop:gone",))
    assert ids(claims) == [fit.id]
    assert claims.passed_over is not None and claims.passed_over.id == heavy.id
    assert set(ids(claim(scene))) == {heavy.id, unknown.id}


def test_housekeeping_is_claimed_only_by_who_asks_for_it(scene: Scene) -> None:
    (first, *_) = sorted(scene.store.stream(Filter(queues=(SYSTEM_QUEUE,)), scene.now), key=lambda task: task.due_time)
    scene.now = first.due_time
    assert scene.store.claim("a", ANYTHING, scene.now) is None
    assert first.id in ids(claim(scene, queues=(SYSTEM_QUEUE,)))


def test_a_worker_that_was_taken_for_lost_claims_nothing(scene: Scene) -> None:
    scene.store.rescue(scene.now, ["a"])
    assert scene.store.claim("a", ANYTHING, scene.now) is None
    task = scene.enqueue()
    with pytest.raises(Superseded):
        claim(scene)
    assert scene.get(task).state == "waiting"
