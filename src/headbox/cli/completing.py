"""What a shell may complete a word to, asked of the server where one is found at once; nothing in any other case.

A shell inserts these unquoted, so a value is left out that would be more than one plain word to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from threading import Thread
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from headbox.cli.client import Client
from headbox.cli.connection import connect
from headbox.cli.failure import EXPECTED
from headbox.cli.terminal import printable

PATIENCE: Final = 0.3  # seconds that a person waits who has pressed Tab
MOST: Final = 100
LOOKED_AT: Final = 1000  # tasks
PLAIN: Final = re.compile(r"[A-Za-z0-9_.:@+/-]+")
ODD_ANSWERS: Final = (LookupError, TypeError, AttributeError)  # of something that is no Headbox

Pair = tuple[str, str]
Source = Callable[[Client], Iterable[Pair]]


def task_ids(states: tuple[str, ...] = ()) -> Source:
    """Tasks in these states, by id."""

    def source(client: Client) -> Iterator[Pair]:
        query = {"state": states, "fields": "id,state,method_name"}
        tasks, _ = client.first("tasks/", query, LOOKED_AT)
        return ((task["id"], f"{task['state']} {task['method_name']}") for task in tasks)

    return source


def snapshots(client: Client) -> Iterator[Pair]:
    """Tasks that have a snapshot, by id."""
    return ((task["id"], task["method_name"]) for task in client.get("tasks/snapshots/"))


def callables(client: Client) -> Iterator[Pair]:
    """What can be enqueued."""
    return ((known["method_name"], first_line(known["docstring"])) for known in client.get("callables/"))


def queues(client: Client) -> Iterator[Pair]:
    """The queues that tasks wait in or workers serve."""
    known = client.get_if_known("queues/")
    if known is not None:
        return ((queue["name"], f"{queue['waiting']} waiting") for queue in known)
    return ((name, "") for worker in client.get("workers/") for name in worker["queues"])


def jobs(client: Client) -> Iterator[Pair]:
    """Jobs that have current tasks."""
    tasks, _ = client.first("tasks/", {"fields": "job_id"}, LOOKED_AT)
    return ((job, "") for job in dict.fromkeys(task["job_id"] for task in tasks) if job)


def tokens(client: Client) -> Iterator[Pair]:
    """The tokens that can be revoked, by id."""
    return ((token["id"], token["name"]) for token in client.get("tokens/"))


def offer(source: Source, context: click.Context, beginning: str) -> list[CompletionItem[str]]:
    """What the source knows that begins so; [] unless a server answers in time."""
    found: list[Pair] = []

    def ask() -> None:
        try:
            found.extend(matching(source(client_of(context.params)), beginning))
        except (*EXPECTED, *ODD_ANSWERS):
            found.clear()

    thread = Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return [] if thread.is_alive() else [CompletionItem(value, help=meaning or None) for value, meaning in found]


def client_of(typed: Mapping[str, Any]) -> Client:
    """The server that the command being typed will ask. A user's password can't be asked for now."""
    if typed.get("user"):
        raise click.UsageError("no password is asked for while a word is completed")
    return connect(typed.get("url"), None, typed.get("token"))


def matching(pairs: Iterable[Pair], beginning: str) -> list[Pair]:
    """Those that begin so and are one plain word to any shell, with what they mean in one line."""
    wanted = [
        (value, printable(meaning)[:60])
        for value, meaning in pairs
        if value.startswith(beginning) and PLAIN.fullmatch(value)
    ]
    return wanted[:MOST]


def first_line(text: str | None) -> str:
    """What a docstring says first."""
    return (text or "").strip().partition("\n")[0]
