"""`headbox stats`: how the system is doing, as its statistics tell: what waits, what ended, how late starts were."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final

import rich_click as click

from headbox.cli.client import Client
from headbox.cli.connection import with_client
from headbox.cli.frame import sparkline, states_line
from headbox.cli.options import as_json
from headbox.cli.table import Column, Styled, cut_line, print_lines, print_table
from headbox.cli.task_table import STYLES
from headbox.cli.terminal import print_json, width_of
from headbox.cli.times import show_span

Statistics = Mapping[str, Any]

OUTCOMES: Final = ("finished", "error", "timed_out", "canceled", "reset")
PERIODS: Final = ("second", "minute", "hour", "total")
ENDED: Final = (
    Column("ENDED", 9, whole=True),
    Column("A SECOND", 8, whole=True, rank=3, right=True),
    Column("LAST MINUTE", 11, whole=True, rank=2, right=True),
    Column("LAST HOUR", 9, whole=True, rank=1, right=True),
    Column("EVER", 6, whole=True, rank=4, right=True),
)
STARTS: Final = (
    Column("STARTS", 9, whole=True),
    Column("COUNT", 8, whole=True, rank=1, right=True),
    Column("LATE", 6, whole=True, rank=2, right=True),
    Column("MEDIAN", 7, whole=True, rank=4, right=True),
    Column("95 %", 7, whole=True, rank=3, right=True),
    Column("WORST", 7, whole=True, rank=5, right=True),
)
QUEUES: Final = (
    Column("QUEUE", 12),
    Column("WAITING", 7, whole=True, rank=1, right=True),
    Column("RUNNING", 7, whole=True, rank=2, right=True),
    Column("RESET", 5, whole=True, rank=5, right=True),
    Column("SUSPENDED", 9, whole=True, rank=4, right=True),
    Column("OLDEST READY", 12, whole=True, rank=3, right=True),
)


@click.command()
@as_json
@with_client
def stats(client: Client, as_json: bool) -> None:
    """Show how many tasks are in each state and queue, how many ended and how late they started."""
    found = client.get("statistics/")
    if as_json:
        print_json(found)
        return
    width = width_of(sys.stdout)
    line = states_line(found)
    print_lines([cut_line(line, width) if width else line, chart(found, width or 80), []])
    print_table(ENDED, ended_rows(found))
    print()
    print_table(STARTS, starts_rows(found))
    print()
    print_table(QUEUES, map(queue_row, found["queues"]))


def chart(statistics: Statistics, width: int) -> list[Styled]:
    """The runs that ended in each of the last minutes."""
    ended = [sum(minute[outcome] for outcome in OUTCOMES[:-1]) for minute in statistics["minutes"]]
    label = "the last hour  "
    return [Styled(label, "dim"), Styled(sparkline(ended[-max(width - len(label), 1) :]), "green")]


def ended_rows(statistics: Statistics) -> list[tuple[Any, ...]]:
    """An outcome a row, with how many runs ended so."""
    periods = [statistics["throughput"][period] for period in PERIODS]
    return [
        (Styled(outcome, STYLES.get(outcome, "")), *(show_count(period[outcome]) for period in periods))
        for outcome in OUTCOMES
    ]


def show_count(count: Any) -> str:
    """A count in full, a mean with one digit."""
    return f"{count:,.1f}" if isinstance(count, float) else f"{count:,}"


def starts_rows(statistics: Statistics) -> list[tuple[str, ...]]:
    """How late scheduled runs started: in the last hour, and ever as far as that is kept."""
    rows = []
    for name, period in (("last hour", "hour"), ("ever", "total")):
        found = statistics["lateness"][period]
        shown = (show_known(found.get(f"{span}_seconds")) for span in ("p50", "p95", "max"))
        rows.append((name, f"{found['starts']:,}", f"{found['late']:,}", *shown))
    return rows


def queue_row(queue: Mapping[str, Any]) -> tuple[Any, ...]:
    """The cells of one queue."""
    name = Styled(f"{queue['name']} (suspended)", "yellow") if queue.get("is_suspended") else queue["name"]
    counts = (f"{queue[state]:,}" for state in ("waiting", "running", "reset", "suspended"))
    return name, *counts, show_known(queue["oldest_ready_seconds"])


def show_known(seconds: float | None) -> str:
    """A span, or nothing where there is none."""
    return "" if seconds is None else show_span(seconds)
