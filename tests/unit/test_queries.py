from __future__ import annotations

import re
from importlib.resources import files

import pytest

from headbox.domain.task import FIELDS
from headbox.storage.queries import (
    COLUMN_TYPES,
    formatted,
    load,
    numbered,
    of_arrays,
    of_row,
    of_rows,
    parameters,
    unusual,
)
from headbox.storage.tally import CHANGE

DIALECTS = ("sqlite", "postgres")
# Statements over a set of rows: SQLite sees what differs in it as JSON, PostgreSQL one array for each column.
BATCHES = {"archive_ends", "delete_ends", "take_ends"}

# PostgreSQL asks many levels in one statement, and alone steps over what is gone (storage/postgres/frontier.py).
BEGUN = {"claim": {"due_time", "id", "limit", "passed", "most_bytes"}, "passed_over": {"due_time", "id"}}
ITS_OWN = {"claim_alone", "enqueue", "known_levels"}
IN_TWO = {"claim": "claimable"}  # SQLite reads what it claims beforehand


def own(dialect: str) -> set[str]:
    text = files("headbox.storage").joinpath("sql", f"{dialect}.sql").read_text(encoding="utf-8")
    return set(re.findall(r"^-- (\w+) --$", text, re.MULTILINE))


def test_both_databases_have_the_same_statements_none_twice() -> None:
    assert own("sqlite") - {*IN_TWO.values()} == own("postgres") - ITS_OWN
    assert not own("portable") & own("postgres")
    assert load("sqlite").keys() == own("portable") | own("sqlite")
    assert load("postgres").keys() == own("portable") | own("postgres")


@pytest.mark.parametrize("name", sorted(own("sqlite") & own("postgres")))
def test_a_statement_of_either_database_has_the_same_parameters(name: str) -> None:
    sqlite, postgres = (set(parameters(load(dialect)[name])) for dialect in DIALECTS)
    if name in IN_TWO:
        sqlite = sqlite - {"places", "snapshot"} | set(parameters(load("sqlite")[IN_TWO[name]]))
    if name in BATCHES:
        sqlite.remove("rows")
    assert sqlite | BEGUN.get(name, set()) == postgres


@pytest.mark.parametrize("dialect", DIALECTS)
def test_no_placeholder_of_ours_and_no_comment_reaches_a_database(dialect: str) -> None:
    for name, statement in load(dialect).items():
        assert not re.search(r"[{}]|^--", statement, re.MULTILINE), name


def test_what_a_change_depends_on_is_locked_where_others_write_at_the_same_time() -> None:
    writing, reading = load("postgres"), load("postgres", reading=True)
    locking = {name for name, statement in writing.items() if statement != reading[name]}
    assert locking == {
        "live", "live_run", "last_run", "named_schedule", "running_of", "running_without_worker", "worker_exists",
    }  # fmt: skip
    assert all(re.search(r" FOR (UPDATE|KEY SHARE)$", writing[name]) for name in locking)


def test_what_may_make_a_task_ready_tells_its_queue() -> None:
    waking = {name for name, statement in load("postgres").items() if statement.endswith(" RETURNING queue")}
    assert waking == {
        "next_occurrence", "change_state", "bring_forward", "hasten", "reschedule", "release", "unhold", "redeclare",
        "restore_task", "resume_queue",
    }  # fmt: skip


def test_a_field_has_its_columns_type() -> None:
    assert set(COLUMN_TYPES) >= {*FIELDS, *CHANGE}
    fields = ("id", "priority", "due_time", "args", "start_time", "claimed_state", "final")
    assert [COLUMN_TYPES[field] for field in fields] == [
        "text",
        "bigint",
        "bigint",
        "bytea",
        "bigint",
        "text",
        "boolean",
    ]


def test_parameters_are_written_as_each_driver_reads_them() -> None:
    statement = "SELECT :a::text[], ':', 7 % 2 FROM t WHERE b = :b AND a = :a"
    assert parameters(statement) == ("a", "b")
    assert numbered("SELECT :a, :b, :a", ("b", "a")) == "SELECT ?2, ?1, ?2"
    assert formatted(statement) == b"SELECT %(a)b::text[], ':', 7 %% 2 FROM t WHERE b = %(b)b AND a = %(a)b"


def test_what_differs_between_rows_is_taken_from_json_and_the_rest_is_bound() -> None:
    statement = "SELECT :id, :queue, :args FROM json_each(:rows) AS given WHERE ended = :id"
    assert of_rows(statement, ("args", "id")) == (
        "SELECT given.value ->> 1, :queue, CAST(given.value ->> 0 AS BLOB) FROM json_each(:rows) AS given"
        " WHERE ended = given.value ->> 1"
    )
    assert of_rows(statement, ("args",)) == (
        "SELECT :id, :queue, CAST(given.value AS BLOB) FROM json_each(:rows) AS given WHERE ended = :id"
    )


def test_what_differs_between_rows_comes_as_arrays_and_what_is_nothing_not_at_all() -> None:
    statement = "SELECT :id, :queue, :args, :now FROM :rows AS given WHERE ended = :id"
    assert of_arrays(statement, ("id", "args"), ("queue",)) == (
        "SELECT given.id, :queue::text, given.args, :now FROM unnest(:id::text[], :args::bytea[]) AS given (id, args)"
        " WHERE ended = given.id"
    )
    assert of_arrays(statement, (), ("id", "queue")) == (
        "SELECT :id::text, :queue::text, NULL, :now FROM (SELECT) AS given WHERE ended = :id::text"
    )


def test_usual_values_stand_in_the_statement() -> None:
    names = ("id", "state", "weight", "is_async", "args", "job_id")
    assert unusual(names, ("1", "waiting", 1, False, None, None)) == {"id": "1"}
    row = {"id": "1", "state": "reset", "weight": 0, "is_async": True, "args": b"", "job_id": ""}
    assert unusual(names, [*row.values()]) == row
    statement = "SELECT :id, :state, :weight, :is_async, :args"
    assert of_arrays(statement, (), ("id",)) == "SELECT :id::text, 'waiting', 1, FALSE, NULL"


def test_a_row_alone_is_bound_but_for_its_usual_values() -> None:
    statement = "SELECT :id, :state, :job_id, :result FROM json_each(:rows) AS given WHERE worker = :worker"
    assert of_row(statement, ("id", "state", "job_id", "result"), ("id", "job_id")) == (
        "SELECT :id, 'waiting', :job_id, NULL FROM (SELECT 1) AS given WHERE worker = :worker"
    )
