from __future__ import annotations

import re

import pytest

from headbox.domain.states import COMPLETE, INCOMPLETE, RESET, TRANSITIONS
from headbox.domain.task import FIELDS
from headbox.storage.migrate import migrations

pytestmark = pytest.mark.parametrize("dialect", ["sqlite", "postgres"])


def table(dialect: str, name: str) -> str:
    script = "\n".join(migrations(dialect).values())
    found = re.search(rf"CREATE TABLE {name} \((.*?)\n\)", script, re.DOTALL)
    assert found is not None
    return found[1]


def checked(dialect: str, name: str, column: str) -> set[str]:
    found = re.search(rf"CHECK \(({column} IN .*)\),?$", table(dialect, name), re.MULTILINE)
    assert found is not None
    return set(re.findall(r"'(\w+)'", found[1]))


def test_the_live_table_holds_what_the_transitions_call_incomplete(dialect: str) -> None:
    assert checked(dialect, "headbox_tasks", "state") == set(INCOMPLETE)


def test_the_history_holds_how_a_run_can_end(dialect: str) -> None:
    ends = {
        state for event in ("succeed", "fail", "expire", "cancel", "lose") for state in TRANSITIONS[event]["running"]
    }
    assert checked(dialect, "headbox_task_history", "state") == ends == {*COMPLETE, RESET}


def test_a_claim_takes_from_the_states_that_a_release_gives_back(dialect: str) -> None:
    assert checked(dialect, "headbox_tasks", "claimed_state") == set(TRANSITIONS["claim"])
    assert set(TRANSITIONS["release"]["running"]) >= set(TRANSITIONS["claim"])


def test_both_tables_have_the_fields_of_a_task_in_order(dialect: str) -> None:
    for name in ("headbox_tasks", "headbox_task_history"):
        columns = re.findall(
            r"^    ([a-z_]+) (?:TEXT|INTEGER|BLOB|text|bigint|integer|smallint|boolean|bytea)",
            table(dialect, name),
            re.MULTILINE,
        )
        assert tuple(columns) == FIELDS
