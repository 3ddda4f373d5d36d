"""`headbox task watch`: live progress bars of what runs, or of the tasks that are named, until they end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import rich_click as click

from headbox.cli.client import Client, segment
from headbox.cli.connection import with_client
from headbox.cli.progress import describe, measures
from headbox.cli.task_table import COMPLETE, FAILURES, FIELDS, Task, call_text, show_tasks, state_cell, when
from headbox.cli.terminal import compact, console, print_json, printable
from headbox.cli.times import local_now

if TYPE_CHECKING:
    from rich.console import RenderableType


class Look(NamedTuple):
    """What is to be seen at one moment: the tasks as they are, and those that have ended since the last look."""

    tasks: list[Task]
    ended: list[Task]


PAUSE: Final = 0.25  # seconds between two looks
PATIENCE: Final = 15.0  # seconds that a server may be away, as while it restarts
SHOWN: Final = 20  # tasks at a time
ALL: Final = f"{FIELDS},result,traceback"
RECURRING: Final = ("interval", "cron")


@click.command()
@click.argument("ids", metavar="[ID...]", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print each task as JSON once it has ended.")
@with_client
def watch(client: Client, ids: tuple[str, ...], as_json: bool) -> int | None:
    """Watch the tasks until they end, and exit 1 if one failed; without an ID, watch whatever runs until Ctrl-C."""
    if ids:
        return report_end(follow(client, ids), as_json=as_json)
    display(watch_running(client), as_json=as_json)
    return None


def report_end(ended: Sequence[Task], *, as_json: bool) -> int:
    """Shows how tasks ended, with the result or the error of each. The exit status that says so."""
    for task in ended:
        show_end(task, as_json=as_json)
        if as_json:
            continue
        if task["state"] in FAILURES and (reason := task["traceback"] or task["exception"]):
            click.echo(printable(reason, lines=True).rstrip(), err=True)
        elif task["result"] is not None:
            print(compact(task["result"]))
    return int(any(task["state"] in FAILURES for task in ended))


def show_end(task: Task, *, as_json: bool) -> None:
    """One line for a task that has ended."""
    if as_json:
        print_json(task, indent=None)
    else:
        show_tasks([task], as_json=False, header=False)


def follow(client: Client, ids: Sequence[str]) -> list[Task]:
    """The tasks as they ended, in the order of `ids`, once all have; shows their progress meanwhile."""
    ended: dict[str, Task] = {}
    display(follow_each(client, ids, ended))
    return [ended[id] for id in ids]


def follow_each(client: Client, ids: Sequence[str], ended: dict[str, Task]) -> Iterator[Look]:
    """Looks at the tasks until all have ended, and puts into `ended` how each did."""
    first_runs: dict[str, int] = {}
    while True:
        seen = {id: ended[id] if id in ended else look(client, id) for id in ids}
        for id, task in seen.items():
            first = first_runs.setdefault(id, task["run"])
            if id not in ended and (end := end_of(client, task, first)):
                ended[id] = seen[id] = end
        yield Look(list(seen.values()), [])
        if len(ended) == len(seen):
            return
        time.sleep(PAUSE)


def look(client: Client, id: str) -> Task:
    """The task as it is now."""
    task: Task = client.get(f"tasks/{segment(id)}/", {"fields": ALL})
    client.patience = PATIENCE  # now that it was there, it may be away while it restarts
    return task


def end_of(client: Client, task: Task, first: int) -> Task | None:
    """How the task ended; of a schedule, how the occurrence ended that was run `first`. None: it has not yet."""
    if task["state"] in COMPLETE:
        return task
    if task["scheduler"] not in RECURRING or task["run"] == first:
        return None
    runs = client.get(f"tasks/{segment(task['id'])}/runs/", {"fields": ALL})
    ends = [run for run in runs if run["run"] >= first and run["state"] in COMPLETE]
    return ends[-1] if ends else None


def watch_running(client: Client) -> Iterator[Look]:
    """Looks at whatever runs, without end."""
    before: dict[str, int] = {}
    query = {"state": "running", "fields": FIELDS}
    while True:
        running, _ = client.first("tasks/", query, SHOWN)
        client.patience = PATIENCE
        now = {task["id"]: task["run"] for task in running}
        gone = [(id, run) for id, run in before.items() if now.get(id) != run]
        before = now
        yield Look(running, [end for id, run in gone if (end := end_of(client, look(client, id), run))])
        time.sleep(PAUSE)


def display(looks: Iterator[Look], *, as_json: bool = False) -> None:
    """Shows each look in place of the last, if stderr is a terminal; what has ended is printed for good."""
    with live_display() as show:
        for tasks, ended in looks:
            if ended:
                show("")
            for task in ended:
                show_end(task, as_json=as_json)
            show(bars(tasks) if tasks else "nothing runs now")


@contextmanager
def live_display() -> Iterator[Callable[[RenderableType], None]]:
    """Gives a function that shows something in place of what it showed before; it does nothing without a terminal."""
    if not sys.stderr.isatty():
        yield lambda shown: None
        return
    from rich.live import Live

    screen = console(stderr=True)
    with Live(console=screen, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False) as live:
        yield lambda shown: live.update(shown, refresh=True)


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
        table.add_row(Text(*state_cell(task["state"])), _cut(call_text(task)), Text(when(task, now)), _cut(note))
        for measure in found:
            bar = ProgressBar(measure.total, measure.done, width=30, pulse=measure.total is None)
            table.add_row("", Text(f"  {measure.name}"), bar, Text(str(measure)))
    return table


def _cut(text: str) -> Any:
    from rich.text import Text

    return Text(text, no_wrap=True, overflow="ellipsis")
