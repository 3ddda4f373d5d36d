"""How many tasks there are and what has happened, at a cost that does not grow with them: each transaction adds what it
changes as rows of its own, the upkeep folds these into counts, and who reads takes both together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from headbox.domain.statistics import COARSE, DAYS, EVER, FINE, Period, Statistics, summarise, summarise_days
from headbox.domain.task import DAY, HOUR, SECOND, Instant, Span
from headbox.storage.database import Row, Transaction
from headbox.storage.tally import CHANGE, Tally

T = TypeVar("T")
Happened = tuple[Span, Instant, str, int]  # within a period of that length: what, and how often

FINE_LIFETIME: Span = 2 * HOUR
COARSE_LIFETIME: Span = 400 * DAY
UNFOLDED: Span = 10 * SECOND  # how long changes are left as they are: who watches single tasks reads them
BATCH: Final = 10_000  # changes that one transaction folds
MANY: Final = 20_000  # changes after which it is worth folding them for the next reader
SPANS: Final = (EVER, FINE, COARSE)


def counted(work: Callable[[Transaction], T], now: Instant) -> Callable[[Transaction], T]:
    """The work, and in the same transaction what it has changed in the counts."""

    def run(tx: Transaction) -> T:
        tally = tx.tally = Tally()
        value = work(tx)
        if rows := tally.rows(now):
            tx.many("add_change", CHANGE, rows)
        return value

    return run


def is_foldable(tx: Transaction, now: Instant, since: str) -> bool:
    """Whether there are changes to fold. Reads only."""
    return tx.one("is_foldable", now=now, before=now - UNFOLDED, since=since) is not None


def fold(tx: Transaction, now: Instant, since: str) -> int:
    """Folds a batch of changes into the counts and forgets periods that are past; how many changes."""
    taken = tx.all("take_changes", now=now, before=now - UNFOLDED, since=since, limit=BATCH)
    counts: Counter[tuple[Any, ...]] = Counter()
    periods: Counter[tuple[Any, ...]] = Counter()
    for time, queue, was, became, happened, number in taken:
        if was is not None:
            counts[queue, was] -= number
        if became is not None:
            counts[queue, became] += number
        if happened is not None:
            for span in SPANS:
                periods[span, _start(time, span), happened] += number
    if counts:
        tx.many("add_count", ("queue", "state", "number"), _rows(counts))
        tx.change("drop_empty_counts")
    if periods:
        tx.many("add_period", ("span", "start_time", "counted", "number"), _rows(periods))
        tx.change("cull_periods", span=FINE, before=now - FINE_LIFETIME)
        tx.change("cull_periods", span=COARSE, before=now - COARSE_LIFETIME)
    return len(taken)


def _start(time: Instant, span: Span) -> Instant:
    """When the period of that length begins."""
    return time - time % span if span != EVER else 0


def read(tx: Transaction, now: Instant, since: str) -> Reading:
    """The statistics, and how many changes had to be added up for them."""
    folded = _folded(tx, now - 2 * HOUR, now - DAYS * DAY)
    changes = tx.all("recent_changes", fine=FINE, since=since)
    recent = _recent(changes)
    counts = tx.all("counts", since=since)
    ready = [(queue, first_time) for queue, _, _, first_time in tx.all("levels", queues=None)]
    (first,) = tx.one("first_unfolded", since=since) or ("0",)
    unfolded = sum(rows for *_, rows in changes)
    suspended: dict[str, Instant] = dict(tx.all("suspended_queues"))
    return Reading(summarise(now, counts, (*folded, *recent), ready, suspended), unfolded, first)


def days(tx: Transaction, now: Instant, since: str) -> list[Period]:
    """The UTC days on which something has happened, as far back as they are kept, oldest first."""
    folded = _folded(tx, now, now - COARSE_LIFETIME)
    recent = _recent(tx.all("recent_changes", fine=FINE, since=since))
    return summarise_days((*folded, *recent), now - COARSE_LIFETIME)


def _folded(tx: Transaction, fine_since: Instant, coarse_since: Instant) -> list[Happened]:
    rows = tx.all("periods", fine=FINE, coarse=COARSE, fine_since=fine_since, coarse_since=coarse_since)
    return [(span, start, what, number) for span, start, what, number in rows]


def _recent(changes: Sequence[Row]) -> list[Happened]:
    """What is not folded yet, in each of its periods."""
    told = [(time, what, number) for time, what, number, _ in changes if what is not None]
    return [(span, _start(time, span), what, number) for time, what, number in told for span in SPANS]


class Reading(NamedTuple):
    """Statistics, how many changes are not folded yet, and where the first of these is."""

    statistics: Statistics
    unfolded: int
    first: str


def _rows(counter: Counter[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """In one order everywhere, so that two who fold at the same time never wait for each other in a circle."""
    return [(*key, number) for key, number in sorted(counter.items()) if number]
