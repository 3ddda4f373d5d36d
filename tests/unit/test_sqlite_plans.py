"""What SQLite looks through."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from headbox.domain.states import State
from headbox.domain.task import HOUR
from headbox.storage.database import Row
from headbox.storage.queries import load, parameters
from headbox.storage.records import Filter
from headbox.storage.sqlite.transaction import SQLiteTransaction
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


@pytest.mark.parametrize("table", ["headbox_tasks", "headbox_task_history"])
def test_no_check_of_a_row_makes_a_table(tmp_path: Path, table: str) -> None:
    """As SQLite does for each row where a list has three values or more: it took a tenth of a drain."""
    store = open_store(f"sqlite:///{tmp_path}/headbox.db", HOUR)
    store.initialise(0)
    with sqlite3.connect(tmp_path / "headbox.db") as connection:
        program = [row[1] for row in connection.execute(f"EXPLAIN INSERT INTO {table} (id) VALUES ('')")]
    assert "Insert" in program and "OpenEphemeral" not in program
    store.close()


# Partial indexes that hold only few rows: to walk through one of these costs what is in it, not what waits.
SMALL = ("headbox_tasks_running", "headbox_tasks_canceling", "headbox_tasks_schedule", "headbox_tasks_recurring")

BOUNDED = {"jobs_ended"}  # goes along an index, and stops at its limit


def test_no_named_statement_walks_through_all_that_waits_or_has_ended(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/headbox.db", HOUR)
    store.initialise(0)
    walks = set()
    with sqlite3.connect(tmp_path / "headbox.db") as connection:
        for name, statement in load("sqlite").items():
            given = dict.fromkeys(parameters(statement), 1)
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", given)]
            walks |= {
                name for step in plan if re.match("SCAN headbox_task(s|_history)\\b", step) and not _is_small(step)
            }
    assert walks == BOUNDED
    store.close()


def _is_small(step: str) -> bool:
    return step.endswith(tuple(f"INDEX {index}" for index in SMALL))
