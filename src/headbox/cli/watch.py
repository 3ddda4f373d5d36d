"""`headbox task watch`: live progress bars of what runs, or of the tasks that are named, until they end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import rich_click as click

from headbox.cli.client import Client, Refused, segment
from headbox.cli.connection import with_client
from headbox.cli.progress import describe, measures
from headbox.cli.task_table import COMPLETE, FAILURES, FIELDS, Task, call_text, show_tasks, state_text, when
from headbox.cli.terminal import compact, console, local_now, print_json, print_json_list, printable

if TYPE_CHECKING:
    from rich.console import RenderableType

T = TypeVar("T")

PAUSE: Final = 0.25  # seconds between two looks
PATIENCE: Final = 15.0  # seconds that a server may be away, as while it restarts
SHOWN: Final = 20  # tasks at a time
RECURRING: Final = ("interval", "cron")


@click.command()
@click.argument("ids", metavar="[ID...]", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print each task as JSON once it has ended.")
@with_client
def watch(client: Client, ids: tuple[str, ...], as_json: bool) -> int | None:
    """Watch the tasks until they end, and exit 1 if one failed; without an ID, watch whatever runs until Ctrl-C."""
    if ids:
        return report_end(follow(client, ids), as_json=as_json)
    display(watch_running(client, as_json=as_json))
    return None


def report_end(ended: Sequence[Task], *, as_json: bool) -> int:
    """Shows how tasks ended, with the result or the error of each. The exit status that says so."""
    if as_json:
        print_json(ended[0]) if len(ended) == 1 else print_json_list(ended)
    else:
        for task in ended:
            show_tasks([task], as_json=False, header=False)
            if task["state"] in FAILURES:
                click.echo(printable(task["traceback"] or task["exception"] or "", lines=True).rstrip(), err=True)
            elif task["result"] is not None:
                print(compact(task["result"]))
    return int(any(task["state"] in FAILURES for task in ended))


def follow(client: Client, ids: Sequence[str]) -> list[Task]:
    """The tasks as they ended, in the order of `ids`, once all have; shows their progress meanwhile."""
    ended: dict[str, Task] = {}
    display(follow_each(client, ids, ended))
    return [ended[id] for id in ids]


def follow_each(client: Client, ids: Sequence[str], ended: dict[str, Task]) -> Iterator[list[Task]]:
    """Looks at the tasks until all have ended: gives them as they are, and puts into `ended` how they ended."""
    first_runs: dict[str, int] = {}
    while True:
        seen = {id: ended[id] if id in ended else look(client, id) for id in ids}
        for id, task in seen.items():
            first = first_runs.setdefault(id, task["run"])
            if id not in ended and (end := end_of(client, task, first)):
                ended[id] = seen[id] = end
        yield list(seen.values())
        if len(ended) == len(seen):
            return
        time.sleep(PAUSE)


def look(client: Client, id: str) -> Task:
    """The task as it is now."""
    task: Task = patiently(lambda: client.get(f"tasks/{segment(id)}/", {"fields": f"{FIELDS},result,traceback"}))
    return task


def end_of(client: Client, task: Task, first: int) -> Task | None:
    """How the task ended; of a schedule, how the occurrence ended that was run `first`. None: it has not yet."""
    if task["state"] in COMPLETE:
        return task
    if task["scheduler"] not in RECURRING or task["run"] == first:
        return None
    query = {"fields": f"{FIELDS},result,traceback"}
    runs = patiently(lambda: client.get(f"tasks/{segment(task['id'])}/runs/", query))
    ends = [run for run in runs if run["run"] >= first and run["state"] in COMPLETE]
    return ends[-1] if ends else None


def watch_running(client: Client, *, as_json: bool) -> Iterator[list[Task]]:
    """Gives what runs, again and again; what has ended meanwhile is printed for good."""
    before: dict[str, int] = {}
    query = {"state": "running", "fields": FIELDS}
    while True:
        running, _ = patiently(lambda: client.first("tasks/", query, SHOWN))
        now = {task["id"]: task["run"] for task in running}
        for id, run in before.items():
            if now.get(id) != run and (end := end_of(client, look(client, id), run)):
                show_tasks([end], as_json=as_json, header=False)
        before = now
        yield running
        time.sleep(PAUSE)


def patiently(ask: Callable[[], T]) -> T:
    """What `ask` gives, asked again while the server is away for a short time."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return ask()
        except Refused as error:
            if error.status not in (None, 503) or time.monotonic() > deadline:
                raise
        time.sleep(PAUSE)


def display(looks: Iterator[list[Task]]) -> None:
    """Shows each look in place of the last, on a terminal; without one, only takes them."""
    if not sys.stderr.isatty():
        for _ in looks:
            pass
        return
    from rich.live import Live

    with Live(console=console(stderr=True), auto_refresh=False, transient=True, redirect_stdout=True) as live:
        for tasks in looks:
            live.update(bars(tasks), refresh=True)


def bars(tasks: Sequence[Task]) -> RenderableType:
    """What runs, a line a task and a bar for each thing it measures."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    now = local_now()
    table = Table.grid(padding=(0, 2, 0, 0))
    for task in tasks:
        found = measures(task["progress"])
        note = "" if found else describe(task["progress"])
        table.add_row(state_text(task["state"]), _cut(call_text(task)), Text(when(task, now)), _cut(note))
        for measure in found:
            bar = ProgressBar(measure.total, measure.done, width=30, pulse=measure.total is None)
            table.add_row("", Text(f"  {measure.name}"), bar, Text(str(measure)))
    return table if tasks else Text("nothing runs; Ctrl-C ends this", style="dim")


def _cut(text: str) -> Any:
    from rich.text import Text

    return Text(text, no_wrap=True, overflow="ellipsis")
