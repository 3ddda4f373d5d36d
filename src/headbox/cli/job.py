"""`headbox job`: tasks that belong together, over the HTTP API."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import rich_click as click

from headbox.cli.client import Client, segment
from headbox.cli.connection import with_client
from headbox.cli.options import as_json, completes, in_utc
from headbox.cli.table import Column, show_list
from headbox.cli.task_table import fields, show_tasks
from headbox.cli.terminal import print_json

COLUMNS: Final = (
    Column("JOB", 36, whole=True, rank=0),
    Column("TASKS", 5, rank=1, right=True),
    Column("STATES", 20, rank=2),
)


@click.group()
def job() -> None:
    """List, show and cancel jobs."""


@job.command("list")
@as_json
@with_client
def list_jobs(client: Client, as_json: bool) -> None:
    """List the jobs that have current tasks."""
    show_list(client.get("jobs/"), COLUMNS, row, as_json=as_json)


@job.command()
@click.argument("id", shell_complete=completes("jobs"))
@as_json
@in_utc
@with_client
def info(client: Client, id: str, as_json: bool, utc: bool) -> None:
    """Show a job's current tasks."""
    found = client.get(f"jobs/{segment(id)}/", fields(as_json=as_json))
    if as_json:
        print_json(found)
    else:
        show_tasks(found["tasks"], as_json=False, utc=utc)


@job.command()
@click.argument("id", shell_complete=completes("jobs"))
@as_json
@with_client
def cancel(client: Client, id: str, as_json: bool) -> None:
    """Cancel a job's tasks; those that had ended before stay as they are."""
    answer = client.post(f"jobs/{segment(id)}/cancel/", query=fields(as_json=as_json))
    if as_json:
        print_json(answer)
    else:
        show_tasks([*answer["completed"], *answer["cancelled"]], as_json=False)


def row(job: Any) -> tuple[Any, ...]:
    """The cells of one job."""
    states = Counter(task["state"] for task in job["tasks"])
    return job["id"], len(job["tasks"]), ", ".join(f"{count} {state}" for state, count in states.items())
