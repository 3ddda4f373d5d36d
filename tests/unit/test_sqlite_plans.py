"""What SQLite looks through for a list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from headbox.domain.states import State
from headbox.domain.task import HOUR
from headbox.storage.database import Row
from headbox.storage.records import Filter
from headbox.storage.sqlite.database import SQLiteTransaction
from headbox.storage.store import open_store


@pytest.mark.parametrize("outcomes", [("error",), ("error", "timed_out", "canceled")])
def test_a_rare_outcome_is_looked_up_by_an_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcomes: tuple[State, ...]
) -> None:
    plans: list[str] = []
    select = SQLiteTransaction.select

    def explain(self: SQLiteTransaction, sql: str, parameters: Mapping[str, Any]) -> Iterator[Row]:
        plans.append(" ".join(row[3] for row in self._connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)))
        return select(self, sql, parameters)

    store = open_store(f"sqlite:///{tmp_path}/headbox.db", HOUR)
    store.initialise(0)
    monkeypatch.setattr(SQLiteTransaction, "select", explain)
    store.find(Filter(outcomes=outcomes), 0, 100)
    store.count(Filter(outcomes=outcomes), 0)
    assert len(plans) == 2 and all("headbox_task_history_outcome (state=?" in plan for plan in plans)
    store.close()
