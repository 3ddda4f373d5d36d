from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from headbox.domain.errors import Superseded
from headbox.domain.task import HOUR, MINUTE, SECOND, SYSTEM_QUEUE, Task, Work
from headbox.storage.records import ClaimRequest, Claims, PassedOver, Report

if TYPE_CHECKING:
    from tests.conformance.conftest import Scene

ANYTHING = ClaimRequest(queues=(), limit=100)


def claims(scene: Scene, **changes: Any) -> Claims:
    given = scene.store.exchange("a", Report(), replace(ANYTHING, **changes), scene.now).claims
    assert given is not None
    return given


def ids(tasks: list[Task]) -> list[str]:
    return [task.id for task in tasks]


def test_nothing_to_claim_is_nothing_claimed(scene: Scene) -> None:
    assert scene.store.ready(ANYTHING, scene.now) is None
    for request in (ANYTHING, replace(ANYTHING, queues=("empty",)), replace(ANYTHING, max_weight=0)):
        answer = scene.store.exchange("a", Report(), request, scene.now)
        assert answer.claims == Claims([], next_time=None, passed_over=None, more=False)


def test_a_report_without_a_claim_claims_nothing(scene: Scene) -> None:
    task = scene.enqueue()
    answer = scene.store.exchange("a", Report(), None, scene.now)
    assert answer.claims is None and answer.superseded == [] and answer.skipped == []
    assert scene.get(task).state == "waiting"


def test_a_claimed_task_is_running_its_workers_and_has_a_snapshot(scene: Scene) -> None:
    task = scene.enqueue()
    (claimed,) = scene.claim("a")
    assert (claimed.id, claimed.run, claimed.state, claimed.worker) == (task.id, 1, "running", "a")
    assert claimed.snapshot_id and claimed.start_time is None
    assert scene.get(task) == claimed
    assert scene.claim("b") == []


def test_a_claim_tells_what_a_worker_needs_to_know_of_a_task(scene: Scene) -> None:
    told = {"args": b"[1]", "job_id": "j", "owner": "ann", "timeout": 5, "schedule_threshold": 7, "weight": 0}
    task = scene.enqueue(kwargs=b'{"a":2}', class_name="Shop", progress_arg="report", progress_callback=b"p", **told)
    (work,) = claims(scene).tasks
    assert work == Work.of(scene.get(task)) and work.claimed_state == "waiting"
    assert {field: getattr(work, field) for field in told} == told


def test_every_snapshot_has_an_id_of_its_own(scene: Scene) -> None:
    for _ in range(50):
        scene.enqueue()
    assert len({task.snapshot_id for task in scene.claim()}) == 50


def test_a_reset_task_is_claimed_like_a_waiting_one(scene: Scene) -> None:
    scene.finish(scene.running(), "lose")
    (again,) = scene.claim("b")
    assert (again.run, again.state) == (2, "running")


@pytest.mark.parametrize("state", ["suspended", "running", "finished", "canceled"])
def test_a_task_that_is_not_ready_is_not_claimed(scene: Scene, state: str) -> None:
    scene.in_state(state)
    assert scene.claim("b") == []


def test_the_highest_priority_comes_first_then_the_longest_due_then_the_oldest(scene: Scene) -> None:
    def task(id: str, priority: int, due: int) -> Task:
        return scene.task(id=id, priority=priority, due_time=scene.now - due)

    order = [task("e", 9, 0), task("c", 0, 5), task("a", 0, 3), task("b", 0, 3), task("d", -9, 10)]
    scene.store.enqueue(sorted(order, key=lambda task: task.id), scene.now)
    assert ids([scene.claim(limit=1)[0] for _ in order]) == ids(order)


def test_priorities_are_strict_over_all_queues(scene: Scene) -> None:
    low, high = scene.enqueue(queue="a", priority=1), scene.enqueue(queue="z", priority=2)
    assert ids(scene.claim(limit=1)) == [high.id]
    assert ids(scene.claim(limit=1)) == [low.id]


def test_queues_of_one_priority_share_a_claim(scene: Scene) -> None:
    for queue in ("early", "late"):
        scene.store.enqueue([scene.task(queue=queue) for _ in range(20)], scene.now)
    taken = [task.queue for task in scene.claim(limit=10)]
    assert taken.count("early") == taken.count("late") == 5


def test_a_queue_takes_the_share_that_others_leave(scene: Scene) -> None:
    scene.enqueue(queue="small")
    scene.store.enqueue([scene.task(queue="large") for _ in range(20)], scene.now)
    assert len(scene.claim(limit=10)) == 10


