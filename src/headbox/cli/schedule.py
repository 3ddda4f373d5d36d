"""`headbox schedule`: what a schedule means, before it is put to use."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import rich_click as click

from headbox.cli.options import as_json, in_utc
from headbox.cli.terminal import print_json_list
from headbox.cli.times import relative
from headbox.clock import SystemClock
from headbox.domain.iso8601 import format_instant, time_of
from headbox.domain.preview import upcoming
from headbox.domain.schedulers import CronScheduler, Scheduler, parse_schedule
from headbox.domain.task import SECOND, Instant

if TYPE_CHECKING:
    from datetime import tzinfo


@click.group()
def schedule() -> None:
    """Preview what a schedule means."""


@schedule.command()
@click.argument("expression")
@click.option("--count", type=click.IntRange(1, 1000), default=10, show_default=True, help="How many times.")
@as_json
@in_utc
def preview(expression: str, count: int, as_json: bool, utc: bool) -> None:
    """Print the next times of EXPRESSION, such as 'cron: 30 2 * * * Europe/Paris'."""
    scheduler = parse_schedule(expression)
    now = SystemClock().now()
    times = islice(upcoming(scheduler, now), count)
    if as_json:
        print_json_list(map(format_instant, times))
        return
    zone = zone_of(scheduler)
    for time in times:
        print(format_instant(time) if utc else f"{show(time, zone)}  {relative(max(time - now, 0) / SECOND)}")


def show(time: Instant, zone: tzinfo | None) -> str:
    """The instant on the wall clock of a zone; in UTC where the calendar of that zone has already ended."""
    try:
        return f"{time_of(time).astimezone(zone):%a %d %b %Y %H:%M:%S %Z}"
    except OverflowError:
        return format_instant(time)


def zone_of(scheduler: Scheduler) -> tzinfo | None:
    """The zone of a cron schedule; None, the machine's own, for any other."""
    from headbox.domain.cron import find_zone

    return find_zone(scheduler.timezone) if isinstance(scheduler, CronScheduler) else None
