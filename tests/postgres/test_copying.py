"""Many tasks are copied into the table; what that cannot do is done otherwise, unnoticed."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from msgspec.structs import asdict, replace

from headbox.domain.errors import NonUniqueTask
from headbox.domain.task import Task
from headbox.storage.postgres.store import PostgresStore
from headbox.storage.postgres.transaction import COPY_ROWS, PostgresTransaction
from headbox.storage.records import ClaimRequest, Filter, Report
from tests.postgres.conftest import NOON, a_task, a_worker

EVERYTHING = Filter(states=("waiting",), queues=("default",))


def many(number: int = COPY_ROWS, **changes: Any) -> list[Task]:
    return [a_task(**changes) for _ in range(number)]


@pytest.fixture(autouse=True)
def copied(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tasks each COPY brought."""
    copied: list[int] = []
    copy = PostgresTransaction._copy

    def counted(self: PostgresTransaction, names: tuple[str, ...], rows: Any) -> int:
        copied.append(copy(self, names, rows))
        return copied[-1]

    monkeypatch.setattr(PostgresTransaction, "_copy", counted)
    return copied


@pytest.mark.parametrize(("number", "bare"), [(1, 0), (2, 1), (COPY_ROWS, COPY_ROWS)])
def test_every_field_survives(store: PostgresStore, copied: list[int], number: int, bare: int) -> None:
    full = many(
        number,
        priority=-9, class_name="é", callable_payload=b"\x80\x00", args=b"[]", kwargs=b"{}", public_args="[]",
        public_kwargs="{}", scheduler="at", schedule="x", definition="d", declared_by="a", scheduled_time=2**62,
        runs_left=7, timeout=1, attempts=9, failure_threshold=2, schedule_threshold=3, weight=0, is_async=True,
        job_id="nul \0", owner="ann", progress_arg="p", progress_callback=b"\x00",
    )  # fmt: skip
    store.enqueue([*full, *many(bare)], NOON)
    assert sum(copied) == (2 * COPY_ROWS if bare == COPY_ROWS else 0)
    for task in (full[0], full[-1]):
        assert asdict(store.get(task.id)) == asdict(replace(task, job_id="nul ?"))
    assert store.count(EVERYTHING, NOON) == number + bare


def test_tasks_that_are_there_already_are_left_as_they_are(store: PostgresStore) -> None:
    tasks = many()
    store.enqueue(tasks[5:10], NOON)
    store.suspend(tasks[5].id, NOON)
    store.enqueue([replace(task, priority=3) for task in tasks], NOON)
    assert (store.get(tasks[5].id).state, store.get(tasks[5].id).priority) == ("suspended", 0)
    assert store.count(EVERYTHING, NOON) == COPY_ROWS and store.get(tasks[0].id).priority == 3


def test_tasks_that_have_ended_are_not_run_again(store: PostgresStore) -> None:
    tasks = many()
    store.enqueue(tasks, NOON)
    store.cancel(tasks[7].id, NOON)
    store.enqueue(tasks, NOON)
    store.register(a_worker("w"), [], [], NOON)
    claims = store.exchange("w", Report(), ClaimRequest(queues=(), limit=2 * COPY_ROWS), NOON).claims
    assert claims is not None and len(claims.tasks) == COPY_ROWS - 1


def test_the_same_task_twice_is_accepted_once(store: PostgresStore) -> None:
    tasks = many()
    store.enqueue([*tasks, *tasks], NOON)
    assert store.count(EVERYTHING, NOON) == COPY_ROWS


def test_a_unique_task_in_the_way_is_named_and_none_is_accepted(store: PostgresStore) -> None:
    first = store.enqueue([a_task(unique_key="key", queue="other")], NOON)[0]
    with pytest.raises(NonUniqueTask) as refused:
        store.enqueue([*many(), a_task(unique_key="key")], NOON)
    assert refused.value.task_id == first.id and store.count(EVERYTHING, NOON) == 0


def test_in_a_callers_transaction_too(store: PostgresStore, url: str) -> None:
    tasks = many()
    store.enqueue(tasks[:1], NOON)
    with psycopg.connect(url) as connection:
        store.enqueue(tasks, NOON, connection=connection)
        assert store.count(EVERYTHING, NOON) == 1
    assert store.count(EVERYTHING, NOON) == COPY_ROWS


def test_workers_hear_of_it(store: PostgresStore) -> None:
    watch = store.watch("w", ["mine"])
    store.enqueue(many(queue="mine"), NOON)
    assert watch.wait(10)
    watch.close()
