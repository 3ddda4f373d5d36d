"""`headbox queue`: what waits in which queue, and whether anything of it may start, over the HTTP API."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import rich_click as click

from headbox.cli.client import Client, segment
from headbox.cli.connection import with_client
from headbox.cli.options import as_json, completes, in_utc
from headbox.cli.table import Column, Styled, show_list
from headbox.cli.terminal import print_json
from headbox.cli.times import local_now, show_span, show_time

COLUMNS: Final = (
    Column("QUEUE", 12, rank=0),
    Column("WAITING", 7, rank=1, right=True),
    Column("RUNNING", 7, rank=2, right=True),
    Column("RESET", 5, rank=5, right=True),
    Column("SUSPENDED", 9, rank=6, right=True),
    Column("OLDEST", 8, rank=4, right=True),
    Column("WORKERS", 7, rank=3, right=True),
    Column("SINCE", 8, rank=7),
)


@click.group()
def queue() -> None:
    """List queues, suspend and resume them."""


@queue.command("list")
@as_json
@in_utc
@with_client
def list_queues(client: Client, as_json: bool, utc: bool) -> None:
    """List the queues that have tasks, are suspended or are named by a worker."""
    now = local_now()
    show_list(client.get("queues/"), COLUMNS, lambda queue: row(queue, now, utc=utc), as_json=as_json)


@queue.command()
@click.argument("name", shell_complete=completes("queues"))
@as_json
@with_client
def suspend(client: Client, name: str, as_json: bool) -> None:
    """Let nothing of a queue start until it is resumed; what runs goes on."""
    _show(client.post(f"queues/{segment(name)}/suspend/"), as_json=as_json)


@queue.command()
@click.argument("name", shell_complete=completes("queues"))
@as_json
@with_client
def resume(client: Client, name: str, as_json: bool) -> None:
    """Let what waits in a queue start again."""
    _show(client.post(f"queues/{segment(name)}/resume/"), as_json=as_json)


def _show(queue: Any, *, as_json: bool) -> None:
    if as_json:
        print_json(queue)
    else:
        now = local_now()
        show_list([queue], COLUMNS, lambda one: row(one, now, utc=False), as_json=False)


def row(queue: Any, now: datetime, *, utc: bool) -> tuple[Any, ...]:
    """The cells of one queue."""
    oldest, since = queue["oldest_ready_seconds"], queue["suspend_time"]
    return (
        queue["name"],
        queue["waiting"],
        queue["running"],
        queue["reset"],
        queue["suspended"],
        "" if oldest is None else show_span(oldest),
        queue["workers"],
        "" if since is None else Styled(f"suspended {show_time(since, now, utc=utc)}", "yellow"),
    )
