"""The route table and the document that is made from it."""

from __future__ import annotations

import re

from headbox.web.app import CALLS
from headbox.web.openapi import COMPONENTS, document
from headbox.web.routes import accounts, changes, events, jobs, queues, selections, snapshots, statistics, system, tasks

DOCUMENT = document(CALLS)

CONTRACT = """
GET /tasks/{id}/ · GET /tasks/ · POST /tasks/{id}/cancel/ · DELETE /tasks/{id}/ · GET /tasks/snapshots/
GET /tasks/{id}/snapshot/ · DELETE /tasks/{id}/snapshot/ · GET /jobs/ · GET /jobs/{id}/ · POST /jobs/{id}/cancel/
POST /tasks/ · GET /callables/ · POST /tasks/{id}/suspend/ · POST /tasks/{id}/resume/ · POST /tasks/{id}/reset/
PUT /tasks/{id}/schedule/ · POST /tasks/cancel/ · GET /tasks/{id}/runs/ · GET /workers/ · GET /audit/
GET /metrics · GET /tasks/events/ · GET /tasks/upcoming/ · GET /health/live · GET /health/ready · GET /statistics/
GET /tasks/count/ · POST /tasks/suspend/ · POST /tasks/resume/ · POST /tasks/reset/
GET /queues/ · POST /queues/{name}/suspend/ · POST /queues/{name}/resume/
"""


def test_every_call_of_the_contract_is_described() -> None:
    described = {f"{method.upper()} {path}" for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert set(re.split(r"[·\n]\s*", CONTRACT.strip().replace(" ·", "·"))) <= described


def test_the_table_has_every_row_of_its_groups_once() -> None:
    groups = (
        tasks.OPERATIONS,
        changes.OPERATIONS,
        snapshots.OPERATIONS,
        jobs.OPERATIONS,
        system.OPERATIONS,
        system.HEALTH,
        statistics.OPERATIONS,
        queues.OPERATIONS,
        selections.OPERATIONS,
        events.OPERATIONS,
        accounts.OPERATIONS,
    )
    rows = [operation for group in groups for operation in group]
    assert sorted(map(id, rows)) == sorted(map(id, CALLS))
    assert len({(operation.method, operation.path) for operation in CALLS}) == len(CALLS)


def test_operation_ids_are_unique() -> None:
    ids = [operation["operationId"] for methods in DOCUMENT["paths"].values() for operation in methods.values()]
    assert len(ids) == len(set(ids))


def test_every_reference_leads_somewhere() -> None:
    names = set(re.findall(rf"{re.escape(COMPONENTS)}([A-Za-z]+)", repr(DOCUMENT)))
    assert names == set(DOCUMENT["components"]["schemas"])


def test_every_call_but_the_probes_needs_credentials() -> None:
    free = {
        path
        for path, methods in DOCUMENT["paths"].items()
        for operation in methods.values()
        if not operation["security"]
    }
    assert free == {"/health/live", "/health/ready"}
