"""`headbox task`: what is in the tasking system, and what to do with it, over the HTTP API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import rich_click as click

from headbox.cli.client import Client, segment
from headbox.cli.connection import with_client
from headbox.cli.enqueue import enqueue
from headbox.cli.task_table import fields, known, show_tasks
from headbox.cli.terminal import Column, print_fields, print_json, show_list
from headbox.cli.watch import watch

SHOWN: Final = 100

# option -> the API's filter, what it means
FILTERS: Final = {
    "--state": ("state", "waiting, running, complete, incomplete, current, archived, or a single state."),
    "--name": ("method_name", "The bare name of what is called."),
    "--class-name": ("class_name", "The class of what is called."),
    "--job": ("job_id", "A job's id."),
    "--queue": ("queue", "A queue's name."),
    "--owner": ("owner", "The user who enqueued it."),
    "--outcome": ("outcome", "How an archived run ended."),
    "--scheduled-before": ("scheduled_before", "A time, such as 2026-12-01T06:00:00Z."),
    "--scheduled-after": ("scheduled_after", "A time, such as 2026-12-01T06:00:00Z."),
}
SINGLE: Final = ("--scheduled-before", "--scheduled-after")

SNAPSHOT_COLUMNS: Final = (
    Column("TASK ID", 36, whole=True),
    Column("STATE", 9, whole=True),
    Column("METHOD", 10),
    Column("SNAPSHOT ID", 36, whole=True),
)

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
in_utc = click.option("--utc", is_flag=True, help="Show times exactly, in UTC.")


def with_filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command the filters of `GET /tasks/`; each but the times may be repeated."""
    for option, (parameter, meaning) in reversed(FILTERS.items()):
        command = click.option(option, parameter, multiple=option not in SINGLE, help=meaning)(command)
    return command


@click.group()
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
    query = {**filters, **fields(as_json=as_json)}
    if as_json and limit is None:
        show_tasks(client.pages("tasks/", query), as_json=True)
        return
    tasks, more = client.first("tasks/", query, limit or SHOWN)
    show_tasks(tasks, as_json=as_json, utc=utc)
    if more:
        click.echo(f"These are the first {len(tasks)}; choose with --limit, --state, --name, …", err=True)


@task.command()
@click.argument("id")
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
@click.argument("id")
@as_json
@in_utc
@with_client
def runs(client: Client, id: str, as_json: bool, utc: bool) -> None:
    """List a task's runs that have ended, the newest first."""
    found = client.get(f"tasks/{segment(id)}/runs/", fields(as_json=as_json))
    show_tasks(found, as_json=as_json, utc=utc)


def change(name: str, meaning: str, ask: Callable[[Client, str, Any], Any]) -> None:
    """Adds a command that changes the tasks it is given, one after the other, and shows each as it is then."""

    @task.command(name, help=meaning)
    @click.argument("ids", metavar="ID...", nargs=-1, required=True)
    @as_json
    @with_client
    def command(client: Client, ids: tuple[str, ...], as_json: bool) -> None:
        query = fields(as_json=as_json)
        show_tasks((ask(client, f"tasks/{segment(id)}/", query) for id in ids), as_json=as_json, header=False)


def post(verb: str) -> Callable[[Client, str, Any], Any]:
    """The call that does `verb` to a task."""
    return lambda client, path, query: client.post(f"{path}{verb}/", query=query)


change("suspend", "Hold tasks back until they are resumed.", post("suspend"))
change("resume", "Let suspended tasks go on.", post("resume"))
change("reset", "Run tasks that have ended again.", post("reset"))
change("remove", "Take tasks out of the system; a run in progress ends first.", Client.delete)


@task.command()
@click.argument("ids", metavar="[ID...]", nargs=-1)
@with_filters
@as_json
@with_client
def cancel(client: Client, ids: tuple[str, ...], as_json: bool, **filters: Any) -> None:
    """Cancel tasks, by id or all that the filters find; of a schedule, its current occurrence."""
    chosen = {name: value for name, value in filters.items() if value}
    if bool(ids) == bool(chosen):
        raise click.UsageError("say what to cancel: either ids, or filters such as --name")
    query = fields(as_json=as_json)
    if chosen:
        canceled = client.post("tasks/cancel/", query=chosen | query)
    else:
        canceled = (post("cancel")(client, f"tasks/{segment(id)}/", query) for id in ids)
    show_tasks(canceled, as_json=as_json, header=False)


@task.command()
@click.argument("id")
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
@click.argument("id")
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
@click.argument("id")
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


task.add_command(enqueue)
task.add_command(watch)
