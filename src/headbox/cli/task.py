"""`headbox task`: what is in the tasking system, and what to do with it, over the HTTP API."""

from __future__ import annotations

import sys
from itertools import islice
from typing import Any, ClassVar, Final

import rich_click as click

from headbox.cli.client import PAGE, Client, segment
from headbox.cli.commands import Commands, Places
from headbox.cli.connection import with_client
from headbox.cli.filters import CANCEL, REMOVE, RESET, RESUME, SUSPEND, Verb, with_filters
from headbox.cli.options import as_json, completes, in_utc, task_id
from headbox.cli.table import Column, show_list
from headbox.cli.task_table import fields, known, show_tasks
from headbox.cli.terminal import print_fields, print_json

SHOWN: Final = 100

SNAPSHOT_COLUMNS: Final = (
    Column("TASK ID", 36, whole=True, rank=2),
    Column("STATE", 9, whole=True, rank=1),
    Column("METHOD", 10, rank=0),
    Column("SNAPSHOT ID", 36, whole=True, rank=3),
)


class Tasks(Commands):
    """Its larger commands are loaded when they are used."""

    places: ClassVar[Places] = {
        "enqueue": ("headbox.cli.enqueue:enqueue", "Enqueue a call, with arguments as JSON or text."),
        "watch": ("headbox.cli.watch:watch", "Watch tasks until they end, or whatever runs."),
    }


@click.group(cls=Tasks)
def task() -> None:
    """Enqueue, list, watch and change tasks."""


@task.command("list")
@with_filters
@click.option("--limit", type=click.IntRange(1), help=f"How many at most [default: {SHOWN}; all with --json].")
@as_json
@in_utc
@with_client
def list_tasks(client: Client, limit: int | None, as_json: bool, utc: bool, **filters: Any) -> None:
    """List tasks, the oldest first; archived runs by --state archived, the newest first."""
    from headbox.cli.meter import metered

    found = client.pages("tasks/", {**filters, **fields(as_json=as_json), "limit": min(limit or PAGE, PAGE)})
    if as_json:
        wanted = islice(found, limit)
        show_tasks(wanted if sys.stdout.isatty() else metered("reading tasks", wanted), as_json=True)
        return
    tasks = list(metered("reading tasks", islice(found, limit or SHOWN)))
    show_tasks(tasks, as_json=False, utc=utc)
    if next(found, None) is not None:
        click.echo(f"These are the first {len(tasks):,}; choose with --limit, --state, --name, …", err=True)


@task.command()
@task_id
@as_json
@in_utc
@with_client
def info(client: Client, id: str, as_json: bool, utc: bool) -> None:
    """Show all that is known about a task."""
    found = client.get(f"tasks/{segment(id)}/", {"fields": "all"})
    if as_json:
        print_json(found)
    else:
        print_fields(known(found, utc=utc))


@task.command()
@task_id
@as_json
@in_utc
@with_client
def runs(client: Client, id: str, as_json: bool, utc: bool) -> None:
    """List a task's runs that have ended, the newest first."""
    found = client.get(f"tasks/{segment(id)}/runs/", fields(as_json=as_json))
    show_tasks(found, as_json=as_json, utc=utc)


def change(verb: Verb, meaning: str) -> None:
    """Adds a command that changes the tasks that it is given, or that its filters find, one after the other."""

    @task.command(verb.name, help=f"{meaning}\n\nName them, or give filters: then it says how many it found, and asks.")
    @click.argument("ids", metavar="[ID]...", nargs=-1, shell_complete=completes("task_ids", verb.meant))
    @with_filters
    @click.option("--yes", "confirmed", is_flag=True, help="Do not ask.")
    @as_json
    @with_client
    def command(client: Client, ids: tuple[str, ...], confirmed: bool, as_json: bool, **filters: Any) -> int:
        from headbox.cli.changes import change_found, change_named

        chosen = {name: value for name, value in filters.items() if value}
        if bool(ids) == bool(chosen):
            raise click.UsageError(f"say what to {verb.name}: either ids, or filters such as --name")
        if ids:
            return change_named(client, verb, ids, as_json=as_json)
        return change_found(client, verb, chosen, confirmed=confirmed, as_json=as_json)


change(CANCEL, "Cancel tasks; of a schedule, its current occurrence.")
change(SUSPEND, "Hold tasks back until they are resumed.")
change(RESUME, "Let suspended tasks go on.")
change(RESET, "Run tasks that have ended again; of what filters find, only failures, unless --state says more.")
change(REMOVE, "Take tasks out of the system; a run in progress ends first.")


@task.command()
@task_id
@click.argument("schedule")
@as_json
@in_utc
@with_client
def reschedule(client: Client, id: str, schedule: str, as_json: bool, utc: bool) -> None:
    """Give a task another schedule, such as PT6H or 'cron: 30 2 * * * Europe/Paris'."""
    changed = client.put(f"tasks/{segment(id)}/schedule/", {"schedule": schedule}, fields(as_json=as_json))
    show_tasks([changed], as_json=as_json, utc=utc, header=False)


@task.command()
@as_json
@with_client
def snapshots(client: Client, as_json: bool) -> None:
    """List the snapshots of the runs in flight (super users)."""
    show_snapshots(client.get("tasks/snapshots/"), as_json=as_json)


@task.command()
@click.argument("id", shell_complete=completes("snapshots"))
@as_json
@with_client
def snapshot(client: Client, id: str, as_json: bool) -> None:
    """Show a task's snapshot; what is pickled in it stays pickled (super users)."""
    found = client.get(f"tasks/{segment(id)}/snapshot/")
    if as_json:
        print_json(found)
    else:
        print_fields((name, value) for name, value in found.items() if value is not None)


@task.command("delete-snapshot")
@click.argument("id", shell_complete=completes("snapshots"))
@as_json
@with_client
def delete_snapshot(client: Client, id: str, as_json: bool) -> None:
    """Delete a task's snapshot: its run goes on, but is not run again if its worker is lost (super users)."""
    show_snapshots([client.delete(f"tasks/{segment(id)}/snapshot/")], as_json=as_json)


def show_snapshots(snapshots: list[Any], *, as_json: bool) -> None:
    """The snapshots as a table, or as JSON."""
    show_list(
        snapshots,
        SNAPSHOT_COLUMNS,
        lambda shown: (shown["id"], shown["state"], shown["method_name"], shown.get("snapshot_id")),
        as_json=as_json,
    )
