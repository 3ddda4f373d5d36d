"""A claim whose commit took place, whose answer is lost, and whose server then crashes: the store asks again, gets
other tasks or none, and nobody tells the worker of those that it has already."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from headbox.storage.store import Store, open_store
from tests import postgres_server
from tests.fault.chaos import workload
from tests.fault.chaos.house import Process, until
from tests.fault.chaos.journal import Journal
from tests.tcp_proxy import Proxy, proxied

CLAIM = b"SET state = 'running', worker = "
PATIENCE = 30.0  # seconds; far less than the lease, after which others would take over


@pytest.fixture
def server() -> Iterator[postgres_server.Server]:
    server = postgres_server.Server()
    yield server
    server.remove()


@pytest.fixture
def store(server: postgres_server.Server) -> Iterator[Store]:
    store = open_store(server.url)
    clock = store.clock()
    store.initialise(clock.now())
    with workload.queue.using(store, clock):
        yield store
    store.close()


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


@pytest.fixture
def network(server: postgres_server.Server) -> Iterator[tuple[Proxy, str]]:
    with proxied(server.url) as network:
        yield network


@pytest.fixture
def work(store: Store, network: tuple[Proxy, str], journal: Journal, tmp_path: Path) -> Iterator[Process]:
    """The only worker, which is not taken for dead all the while."""
    environment = {"HEADBOX_DATABASE": network[1], "HEADBOX_LEASE": "600", "CHAOS_JOURNAL": str(journal.path)}
    work = Process("work", ["work", "--app", "tests.fault.chaos.workload:queue"], tmp_path, environment)
    until(lambda: store.workers() or work.process.poll() is not None, "the worker to come up")
    yield work
    work.close()


def test_a_worker_runs_what_it_has_claimed_though_the_server_crashed_before_it_could_say_so(
    server: postgres_server.Server, store: Store, network: tuple[Proxy, str], work: Process, journal: Journal
) -> None:
    (worker,) = store.workers()
    proxy, _ = network
    proxy.refuses_after_loss = True
    proxy.lose_answer_to(b"COMMIT\0", after=CLAIM)
    tasks = workload.queue.enqueue_many(workload.nothing.call(f"token-{number}") for number in range(3))
    assert proxy.broken.wait(PATIENCE)
    with psycopg.connect(server.url) as connection:
        claimed = connection.execute("SELECT id FROM headbox_tasks WHERE worker = %s", [worker.id]).fetchall()
    assert claimed  # the commit did take place
    server.kill()
    server.start()
    proxy.refuses = False
    until(lambda: all(task.refresh().state == "finished" for task in tasks), "the claimed tasks to run", PATIENCE)
    assert [found.id for found in store.workers()] == [worker.id]
    starts = [(line.id, line.run) for line in journal.lines() if line.what == "start"]
    assert sorted(starts) == sorted((task.id, 1) for task in tasks)
