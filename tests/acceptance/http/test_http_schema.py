"""The OpenAPI document is true: whatever it allows, and much that it does not, is answered as it says."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from headbox.web.app import CALLS
from headbox.web.openapi import document

SCHEMA = schemathesis.openapi.from_dict(document(CALLS))
# Guesses are throttled, and a schema cannot say all that a schedule must be: other tests look at both.
UNFIT = [ignored_auth, positive_data_acceptance]
STREAM = "GET /tasks/events/"  # it does not end, and so says nothing that can be held here: it has tests of its own
OPERATIONS = {result.ok().label: result.ok() for result in SCHEMA.get_all_operations() if result.ok().label != STREAM}


# Parsing and refusing is the same on every database: on PostgreSQL a few calls show that the answers are, too.
EXAMPLES = {"sqlite": 15, "postgresql": 4}


@pytest.mark.parametrize(
    ("label", "mode"),
    [
        (label, mode)
        for label, operation in OPERATIONS.items()
        for mode in GenerationMode
        if mode.is_positive or list(operation.iter_parameters()) or list(operation.body)
    ],
)
def test_every_call_answers_as_the_document_says(mill: Any, label: str, mode: GenerationMode) -> None:
    mill.finished(job_id="j")
    mill.running(job_id="j")
    examples = EXAMPLES[mill.queue.database.partition(":")[0]]

    @settings(max_examples=examples, phases=[Phase.generate], suppress_health_check=list(HealthCheck), database=None)
    @given(case=OPERATIONS[label].as_strategy(generation_mode=mode))
    def answers(case: Case) -> None:
        headers = {"Authorization": mill.admin.headers["authorization"]}
        case.call_and_validate(base_url=mill.url, headers=headers, excluded_checks=UNFIT)

    answers()
