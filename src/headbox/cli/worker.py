"""`headbox worker`: who runs the tasks, over the HTTP API."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import rich_click as click

from headbox.cli.client import Client
from headbox.cli.connection import with_client
from headbox.cli.task_table import seconds_between
from headbox.cli.terminal import Column, local_now, show_list, show_span, show_time

COLUMNS: Final = (
    Column("HOST", 8),
    Column("PID", 7, whole=True),
    Column("APP", 12),
    Column("QUEUES", 8),
    Column("CHILDREN", 8),
    Column("STARTED", 12),
    Column("HEARD OF", 9),
    Column("ID", 36, whole=True),
)


@click.group()
def worker() -> None:
    """List the workers."""


@worker.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
@click.option("--utc", is_flag=True, help="Show times exactly, in UTC.")
@with_client
def list_workers(client: Client, as_json: bool, utc: bool) -> None:
    """List the workers that are registered, and when each was last heard of."""
    now = local_now()
    show_list(client.get("workers/"), COLUMNS, lambda worker: row(worker, now, utc=utc), as_json=as_json)


def row(worker: Any, now: datetime, *, utc: bool) -> tuple[Any, ...]:
    """The cells of one worker."""
    heard = worker["heartbeat_time"]
    return (
        worker["host"],
        worker["pid"],
        worker["app"] or "housekeeping only",
        ", ".join(worker["queues"]) or "all",
        worker["concurrency"],
        show_time(worker["start_time"], now, utc=utc),
        show_time(heard, now, utc=True) if utc else f"{show_span(seconds_between(heard, now))} ago",
        worker["id"],
    )
