"""A worker's visit to the store: a report and a claim, in one transaction. Where one process can write at a time and
others wait to, it goes in small steps, and they are let in as soon as it has made one."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from headbox.domain.task import Instant
from headbox.storage import statistics
from headbox.storage.database import Database, Transaction
from headbox.storage.exchange import MOST_BYTES, claim, tell
from headbox.storage.queries import payload_bytes
from headbox.storage.records import ClaimRequest, Exchange, Report

STEP: Final = 128  # ends that are told, or tasks that are claimed, before others are let in

Step = Report | ClaimRequest


def visit(database: Database, worker: str, report: Report, request: ClaimRequest | None, now: Instant) -> Exchange:
    """Does both, and gives what came of it; Superseded, if a worker whose row is gone would claim. Where it raises,
    some of it may have been done: a report can be told again."""
    steps = _steps(report, request, STEP) if database.is_in_demand() else _steps(report, request)
    told = Exchange([], [], None)
    while steps and not _is_enough(told):
        rest = steps
        work = statistics.counted(lambda tx, rest=rest: _go(database, tx, worker, rest, now), now)  # type: ignore[misc]
        # What was finished is found in the history, and what was claimed is released by the worker's own review. A
        # claim alone need not outlive the machine: after a loss of power its task still waits, and is run anyway.
        answers = database.write(work, is_repeatable=True, dies_with_machine=isinstance(rest[0], ClaimRequest))
        for answer in answers:
            told = _together(told, answer)
        steps = rest[len(answers) :]
    return told


def _steps(report: Report, request: ClaimRequest | None, most: int | None = None) -> list[Step]:
    """The report and the request, or each in parts of so many runs at most."""
    steps: list[Step] = []
    if report or report.lateness or request is None:
        parts = range(most, len(report.outcomes), most) if most else ()
        steps.append(replace(report, outcomes=report.outcomes[:most]) if parts else report)
        steps += [Report(outcomes=report.outcomes[start : start + most]) for start in parts if most]
    if request is not None:
        longest = max(request.limit, request.async_limit, 1)
        for start in range(0, longest, most or longest):
            room, async_room = (max(0, limit - start) for limit in (request.limit, request.async_limit))
            limits = {"limit": min(room, most or room), "async_limit": min(async_room, most or async_room)}
            steps.append(replace(request, **limits))
    return steps


def _go(database: Database, tx: Transaction, worker: str, steps: list[Step], now: Instant) -> list[Exchange]:
    """What came of the first steps: all of them, or as many as could be made until others wanted to write."""
    answers: list[Exchange] = []
    for step in steps:
        if isinstance(step, Report):
            answers.append(tell(tx, worker, step, now))
        else:
            answers.append(Exchange([], [], claim(tx, worker, step, now)))
        if _is_enough(answers[-1]) or database.is_wanted():
            break
    return answers


def _is_enough(told: Exchange) -> bool:
    """Whether a claim has brought all that there was, or as much as can be borne."""
    claims = told.claims
    return claims is not None and (not claims.more or payload_bytes(claims.tasks) >= MOST_BYTES)


def _together(told: Exchange, answer: Exchange) -> Exchange:
    claims = answer.claims
    if claims is not None and told.claims is not None:
        claims = replace(claims, tasks=told.claims.tasks + claims.tasks)
    return Exchange(told.superseded + answer.superseded, told.skipped + answer.skipped, claims or told.claims)
