"""What verbs cost, counted where the speed of the machine plays no part: statements, transactions, bytes."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from headbox.domain.outcomes import Outcome
from headbox.domain.task import HOUR
from headbox.identifiers import new_id
from headbox.storage import lookups
from headbox.storage.postgres.connections import Connection
from headbox.storage.records import ClaimRequest, Report
from headbox.storage.sqlite.database import SQLiteDatabase
from headbox.storage.store import open_store
from tests.conformance.conftest import NOON, Scene

if TYPE_CHECKING:
    from headbox.domain.task import Task

BATCH = 500
TRANSACTIONS = {"sqlite": 3, "postgresql": 5}  # of three turns: many ends have one of their own in PostgreSQL,
APART = {"sqlite": 0, "postgresql": 3}  # which takes so many statements more
BYTES = {"sqlite": 300, "postgresql": 520}  # of a no-op task, indexes included, and a tenth more
STATEMENTS = {"sqlite": 4, "postgresql": 1}  # of one enqueue; SQLite's begin and commit are two


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What databases are told from now on: statements of SQLite, messages to PostgreSQL."""
    said: list[str] = []
    connect = SQLiteDatabase.connect

    def listen(self: SQLiteDatabase, **options: Any) -> sqlite3.Connection:
        connection = connect(self, **options)
        connection.set_trace_callback(said.append)
        return connection

    def heard(say: Callable[..., Any]) -> Callable[..., Any]:
        def tell(self: object, query: Any, *args: Any, **options: Any) -> Any:
            said.append(bytes(query).decode())
            return say(self, query, *args, **options)

        return tell

    monkeypatch.setattr(SQLiteDatabase, "connect", listen)
    monkeypatch.setattr(psycopg.Cursor, "execute", heard(psycopg.Cursor.execute))
    monkeypatch.setattr(Connection, "change", heard(Connection.change))
    monkeypatch.setattr(Connection, "first_row", heard(Connection.first_row))
    return said


def turn(scene: Scene, ended: list[Task], limit: int = BATCH) -> list[Task]:
    """Ends what a worker was given and claims more, as its clerk does."""
    outcomes = [Outcome(task.id, task.run, "succeed", scene.now, scene.now, queue=task.queue) for task in ended]
    claims = scene.store.exchange(
        "a", Report(outcomes=outcomes), ClaimRequest(queues=(), limit=limit), scene.now
    ).claims
    assert claims is not None
    return claims.tasks


def begin(scene: Scene, said: list[str]) -> None:
    """Only what is said on connections that are opened from now on is heard; what opens one does not count."""
    scene.store.close()
    scene.enqueue()
    (task,) = scene.claim(limit=1)
    scene.finish(task)  # for a claim leaves SQLite's writer at another level of durability
    said.clear()


def begin_reading(scene: Scene, said: list[str]) -> None:
    """The same for what is only read."""
    scene.store.close()
    scene.store.workers()
    said.clear()


def commits(said: list[str]) -> int:
    return said.count("COMMIT")


def test_a_thousand_tasks_are_drained_in_few_transactions_and_statements(scene: Scene, said: list[str]) -> None:
    scene.store.enqueue([scene.task() for _ in range(1000)], scene.now)
    begin(scene, said)
    drained, hand = 0, turn(scene, [])
    while hand:
        drained += len(hand)
        hand = turn(scene, hand)
    assert drained == 1000
    assert commits(said) == TRANSACTIONS[scene.store.url.partition(":")[0]]
    assert len(said) <= 30


def test_a_turn_costs_the_same_statements_however_many_tasks_it_moves(scene: Scene, said: list[str]) -> None:
    scene.store.enqueue([scene.task() for _ in range(700)], scene.now)
    hand = turn(scene, turn(scene, turn(scene, [], 100), 10), 10)
    costs = []
    for limit in (10, BATCH):
        hand = turn(scene, hand, limit)
        said.clear()
        hand = turn(scene, hand, 10)
        costs.append(sum("pg_notify" not in statement for statement in said))  # told at most once in a while
    assert costs[1] == costs[0] + APART[scene.store.url.partition(":")[0]]


def test_one_task_is_enqueued_in_one_transaction_and_without_arrays(scene: Scene, said: list[str]) -> None:
    task = scene.task()
    begin(scene, said)
    scene.store.enqueue([task], scene.now)
    asked = [statement for statement in said if "pg_notify" not in statement]
    assert len(asked) == STATEMENTS[scene.store.url.partition(":")[0]]
    assert not any("unnest" in statement or "$20" in statement for statement in asked)


def test_many_tasks_are_enqueued_in_one_transaction_and_few_statements(scene: Scene, said: list[str]) -> None:
    tasks = [scene.task() for _ in range(1000)]
    begin(scene, said)
    scene.store.enqueue(tasks, scene.now)
    assert commits(said) == 1
    assert len(said) <= 5


def test_jobs_are_read_in_the_same_few_statements_however_many_they_are(scene: Scene, said: list[str]) -> None:
    costs = []
    for number in (1, 25):
        for job in range(number):
            scene.finish(scene.running(job_id=f"ended-{number}-{job}"))
            scene.enqueue(job_id=f"live-{number}-{job}", due_time=scene.now + HOUR)
        begin_reading(scene, said)
        found = [*scene.store.jobs_in_progress(scene.now, 25), *scene.store.jobs_ended(25)]
        assert len(found) >= 2 * number
        costs.append(len(said))
    assert costs[0] == costs[1] <= 8  # two readings of two statements, and what begins and ends them


def test_the_holder_of_a_token_and_a_task_are_a_statement_each(scene: Scene, said: list[str]) -> None:
    task = scene.enqueue()
    for lookup in (lookups.holder(b"hash", scene.now), lookups.task(task.id)):
        begin_reading(scene, said)
        asyncio.run(scene.store.look_up_on_loop(lookup))
        assert sum(statement.startswith("SELECT") for statement in said) == 1


def test_a_task_that_waits_takes_few_bytes(empty: str) -> None:
    with closing(open_store(empty)) as store:
        store.initialise(NOON)
        before, scene = size(empty), Scene(store)
        store.enqueue([scene.task(id=new_id()) for _ in range(5000)], scene.now)
        assert (size(empty) - before) / 5000 < BYTES[empty.partition(":")[0]]


def size(url: str) -> int:
    """Of the live tasks with their indexes."""
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as lite:
            return int(
                lite.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").fetchone()[0]
            )
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT pg_total_relation_size('headbox_tasks')").fetchone()
        return int(row[0]) if row else 0
