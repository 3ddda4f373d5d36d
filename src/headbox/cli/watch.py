"""`headbox task watch`: live progress bars of what runs, or of the tasks that are named, until they end."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import rich_click as click

from headbox.cli.client import Client, Refused, segment
from headbox.cli.connection import with_client
from headbox.cli.options import completes
from headbox.cli.progress import bar, describe, measures
from headbox.cli.region import Region, can_draw, live_region, shorten
from headbox.cli.table import Column, Line, Styled, cut_line, lay_out
from headbox.cli.task_table import COMPLETE, FAILURES, FIELDS, Task, call_text, show_tasks, state_cell, when
from headbox.cli.terminal import compact, print_json, printable
from headbox.cli.times import local_now, show_span


class Look(NamedTuple):
    """What is to be seen at one moment: the tasks as they are, those that have ended since the last look, and whether
    there are more than are shown."""

    tasks: list[Task]
    ended: list[Task]
    more: bool = False


PAUSE: Final = 0.25  # seconds between two looks
LONG: Final = 30  # seconds that one look may wait for an end
PATIENCE: Final = 60.0  # seconds that a server may be away, as while it restarts
SHOWN: Final = 20  # tasks at a time
ALL: Final = f"{FIELDS},result,traceback"
RECURRING: Final = ("interval", "cron")
BARS: Final = ((80, 30), (60, 16), (0, 8))  # from so many columns on, a bar is so long
LINES: Final = (
    Column("STATE", 7, whole=True, rank=2),
    Column("TASK", 12, rank=0),
    Column("BAR", 8, whole=True, rank=1),
    Column("NOTE", 8, rank=3),
)


@click.command()
@click.argument("ids", metavar="[ID...]", nargs=-1, shell_complete=completes("task_ids", ("incomplete",)))
@click.option("--follow", "-f", is_flag=True, help="Until the tasks have ended, as is done whenever some are named.")
@click.option("--json", "as_json", is_flag=True, help="Print each task as JSON, a line each, once it has ended.")
@with_client
def watch(client: Client, ids: tuple[str, ...], follow: bool, as_json: bool) -> int | None:
    """Watch the tasks until they end, and exit 1 if one failed; without an ID, watch whatever runs until Ctrl-C."""
    if follow and not ids:
        raise click.UsageError("say which tasks to follow: give their ids")
    if ids:
        return report_end(follow_all(client, ids), as_json=as_json)
    display(client, watch_running(client), as_json=as_json)
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


def follow_all(client: Client, ids: Sequence[str], first_runs: Mapping[str, int] | None = None) -> list[Task]:
    """The tasks as they ended, in the order of `ids`, once all have; shows their progress meanwhile. `first_runs`: the
    runs that were next when a schedule was last heard of, where not the first look is to say."""
    ended: dict[str, Task] = {}
    display(client, follow_each(client, ids, ended, dict(first_runs or {})))
    return [ended[id] for id in ids]


def follow_each(
    client: Client, ids: Sequence[str], ended: dict[str, Task], first_runs: dict[str, int]
) -> Iterator[Look]:
    """Looks at the tasks until all have ended, and puts into `ended` how each did."""
    while True:
        seen = {id: ended[id] if id in ended else look(client, id) for id in ids}
        for id, task in seen.items():
            first = first_runs.setdefault(id, task["run"])
            if id not in ended and (end := end_of(client, task, first)):
                ended[id] = seen[id] = end
        yield Look(list(seen.values()), [])
        if len(ended) == len(seen):
            return
        rest(client, [task for id, task in seen.items() if id not in ended])


def rest(client: Client, tasks: Sequence[Task]) -> None:
    """Waits until it is time for another look at the tasks: where nobody sees them run, until one of them ends."""
    task = tasks[0]
    if can_draw() or task["scheduler"] in RECURRING:
        time.sleep(PAUSE)
    else:
        client.get(f"tasks/{segment(task['id'])}/", {"fields": "id", "wait": LONG}, wait=LONG)


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
        running, more = client.first("tasks/", query, SHOWN)
        client.patience = PATIENCE
        now = {task["id"]: task["run"] for task in running}
        gone = [(id, run) for id, run in before.items() if now.get(id) != run]
        before = now
        yield Look(running, [end for id, run in gone if (end := end_if_known(client, id, run))], more)
        time.sleep(PAUSE)


def end_if_known(client: Client, id: str, run: int) -> Task | None:
    """How the run ended; None where the task goes on, or has left the history already."""
    try:
        return end_of(client, look(client, id), run)
    except Refused as error:
        if error.status == 404:
            return None
        raise


class Display:
    """Shows each look in place of the last, where there is a terminal."""

    def __init__(self, region: Region | None) -> None:
        self._region = region
        self._tasks: Sequence[Task] = ()
        self._away_since: float | None = None

    def show(self, tasks: Sequence[Task], *, more: bool) -> None:
        """Shows the tasks, as the server has just told."""
        self._tasks, self._away_since = tasks, None
        self._draw([[Styled(f"and more than these {len(tasks)}", "dim")]] if more else [])

    def say_away(self, error: Refused) -> None:
        """Shows that the server does not answer, below what it last told."""
        self._away_since = self._away_since or time.monotonic()
        away = show_span(time.monotonic() - self._away_since)
        self._draw([[Styled(printable(f"no answer for {away}: {error.message}"), "red")]])

    def hide(self) -> None:
        """Makes room for what is printed for good."""
        if self._region is not None:
            self._region.clear()

    def _draw(self, below: list[Line]) -> None:
        if self._region is None:
            return
        columns, rows = self._region.size()
        shown = bars(self._tasks, columns, local_now()) if self._tasks else [[Styled("nothing runs now", "dim")]]
        lines = [*shorten(shown, max(rows - 1 - len(below), 1)), *below]
        self._region.draw([cut_line(line, columns) for line in lines])


def display(client: Client, looks: Iterator[Look], *, as_json: bool = False) -> None:
    """Shows each look, if stderr is a terminal; what has ended is printed for good."""
    with live_region() as region:
        shown = Display(region)
        client.on_away = shown.say_away
        for tasks, ended, more in looks:
            if ended:
                shown.hide()
            for task in ended:
                show_end(task, as_json=as_json)
            shown.show(tasks, more=more)


def bars(tasks: Sequence[Task], columns: int, now: datetime) -> list[Line]:
    """What runs, a line a task and a bar for each thing it measures."""
    size = next(size for least, size in BARS if columns >= least)
    rows: list[Line] = []
    for task in tasks:
        found = measures(task["progress"])
        note = "" if found else describe(task["progress"])
        title = [state_cell(task["state"]), Styled(call_text(task), ""), Styled(when(task, now), "")]
        rows.append([*title, Styled(note, "dim")])
        for measure in found:
            shown = "" if measure.fraction is None else bar(measure.fraction, size)
            rows.append(
                [Styled("", ""), Styled(f"  {measure.name}", ""), Styled(shown, "cyan"), Styled(str(measure), "")]
            )
    return lay_out(LINES, rows, columns)