def test_many_queues_share_a_claim_alike_and_none_is_left_behind(scene: Scene) -> None:
    for queue in range(21):
        scene.store.enqueue([scene.task(queue=f"q{queue:02}") for _ in range(5)], scene.now)
    first = claims(scene, limit=64)
    taken = Counter(task.queue for task in first.tasks)
    assert first.more and taken.total() == 64 and set(taken.values()) <= {3, 4} and len(taken) == 21
    rest = claims(scene, limit=64)
    assert len(rest.tasks) == 41 and not rest.more
    assert len({task.id for task in first.tasks + rest.tasks}) == 105


def test_a_claim_brings_so_many_bytes_and_tells_of_more(scene: Scene) -> None:
    large = [scene.task(args=b"[" + b" " * 900_000 + b"]") for _ in range(12)]
    scene.store.enqueue(large, scene.now)
    first = claims(scene)
    assert ids(first.tasks) == ids(large[:10]) and first.more  # the tenth goes past 8 MiB
    second = claims(scene)
    assert ids(second.tasks) == ids(large[10:]) and not second.more


def test_bytes_are_counted_over_all_queues_and_small_tasks_do_not_mind(scene: Scene) -> None:
    for queue in ("one", "two", "three"):
        scene.store.enqueue([scene.task(queue=queue, kwargs=b" " * 900_000) for _ in range(5)], scene.now)
    assert len(claims(scene).tasks) == 10
    scene.store.enqueue([scene.task(args=b"[1]") for _ in range(90)], scene.now)
    assert len(claims(scene).tasks) == 95


def test_a_task_that_is_passed_over_takes_no_bytes_from_others(scene: Scene) -> None:
    scene.store.enqueue([scene.task(args=b" " * 900_000, weight=9) for _ in range(12)], scene.now)
    light = scene.enqueue()
    assert ids(claims(scene, max_weight=1).tasks) == [light.id]


def test_a_worker_claims_only_from_the_queues_it_names(scene: Scene) -> None:
    wanted = [scene.enqueue(queue="one"), scene.enqueue(queue="two")]
    scene.enqueue(queue="three")
    assert sorted(ids(scene.claim(queues=("one", "two", "empty")))) == ids(wanted)
    assert scene.claim(queues=("empty",)) == []


def test_the_housekeeping_is_claimed_only_by_its_queues_name(scene: Scene) -> None:
    scene.pass_time(24 * HOUR)
    assert scene.claim() == [] and scene.claim(queues=("default",)) == []
    claimed = scene.claim(queues=(SYSTEM_QUEUE,))
    assert {task.method_name for task in claimed} == {"cull_audited_events", "cull_history"}


def test_no_more_than_the_limit_is_claimed_and_the_rest_is_told(scene: Scene) -> None:
    for _ in range(5):
        scene.enqueue()
    first = claims(scene, limit=3)
    assert len(first.tasks) == 3 and first.more
    assert len(claims(scene, limit=3).tasks) == 2
    assert not claims(scene, limit=3).more


def test_a_task_is_claimed_when_it_is_due_and_not_before(scene: Scene) -> None:
    task = scene.enqueue(due_time=scene.now + MINUTE)
    waiting = claims(scene)
    assert waiting.tasks == [] and waiting.next_time == scene.now + MINUTE
    scene.pass_time(MINUTE - 1)
    assert scene.claim() == []
    scene.pass_time(1)
    assert ids(scene.claim()) == [task.id]


def test_a_task_is_claimed_ahead_by_no_more_than_was_asked(scene: Scene) -> None:
    soon = scene.enqueue(due_time=scene.now + 10)
    scene.enqueue(due_time=scene.now + 11)
    ahead = claims(scene, ahead=10)
    assert ids(ahead.tasks) == [soon.id] and ahead.next_time == scene.now + 11


def test_the_next_time_is_the_earliest_still_ahead_in_the_workers_queues(scene: Scene) -> None:
    scene.enqueue(queue="one")
    scene.enqueue(queue="one", due_time=scene.now + 3 * SECOND)
    scene.enqueue(queue="one", due_time=scene.now + 2 * SECOND, priority=5)
    scene.enqueue(queue="two", due_time=scene.now + SECOND)
    assert claims(scene, queues=("one",)).next_time == scene.now + 2 * SECOND
    assert claims(scene).next_time == scene.now + SECOND


def test_ready_tells_when_it_is_worth_claiming(scene: Scene) -> None:
    request = ClaimRequest(queues=("one",), limit=1)
    scene.enqueue(queue="two")
    assert scene.store.ready(request, scene.now) is None
    scene.enqueue(queue="one", due_time=scene.now + MINUTE)
    assert scene.store.ready(request, scene.now) == scene.now + MINUTE
    task = scene.enqueue(queue="one", due_time=scene.now - MINUTE)
    assert scene.store.ready(request, scene.now) == scene.now - MINUTE
    scene.store.suspend(task.id, scene.now)
    assert scene.store.ready(request, scene.now) == scene.now + MINUTE


