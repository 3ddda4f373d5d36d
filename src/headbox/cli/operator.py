"""What an operator's command works on: the database itself, as the configuration and the running service name it."""

from __future__ import annotations

import functools
import getpass
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import rich_click as click

from headbox.assemble import SQLITE, open_queue, resolve_database
from headbox.cli.local_service import absolute, find
from headbox.cli.settings import DATABASE, load, with_settings
from headbox.config import Settings
from headbox.storage.records import Event
from headbox.storage.store import open_store
from headbox.task_queue.queue import TaskQueue


def with_database(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command `--database` and `--app`, and passes it the settings, whose database exists."""

    @with_settings(DATABASE)
    @functools.wraps(command)
    def opened(*args: Any, database: str | None, app: str | None, **options: Any) -> Any:
        settings = choose(database, app)
        path = database_file(settings.database)
        if path is not None and not path.exists():
            raise click.ClickException(
                f"there is no database at {path}: make it with `headbox db upgrade`, or name one"
            )
        return command(settings, *args, **options)

    return opened


def with_queue(command: Callable[..., Any]) -> Callable[..., Any]:
    """As `with_database`, but passes a queue; its database is upgraded first, if need be."""

    @with_database
    @functools.wraps(command)
    def opened(settings: Settings, *args: Any, **options: Any) -> Any:
        return command(open_queue(settings), *args, **options)

    return opened


def with_store(command: Callable[..., Any]) -> Callable[..., Any]:
    """As `with_database`, but passes the store, whatever the state of its schema."""

    @with_database
    @functools.wraps(command)
    def opened(settings: Settings, *args: Any, **options: Any) -> Any:
        return command(open_store(settings.database, settings.finished_lifetime), *args, **options)

    return opened


def choose(database: str | None, app: str | None) -> Settings:
    """The settings with the database that is meant: as configured, else that of the one service that runs here."""
    loaded = load({"database": database, "app": app})
    settings = resolve_database(loaded)
    if loaded.origins["database"] == "default" and settings.app is None:
        running = {service.database for service in find()}
        if len(running) == 1:
            return msgspec.structs.replace(settings, database=running.pop())
    return msgspec.structs.replace(settings, database=absolute(settings.database))


def database_file(database: str) -> Path | None:
    """The file that the database is; None for one of another kind."""
    return Path(database.removeprefix(SQLITE)) if database.startswith(SQLITE) else None


def record(queue: TaskQueue, what: str) -> None:
    """Leaves a trace of a change in the audit log: who on this machine did it, and what."""
    event = Event(
        time=queue.clock.now(),
        user=f"{getpass.getuser()} (operator)",
        address=None,
        method="CLI",
        path=what,
        status=200,
    )
    queue.store.record(event)
