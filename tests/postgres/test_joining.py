from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy
from psycopg.rows import dict_row
from sqlalchemy import orm

from headbox.domain.errors import NonUniqueTask, StorageError, UnknownTask
from headbox.storage.postgres.notices import READY
from headbox.storage.postgres.store import PostgresStore
from tests import postgres_server
from tests.postgres.conftest import NOON, a_task


@pytest.fixture
def engine(url: str) -> Iterator[sqlalchemy.Engine]:
    engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    yield engine
    engine.dispose()


@pytest.fixture(params=["psycopg", "rows as dicts", "text parameters", "connection", "session", "scoped session"])
def caller(request: pytest.FixtureRequest, url: str, engine: sqlalchemy.Engine) -> Iterator[Any]:
    """Whatever a caller's transaction may be in: all have `commit` and `rollback`."""
    made: dict[str, Any] = {
        "psycopg": lambda: psycopg.connect(url),
        "rows as dicts": lambda: psycopg.connect(url, row_factory=dict_row),
        "text parameters": lambda: psycopg.connect(url, cursor_factory=psycopg.ClientCursor),
        "connection": engine.connect,
        "session": lambda: orm.Session(engine),
        "scoped session": lambda: orm.scoped_session(orm.sessionmaker(engine)),
    }
    caller = made[request.param]()
    yield caller
    caller.close()


def exists(store: PostgresStore, id: str) -> bool:
    try:
        store.get(id)
    except UnknownTask:
        return False
    return True


def test_a_committed_transaction_leaves_exactly_one_task(store: PostgresStore, caller: Any) -> None:
    task = a_task()
    for _ in range(2):
        assert store.enqueue([task], NOON, connection=caller) == [task]
    assert not exists(store, task.id)
    caller.commit()
    assert store.get(task.id) == task


def test_a_transaction_that_is_rolled_back_leaves_none(store: PostgresStore, caller: Any) -> None:
    task = a_task()
    store.enqueue([task], NOON, connection=caller)
    caller.rollback()
    caller.commit()
    assert not exists(store, task.id)


def test_a_transaction_that_is_never_committed_leaves_none(store: PostgresStore, caller: Any) -> None:
    task = a_task()
    store.enqueue([task], NOON, connection=caller)
    caller.close()
    assert not exists(store, task.id)


def test_a_refused_batch_is_undone_alone(store: PostgresStore, caller: Any) -> None:
    store.enqueue([a_task(unique_key="key")], NOON)
    before, after, batch = a_task(), a_task(), [a_task(), a_task(unique_key="key")]
    store.enqueue([before], NOON, connection=caller)
    with pytest.raises(NonUniqueTask):
        store.enqueue(batch, NOON, connection=caller)
    store.enqueue([after], NOON, connection=caller)
    caller.commit()
    assert [exists(store, task.id) for task in (before, after, *batch)] == [True, True, False, False]


def test_it_shares_the_fate_of_the_callers_own_rows(store: PostgresStore, engine: sqlalchemy.Engine) -> None:
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE orders (id int)"))
    dropped, kept = a_task(), a_task()
    with orm.Session(engine) as session:
        session.execute(sqlalchemy.text("INSERT INTO orders VALUES (1)"))
        store.enqueue([dropped], NOON, connection=session)
    with engine.begin() as connection:
        store.enqueue([kept], NOON, connection=connection)
        connection.execute(sqlalchemy.text("INSERT INTO orders VALUES (2)"))
    with engine.begin() as connection:
        assert connection.execute(sqlalchemy.text("SELECT id FROM orders")).all() == [(2,)]
        connection.execute(sqlalchemy.text("DROP TABLE orders"))
    assert not exists(store, dropped.id) and exists(store, kept.id)


@pytest.mark.parametrize("nested", [True, False])
def test_a_connection_in_autocommit_accepts_at_once_unless_a_transaction_is_open(
    store: PostgresStore, url: str, nested: bool
) -> None:
    task = a_task()
    with psycopg.connect(url, autocommit=True) as connection:
        if nested:
            with connection.transaction(force_rollback=True):
                store.enqueue([task], NOON, connection=connection)
        else:
            store.enqueue([task], NOON, connection=connection)
        assert exists(store, task.id) is not nested


def test_a_transaction_that_has_failed_is_said(store: PostgresStore, url: str) -> None:
    with psycopg.connect(url) as connection:
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("SELECT 1 / 0")
        with pytest.raises(StorageError, match="has failed before; roll it back first"):
            store.enqueue([a_task()], NOON, connection=connection)


def test_a_connection_to_another_database_is_said(store: PostgresStore) -> None:
    with (
        psycopg.connect(postgres_server.server_url()) as other,
        pytest.raises(StorageError, match=r"the database \w+ of the connection: it has no Headbox tables"),
    ):
        store.enqueue([a_task()], NOON, connection=other)


def test_other_connections_are_refused_with_what_to_give(store: PostgresStore, url: str) -> None:
    async def enqueue_async() -> None:
        async with await psycopg.AsyncConnection.connect(url) as connection:
            store.enqueue([a_task()], NOON, connection=connection)

    with pytest.raises(StorageError, match=r"takes a psycopg\.Connection, .* not psycopg.*AsyncConnection"):
        asyncio.run(enqueue_async())
    engine = sqlalchemy.create_engine("sqlite://")
    with engine.connect() as connection, pytest.raises(StorageError, match=r"not sqlite3\.Connection"):
        store.enqueue([a_task()], NOON, connection=connection)


def test_workers_hear_of_it_when_it_commits_and_not_before(
    store: PostgresStore, url: str, admin: psycopg.Connection[Any]
) -> None:
    """That nothing is announced before is heard beside the watch, which others on the server may wake as well."""
    admin.execute(f"LISTEN {READY}")
    watch = store.watch("w")
    with psycopg.connect(url) as connection:
        store.enqueue([a_task()], NOON, connection=connection)
        assert not list(admin.notifies(timeout=0.05))
        connection.commit()
        assert watch.wait(10) and list(admin.notifies(timeout=10, stop_after=1))
    watch.close()
