"""What workers with nothing to do cost the server, and that they nevertheless see in time what there is."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from headbox.clock import SharedClock, boot_time
from headbox.domain.task import HOUR, MINUTE, SECOND
from headbox.storage.postgres.store import PostgresStore
from headbox.storage.records import ClaimRequest, Filter, Report
from tests.postgres.conftest import NOON, a_task
from tests.postgres.fleet import Fleet, counted

LEASE = 20 * SECOND
BUDGET = 0.3  # statements a second and worker (DESIGN.md)


@pytest.mark.parametrize("count", [1, 2, 40])
def test_an_idle_worker_costs_less_than_its_budget(store: PostgresStore, count: int) -> None:
    fleet = Fleet(store, count, NOON, LEASE, app="shop:queue")
    fleet.run(30 * SECOND)  # all have come to know each other
    span = MINUTE if count > 10 else 10 * MINUTE
    with counted() as said:
        fleet.run(span)
    assert 0 < said.total() / count / (span / SECOND) <= BUDGET, said


def test_many_workers_look_no_more_often_than_some(store: PostgresStore) -> None:
    fleet = Fleet(store, 100, NOON, LEASE)
    fleet.run(MINUTE)
    with counted() as said:
        fleet.run(MINUTE)
    looks = sum(times for text, times in said.items() if text.startswith("SELECT count(*), coalesce(md5"))
    assert 60 <= looks <= 600  # four a second would be 240


@pytest.mark.parametrize("count", [2, 5, 60])
def test_the_tasks_of_a_lost_host_are_rescued_within_its_lease_and_five_seconds(
    store: PostgresStore, count: int
) -> None:
    fleet = Fleet(store, count, NOON, LEASE)
    fleet.run(30 * SECOND)
    store.enqueue([a_task()], NOON)
    claims = store.exchange("w0", Report(), ClaimRequest(queues=(), limit=1), fleet.now).claims
    assert claims is not None
    (task,) = claims.tasks
    fleet.lose("w0")
    fleet.run(LEASE - LEASE // 3 - SECOND)
    assert store.get(task.id).state == "running"
    fleet.run(LEASE // 3 + 6 * SECOND)
    assert store.get(task.id).state == "reset"


def test_a_worker_that_comes_after_a_look_and_is_lost_at_once_is_rescued_in_time(store: PostgresStore) -> None:
    fleet = Fleet(store, 1, NOON, LEASE)
    fleet.run(MINUTE)
    fleet.add("late")
    fleet.lose("late")
    fleet.run(LEASE + 5 * SECOND)
    assert [worker.id for worker in store.workers()] == ["w0"]


def test_housekeeping_is_begun_when_it_is_due(store: PostgresStore) -> None:
    due = NOON + 13 * HOUR  # one in the night
    fleet = Fleet(store, 3, due - MINUTE, LEASE)
    fleet.run(MINUTE - 1)
    assert store.find(Filter(states=("running",)), NOON, 10).tasks == []
    fleet.run(SECOND)
    (task,) = store.find(Filter(states=("running",)), NOON, 10).tasks
    assert (task.method_name, task.due_time) == ("cull_audited_events", due)


def test_a_schedule_ends_when_the_last_worker_that_declared_it_is_lost(store: PostgresStore) -> None:
    fleet = Fleet(store, 2, NOON, LEASE, app="shop:queue")
    fleet.add("old", declares=("old",))
    old = replace(
        a_task(), scheduler="interval", schedule="2026-12-01T12:00:00Z/PT1H", scheduled_time=NOON + HOUR,
        due_time=NOON + HOUR, schedule_name="old", definition="d", declared_by="shop:queue",
    )  # fmt: skip
    store.schedule(old, NOON)
    fleet.run(MINUTE)
    assert store.get(old.id).state == "waiting"
    fleet.lose("old")
    fleet.run(LEASE + 5 * SECOND)
    assert store.get(old.id).state == "canceled"


def test_a_task_whose_enqueuer_died_before_it_told_anybody_is_looked_for(store: PostgresStore) -> None:
    fleet = Fleet(store, 1, NOON, LEASE)
    fleet.run(MINUTE)
    fleet.has_news("w0")
    fleet.run(MINUTE)
    assert not fleet.has_news("w0")
    store.enqueue([a_task()], fleet.now)
    fleet.run(9 * SECOND)
    assert fleet.has_news("w0")


def test_a_clock_that_a_heartbeat_has_told_the_time_does_not_ask_for_it() -> None:
    clock = SharedClock(lambda: pytest.fail("it asked"))
    clock.learn(NOON, boot_time())
    assert NOON <= clock.now() < NOON + HOUR
