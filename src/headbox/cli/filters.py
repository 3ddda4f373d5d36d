"""The filters of `GET /tasks/` as options, and the tasks that they find for a change of many."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import rich_click as click

from headbox.cli.client import Client
from headbox.cli.options import completes, one_of
from headbox.cli.task_table import COMPLETE

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
    "--finished-before": ("finished_before", "A time; of archived runs with --state archived."),
    "--finished-after": ("finished_after", "A time; of archived runs with --state archived."),
    "--text": ("text", "Text in its id, names, job, arguments or exception, in either case."),
}
SINGLE: Final = ("--scheduled-before", "--scheduled-after", "--finished-before", "--finished-after", "--text")
STATES: Final = ("waiting", "running", "suspended", "reset", *COMPLETE)
GROUPS: Final = ("incomplete", "complete", "current", "archived")
COMPLETERS: Final[Mapping[str, Any]] = {
    "--state": one_of((*STATES, *GROUPS)),
    "--outcome": one_of((*COMPLETE, "reset")),
    "--name": completes("callables"),
    "--queue": completes("queues"),
    "--job": completes("jobs"),
}
PAGE: Final = 5000  # tasks in one answer, where only their ids are asked for
READY: Final = ("waiting", "reset")


class Verb(NamedTuple):
    """A change of tasks: how it is called once it is done, the states that allow it, and which of them are meant where
    no filter names a state."""

    name: str
    done: str
    allowed: tuple[str, ...]
    meant: tuple[str, ...]


INCOMPLETE: Final = (*READY, "suspended", "running")
CANCEL: Final = Verb("cancel", "canceled", INCOMPLETE, ("incomplete",))
SUSPEND: Final = Verb("suspend", "suspended", (*READY, "running"), ("incomplete",))
RESUME: Final = Verb("resume", "resumed", ("suspended",), ("suspended",))
RESET: Final = Verb("reset", "reset", COMPLETE, ("error", "timed_out"))
REMOVE: Final = Verb("remove", "removed", INCOMPLETE, ("incomplete",))


def with_filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command the filters of `GET /tasks/`; each but the times and the text may be repeated."""
    for option, (parameter, meaning) in reversed(FILTERS.items()):
        completer = COMPLETERS.get(option)
        repeated = option not in SINGLE
        command = click.option(option, parameter, multiple=repeated, shell_complete=completer, help=meaning)(command)
    return command


def find(client: Client, verb: Verb, filters: Mapping[str, Any], *, confirmed: bool) -> list[str]:
    """The ids of the tasks that the filters find and that allow the change, once somebody has confirmed it."""
    from headbox.cli.meter import metering

    states: dict[str, str] = {}
    query = {"state": verb.meant, **filters, "fields": "id,state,final", "limit": PAGE}
    with metering("finding tasks") as meter:
        for task in client.pages("tasks/", query):
            meter.advance()
            if task["state"] in verb.allowed and (task["final"] or task["state"] not in COMPLETE):
                states[task["id"]] = task["state"]
    if states and not confirmed:
        confirm(describe(verb, states))
    return list(states)


def describe(verb: Verb, states: Mapping[str, str]) -> str:
    """What is about to be done: `cancel 3 tasks (2 waiting, 1 running)`."""
    counted = ", ".join(f"{count:,} {state}" for state, count in Counter(states.values()).most_common())
    return f"{verb.name} {count_tasks(len(states))} ({counted})"


def count_tasks(count: int) -> str:
    """`1 task`, `1,234 tasks`."""
    return f"{count:,} task{'s' if count != 1 else ''}"


def confirm(question: str) -> None:
    """Asks whether that is meant; ends the command if it is not, or if nobody is there to ask."""
    if not sys.stdin.isatty():
        raise click.UsageError(f"this would {question}: say --yes if that is meant")
    if not click.confirm(f"{question[0].upper()}{question[1:]}?", err=True):
        raise click.ClickException("nothing was changed")
