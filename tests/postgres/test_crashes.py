"""A server that dies while a commit is on its way: what it had not written is forgotten, the transaction's id too."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from headbox.domain.errors import StorageUnavailable, UnknownTask
from headbox.domain.task import HOUR
from headbox.storage.postgres.store import PostgresStore
from servers.postgres import Server, in_database
from tests.postgres.conftest import NOON, a_task
from tests.tcp_proxy import proxied


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server of our own to kill, whatever the others use."""
    server = Server()
    yield server
    server.remove()


@pytest.fixture
def store(server: Server) -> Iterator[PostgresStore]:
    name = f"crash_{os.urandom(4).hex()}"
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    store = PostgresStore(in_database(server.url, name), HOUR)
    store.initialise(NOON)
    yield store
    store.close()


def crash(server: Server) -> None:
    server.kill()
    server.start()


def crash_by_a_backend(server: Server) -> None:
    """One that is killed takes all the others with it; the server recovers under the same postmaster."""
    with psycopg.connect(server.url) as victim, psycopg.connect(server.url, autocommit=True) as other:
        os.kill(victim.info.backend_pid, signal.SIGKILL)
        with pytest.raises(psycopg.OperationalError):
            other.execute("SELECT pg_sleep(60)")


def ask_through_a_crash(
    server: Server, store: PostgresStore, how: Callable[[Server], None], verb: Any, commit: bytes = b"COMMIT\0"
) -> Any:
    """What a call gives whose commit is lost, while the server crashes and others use up the ids of transactions."""
    with proxied(store.url) as (proxy, url):
        through = PostgresStore(url, HOUR)
        through.patience = 20.0
        through.workers()
        proxy.lose(commit)
        result: list[Any] = []

        def ask() -> None:
            try:
                result.append(verb(through))
            except Exception as error:
                result.append(error)

        thread = threading.Thread(target=ask)
        broken = proxy.broken
        proxy.refuses_after_loss = True
        thread.start()
        assert broken.wait(10)
        how(server)
        store.patience = 20.0
        for _ in range(20):
            store.change_setting("x", "y")
        proxy.refuses = False
        thread.join(30)
        through.close()
    return result[0]


@pytest.mark.parametrize("how", [crash, crash_by_a_backend])
def test_an_accepted_task_is_there_after_a_crash_during_its_commit(
    server: Server, store: PostgresStore, how: Callable[[Server], None]
) -> None:
    for count, commit in ((1, b"INSERT INTO headbox_tasks"), (150, b"COMMIT\0"), (1, b"INSERT INTO headbox_tasks")):
        tasks = [a_task() for _ in range(count)]
        enqueued = ask_through_a_crash(server, store, how, lambda through: through.enqueue(tasks, NOON), commit)  # noqa: B023
        assert enqueued == tasks == [store.get(task.id) for task in tasks]


def test_what_may_have_been_done_is_not_done_again(server: Server, store: PostgresStore) -> None:
    task = store.enqueue([a_task()], NOON)[0]
    error = ask_through_a_crash(server, store, crash, lambda through: through.cancel(task.id, NOON))
    assert isinstance(error, StorageUnavailable) and "may have been done or not: look before you ask again" in str(
        error
    )
    assert store.get(task.id).state == "waiting"


def test_a_server_that_was_stopped_and_started_remembers(server: Server, store: PostgresStore) -> None:
    task = store.enqueue([a_task()], NOON)[0]

    def restart(server: Server) -> None:
        server.stop()
        server.start()

    canceled = ask_through_a_crash(server, store, restart, lambda through: through.cancel(task.id, NOON))
    assert canceled.state == "canceled" and canceled.cancel_attempts == 1
    with pytest.raises(UnknownTask):
        store.get("x")
