"""`headbox worker`: who runs the tasks, over the HTTP API."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import rich_click as click

from headbox.cli.client import Client
from headbox.cli.connection import with_client
from headbox.cli.options import as_json, in_utc
from headbox.cli.table import Column, show_list
from headbox.cli.times import local_now, show_time

COLUMNS: Final = (
    Column("HOST", 8, rank=0),
    Column("PID", 5, whole=True, rank=2),
    Column("APP", 8, rank=4),
    Column("QUEUES", 6, rank=3),
    Column("RUNNING", 7, whole=True, rank=5),
    Column("LOAD", 5, whole=True, rank=2),
    Column("STARTED", 8, rank=6),
    Column("HEARD OF", 8, rank=1),
    Column("ID", 36, whole=True, rank=7),
)


@click.group()
def worker() -> None:
    """List the workers."""


@worker.command("list")
@as_json
@in_utc
@with_client
def list_workers(client: Client, as_json: bool, utc: bool) -> None:
    """List the workers that are registered: how many runs each holds, how much of its concurrency their weights take,
    and when it was last heard of."""
    now = local_now()
    show_list(client.get("workers/"), COLUMNS, lambda worker: row(worker, now, utc=utc), as_json=as_json)


def row(worker: Any, now: datetime, *, utc: bool) -> tuple[Any, ...]:
    """The cells of one worker."""
    return (
        worker["host"],
        worker["pid"],
        worker["app"] or "housekeeping only",
        ", ".join(worker["queues"]) or "all",
        worker.get("running", "-"),
        f"{worker.get('weight', '-')}/{worker['concurrency']}",
        show_time(worker["start_time"], now, utc=utc),
        show_time(worker["heartbeat_time"], now, utc=utc),
        worker["id"],
    )
