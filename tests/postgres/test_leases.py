"""Leases run by the server's clock, and whoever sets that clock ends none of them."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from headbox.clock import SharedClock, boot_time
from headbox.domain.task import SECOND
from headbox.storage.postgres import database as postgres_database
from headbox.storage.postgres.store import PostgresStore
from headbox.storage.records import ClaimRequest, Report
from tests.postgres.conftest import a_task, a_worker


@pytest.fixture
def clock(store: PostgresStore) -> SharedClock:
    """What a worker sees of the server's clock; its heartbeats tell it the time."""
    clock = store.clock()
    assert isinstance(clock, SharedClock)
    clock.now()
    return clock


@pytest.fixture
def other(store: PostgresStore, clock: SharedClock) -> str:
    """Another worker, which has just renewed its lease of 20 s, and has a run in hand."""
    store.register(replace(a_worker("other"), heartbeat_time=clock.now()), [], [], clock.now())
    store.enqueue([a_task(due_time=0)], clock.now())
    store.exchange("other", Report(), ClaimRequest(queues=(), limit=1), clock.now())
    return "other"


@pytest.mark.usefixtures("other")
def test_a_lease_is_not_cut_short_by_a_clock_that_is_set_forward(
    store: PostgresStore, clock: SharedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.learn(clock.now() + 60 * SECOND, boot_time())
    assert store.rescue(clock.now()) == []
    assert [worker.id for worker in store.workers()] == ["other"]
    later = boot_time() + 21_000_000_000  # whoever lives has renewed it by the new time
    monkeypatch.setattr(postgres_database, "boot_time", lambda: later)
    assert len(store.rescue(clock.now())) == 1


@pytest.mark.usefixtures("other")
def test_a_lease_that_has_run_out_is_noticed_though_the_clock_was_never_set(
    store: PostgresStore, clock: SharedClock
) -> None:
    assert store.rescue(clock.now() + 19 * SECOND) == []
    assert len(store.rescue(clock.now() + 21 * SECOND)) == 1
