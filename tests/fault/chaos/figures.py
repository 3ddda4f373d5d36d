"""The figures of a run, as text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from statistics import median

from tests.fault.chaos.engine import Outcome


def lines(outcome: Outcome) -> Iterator[str]:
    """What `make chaos` prints."""
    plan, verdict = outcome.plan, outcome.verdict
    yield f"chaos on {plan.database}, seed {plan.seed}: {outcome.seconds:.0f} s, {len(outcome.periods)} faults"
    yield from (f"  {name:<66}{number:>10,}" for name, number in verdict.figures.items())
    yield ""
    yield from _faults(outcome)
    yield ""
    if verdict.violations:
        yield f"NOT KEPT, see {outcome.folder}:"
        yield from verdict.violations
    else:
        yield "every promise was kept"


def _faults(outcome: Outcome) -> Iterator[str]:
    """A line for each kind: how often, how long it lasted, how soon the next finish was recorded, what was lost."""
    seconds = defaultdict(list)
    for period in outcome.periods:
        seconds[period.kind].append(((period.end - period.begin) / 1e6, (period.recovered - period.end) / 1e6))
    heads = f"{'times':>6}{'longest':>9}{'next finish: median':>21}{'worst':>8}{'runs lost':>11}{'reset within':>14}"
    yield f"  {'fault':<38}{heads}"
    for kind, measured in sorted(seconds.items()):
        lasted, after = zip(*measured, strict=True)
        rescues = outcome.verdict.rescues.get(kind, [])
        slowest = f"{max(rescues) / 1e6:.2f} s" if rescues else ""
        yield (
            f"  {kind:<38}{len(measured):>6}{max(lasted):>7.1f} s{median(after):>19.2f} s{max(after):>6.2f} s"
            f"{len(rescues):>11}{slowest:>14}"
        )
