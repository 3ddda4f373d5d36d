"""Lookups for which an event loop waits, on the connections that threads use too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest

from headbox.domain.errors import StorageUnavailable
from headbox.domain.task import HOUR
from headbox.storage import lookups
from headbox.storage.postgres.connections import MOST, Connection
from headbox.storage.postgres.store import PostgresStore
from headbox.storage.records import User
from tests.postgres.conftest import NOON, a_task
from tests.tcp_proxy import Proxy

ANN = User(name="ann", password_hash="hash", roles=(), create_time=NOON)
LOCK = b"BEGIN; LOCK TABLE headbox_users IN ACCESS EXCLUSIVE MODE"
WAITING = b"SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


@pytest.fixture(autouse=True)
def ann(store: PostgresStore) -> None:
    store.create_user(ANN)


def beside_a_lock(
    store: PostgresStore, admin: psycopg.Connection[Any], then: Callable[[asyncio.Task[Any]], Awaitable[None]]
) -> None:
    """What is done to a lookup that waits for somebody's lock."""

    async def wait() -> None:
        admin.execute(LOCK)
        lookup = asyncio.create_task(store.look_up_on_loop(lookups.user("ann")))
        while admin.execute(WAITING).fetchone() != (1,):
            await asyncio.sleep(0.001)
        await then(lookup)

    asyncio.run(wait())


def test_the_event_loop_goes_on_while_the_server_takes_its_time(
    store: PostgresStore, admin: psycopg.Connection[Any]
) -> None:
    async def then(lookup: asyncio.Task[Any]) -> None:
        assert not lookup.done()
        admin.execute(b"COMMIT")
        assert await lookup == ANN

    beside_a_lock(store, admin, then)


def test_an_answer_that_nobody_waits_for_any_more_is_not_the_next_ones(
    store: PostgresStore, admin: psycopg.Connection[Any]
) -> None:
    async def then(lookup: asyncio.Task[Any]) -> None:
        lookup.cancel()
        with pytest.raises(asyncio.CancelledError):
            await lookup
        admin.execute(b"COMMIT")
        task = store.enqueue([a_task()], NOON)[0]
        assert await store.look_up_on_loop(lookups.task(task.id)) == task

    beside_a_lock(store, admin, then)


def test_many_at_once_have_a_connection_each(store: PostgresStore) -> None:
    tasks = store.enqueue([a_task() for _ in range(MOST)], NOON)

    async def look_up() -> list[Any]:
        return await asyncio.gather(*(store.look_up_on_loop(lookups.task(task.id)) for task in tasks))

    assert asyncio.run(look_up()) == tasks


def test_where_all_connections_are_in_use_none_is_waited_for(store: PostgresStore) -> None:
    with ExitStack() as lent:
        for _ in range(MOST):
            lent.enter_context(store._server.connections.lend())
        with pytest.raises(StorageUnavailable, match="in use"):
            asyncio.run(store.look_up_on_loop(lookups.user("ann")))
    assert asyncio.run(store.look_up_on_loop(lookups.user("ann"))) == ANN


def test_a_connection_that_breaks_is_told_and_replaced(proxy: tuple[Proxy, str]) -> None:
    through = PostgresStore(proxy[1], HOUR)
    assert asyncio.run(through.look_up_on_loop(lookups.user("ann"))) == ANN
    proxy[0].lose(b"ann")
    with pytest.raises(StorageUnavailable):
        asyncio.run(through.look_up_on_loop(lookups.user("ann")))
    assert asyncio.run(through.look_up_on_loop(lookups.user("ann"))) == ANN
    through.close()


def test_a_statement_that_the_server_has_forgotten_is_prepared_again(store: PostgresStore) -> None:
    for _ in range(2):
        assert asyncio.run(store.look_up_on_loop(lookups.user("ann"))) == ANN
        with store._server.connections.lend() as connection:
            connection.execute(b"DEALLOCATE ALL")


def test_nothing_is_prepared_behind_a_pooler(store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "is_pooled", True)
    assert asyncio.run(store.look_up_on_loop(lookups.user("ann"))) == ANN
    with store._server.connections.lend() as connection:
        prepared = connection.execute(b"SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'headbox%'")
        assert prepared.fetchone() == (0,)
