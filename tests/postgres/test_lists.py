"""Lists of the archive read what they show, however much there is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import psycopg
import pytest

from headbox.domain.outcomes import Outcome
from headbox.domain.states import State
from headbox.domain.task import HOUR, SECOND
from headbox.storage.database import Row
from headbox.storage.postgres.store import PostgresStore
from headbox.storage.postgres.transaction import PostgresTransaction, SingleStatement
from headbox.storage.queries import formatted
from headbox.storage.records import ClaimRequest, Filter, Report
from tests.postgres.conftest import NOON, a_task, a_worker

MANY = 20_000


@pytest.fixture
def url(empty: str) -> str:
    """Pages are counted, and others would have left theirs."""
    return empty


@pytest.fixture
def archive(store: PostgresStore, admin: psycopg.Connection[Any]) -> PostgresStore:
    """Many runs that have finished, three that failed, the last of them long ago."""
    store.register(a_worker("w"), [], [], NOON)
    tasks = store.enqueue([a_task() for _ in range(4)], NOON)
    store.exchange("w", Report(), ClaimRequest(queues=(), limit=4), NOON)
    ends = [Outcome(task.id, 1, "fail", NOON - HOUR * 24 * 30 + SECOND * n) for n, task in enumerate(tasks[:3])]
    store.exchange("w", Report(outcomes=[*ends, Outcome(tasks[3].id, 1, "succeed", NOON)]), None, NOON)
    names = [name for (name,) in admin.execute(COLUMNS).fetchall()]
    values = ", ".join(
        {"id": "'x' || n", "finish_time": "finish_time - n * 1000000::bigint"}.get(name, name) for name in names
    )
    admin.execute(
        f"INSERT INTO headbox_task_history ({', '.join(names)}) SELECT {values}"
        f" FROM headbox_task_history, generate_series(1, {MANY}) AS n WHERE id = '{tasks[3].id}'"
    )
    admin.execute("VACUUM (ANALYZE) headbox_task_history")
    return store


COLUMNS = "SELECT column_name FROM information_schema.columns WHERE table_name = 'headbox_task_history' ORDER BY 1"


def pages(archive: PostgresStore, monkeypatch: pytest.MonkeyPatch, look: Callable[[], object]) -> int:
    """How many pages the statements of a look touch."""
    touched = []
    select = PostgresTransaction.select

    def explain(self: SingleStatement, sql: str, parameters: Mapping[str, Any]) -> Iterator[Row]:
        explained = b"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + formatted(sql)
        (plans,) = self._connection.execute(explained, parameters).fetchone() or ([],)
        touched.append(plans[0]["Plan"]["Shared Hit Blocks"] + plans[0]["Plan"]["Shared Read Blocks"])
        return select(self, sql, parameters)

    with monkeypatch.context() as patch:
        patch.setattr(PostgresTransaction, "select", explain)
        look()
    assert touched
    return sum(touched)


@pytest.mark.parametrize(("outcomes", "found"), [(("error",), 3), (("timed_out",), 0), (("error", "timed_out"), 3)])
def test_a_rare_outcome_is_found_without_reading_the_archive(
    archive: PostgresStore, monkeypatch: pytest.MonkeyPatch, outcomes: tuple[State, ...], found: int
) -> None:
    filter = Filter(outcomes=outcomes)
    assert archive.count(filter, NOON) == found == len(archive.find(filter, NOON, 100).tasks)
    assert pages(archive, monkeypatch, lambda: archive.find(filter, NOON, 100)) < 40
    assert pages(archive, monkeypatch, lambda: archive.count(filter, NOON)) < 40


def test_a_page_of_what_finished_reads_little_more_than_it_shows(
    archive: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for filter in (Filter(outcomes=("finished",)), Filter(states=("archived",))):
        first = archive.find(filter, NOON, 100)
        assert len(first.tasks) == 100
        assert pages(archive, monkeypatch, lambda: archive.find(filter, NOON, 100, first.cursor)) < 400  # noqa: B023
