"""One visit to the store: what a worker has to say, what it asks, and the duties that are due. Runs on the clerk's
thread and touches nothing but the store."""

from __future__ import annotations

import msgspec

from headbox.domain.task import Instant
from headbox.storage.records import ClaimRequest, Claims, Exchange, Report, Worker
from headbox.storage.store import Store
from headbox.worker.journal import Marks
from headbox.worker.upkeep import Upkeep

Runs = frozenset[tuple[str, int]]


class Errand(msgspec.Struct, frozen=True, kw_only=True):
    """What to do there. Nothing is written unless it is `pressing` or something is ready to be claimed."""

    worker: str
    report: Report
    pressing: bool
    request: ClaimRequest | None
    look_for_cancels: bool
    upkeep_is_due: bool
    heard: Marks  # how many ends of each child the report contains, with those before it
    review: Runs | None  # (id, run) of all that the worker has in hand, to be held against what the store says


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    exchange: Exchange | None  # None: nothing was written
    first_time: Instant | None  # where nothing was: when the next task is due
    canceled: Runs
    claimed: bool  # something was claimed, or would have been
    unheld: Runs  # claimed for this worker, which has never heard of it
    workers: list[Worker] | None  # after a full round of duties: those that live


def run(errand: Errand, store: Store, upkeep: Upkeep, now: Instant) -> Answer:
    """Does the errand. Raises what the store raises; then nothing of the report was written."""
    workers = upkeep.tick(now) if errand.upkeep_is_due else None
    unheld: Runs = frozenset()
    if errand.review is not None:
        unheld = frozenset(store.held_by(errand.worker)) - errand.review - upkeep.in_hand()
    exchange, first_time = None, None
    request = errand.request
    if errand.pressing:
        exchange = store.exchange(errand.worker, errand.report, request, now)
    elif request is not None:  # most wake-ups of an idle worker are for nothing, and then nothing is written
        found = store.claim(errand.worker, request, now)
        exchange = Exchange([], [], found) if isinstance(found, Claims) else None
        first_time = None if isinstance(found, Claims) else found
    canceled = frozenset(store.canceling(errand.worker)) if errand.look_for_cancels else frozenset()
    claimed = upkeep.take_claimed() or (exchange is not None and exchange.claims is not None)
    return Answer(
        exchange=exchange, first_time=first_time, canceled=canceled, claimed=claimed, unheld=unheld, workers=workers
    )