def test_a_task_too_heavy_for_the_moment_is_passed_over_and_named(scene: Scene) -> None:
    heavy, light = scene.enqueue(weight=5), scene.enqueue(weight=1)
    scene.enqueue(weight=4)
    given = claims(scene, max_weight=2)
    assert ids(given.tasks) == [light.id]
    assert given.passed_over == PassedOver(heavy.id, 5)
    assert ids(scene.claim(max_weight=5))[0] == heavy.id


def test_what_is_passed_over_is_the_most_urgent(scene: Scene) -> None:
    scene.enqueue(weight=5, priority=-1)
    urgent = scene.enqueue(weight=3, priority=1)
    assert claims(scene, max_weight=0).passed_over == PassedOver(urgent.id, 3)


def test_nothing_is_passed_over_when_any_weight_will_do_or_all_fits(scene: Scene) -> None:
    scene.enqueue(weight=10**6)
    assert claims(scene).passed_over is None
    scene.enqueue(weight=2)
    assert claims(scene, max_weight=2).passed_over is None


def test_callables_that_a_worker_lacks_are_left_to_others(scene: Scene) -> None:
    strange, known = scene.enqueue(callable="other:unpack"), scene.enqueue()
    given = claims(scene, unknown=("other:unpack", "third:thing"), max_weight=0)
    assert given.passed_over == PassedOver(known.id, 1)
    assert ids(scene.claim(unknown=("other:unpack",))) == [known.id]
    assert ids(scene.claim("b")) == [strange.id]


def test_async_tasks_have_a_limit_of_their_own(scene: Scene) -> None:
    for number in range(8):
        scene.enqueue(id=f"sync-{number}")
        scene.enqueue(id=f"async-{number}", is_async=True, weight=0)
    both = ids(scene.claim(limit=2, async_limit=3))
    assert sorted(both) == ["async-0", "async-1", "async-2", "sync-0", "sync-1"]
    assert sorted(ids(scene.claim(limit=2))) == ["sync-2", "sync-3"]
    assert sorted(ids(scene.claim(limit=0, async_limit=3))) == ["async-3", "async-4", "async-5"]


def test_however_many_async_tasks_wait_in_front_the_others_are_claimed(scene: Scene) -> None:
    scene.store.enqueue([scene.task(is_async=True) for _ in range(1500)], scene.now)
    last = scene.enqueue(id="sync")
    assert ids(scene.claim(limit=5)) == [last.id]


def test_a_worker_whose_row_is_gone_claims_nothing(scene: Scene) -> None:
    task = scene.enqueue()
    scene.store.deregister("a", scene.now)
    with pytest.raises(Superseded):
        scene.claim("a")
    with pytest.raises(Superseded):
        scene.claim("never seen")
    assert scene.get(task).state == "waiting"


def test_two_workers_never_get_the_same_task(scene: Scene) -> None:
    scene.store.enqueue([scene.task() for _ in range(30)], scene.now)
    shares = [ids(scene.claim(worker, limit=7)) for worker in "abab"]
    assert len({id for share in shares for id in share}) == sum(map(len, shares)) == 28


def test_a_million_future_tasks_stand_in_nobodys_way(scene: Scene) -> None:
    scene.store.enqueue([scene.task(due_time=scene.now + HOUR) for _ in range(3_000)], scene.now)
    due = scene.enqueue()
    assert ids(scene.claim(limit=1)) == [due.id]


def test_what_was_accepted_before_the_clock_was_set_back_is_made_due(scene: Scene) -> None:
    lost = scene.running()
    scene.finish(lost, "lose")
    ready, urgent = scene.enqueue(), scene.enqueue(priority=9)
    assert scene.store.bring_forward(scene.now) == 0
    scene.now -= HOUR
    assert scene.claim() == []
    assert scene.store.bring_forward(scene.now) == 3
    assert scene.store.bring_forward(scene.now) == 0
    assert ids(scene.claim()) == ids([urgent, lost, ready])


def test_what_has_a_time_of_its_own_keeps_it_when_the_clock_is_set_back(scene: Scene) -> None:
    later = scene.now + MINUTE
    at = scene.enqueue(scheduler="at", schedule="…", scheduled_time=later, due_time=later)
    hourly, suspended = scene.enqueue_hourly(due_time=later), scene.store.suspend(scene.enqueue().id, scene.now)
    retried = scene.finish(scene.running(attempts=2), "fail", retry_after=HOUR)
    before = [scene.get(task) for task in (at, hourly, suspended)]
    scene.now -= 2 * SECOND
    assert scene.store.bring_forward(scene.now) == 1 and retried.superseded == []  # one that waits to be tried again
    assert [scene.get(task) for task in (at, hourly, suspended)] == before


def test_hosts_whose_clocks_differ_a_little_have_not_set_them_back(scene: Scene) -> None:
    task = scene.enqueue()
    scene.now -= SECOND
    assert scene.store.bring_forward(scene.now) == 0
    assert scene.get(task) == task
