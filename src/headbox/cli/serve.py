"""`headbox serve`, `api` and `work`: the processes of a service."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import rich_click as click

from headbox.cli.process import become, begin, reporter
from headbox.cli.settings import API, SERVE, WORK, forward, load, with_settings
from headbox.domain.task import SECOND

if TYPE_CHECKING:
    from headbox.task_queue.queue import TaskQueue

MARGIN = 10.0  # seconds beyond its own grace that a process has to end

preloading = click.option("--preload/--no-preload", default=True, help="Import the application once for all children.")


def as_child(command: Callable[..., Any]) -> Callable[..., Any]:
    """What `serve` tells the processes that it starts: who their parent is, where to report, and how it was called."""
    for option in ("--parent", "--status-fd"):
        command = click.option(option, type=int, hidden=True)(command)
    return click.option("--program", hidden=True)(command)


@click.command()
@with_settings(SERVE)
@preloading
@click.option("--reload", is_flag=True, help="Restart the worker whenever the code changes.")
def serve(preload: bool, reload: bool, **typed: Any) -> None:
    """Start the API and a worker, and keep both running."""
    from headbox.cli.service import PLAN

    settings = load(typed).settings
    become(
        PLAN,
        {
            "work": [*forward(typed, WORK), *([] if preload else ["--no-preload"])],
            "api": forward({**typed, "database": None}, API),
            "app": settings.app,
            "program": sys.argv[0],
            "reload": reload,
            "patience": (settings.grace + settings.cancel_grace) / SECOND + MARGIN,
            "keeps_port": settings.port == 0,
        },
    )


@click.command()
@with_settings(API)
@as_child
def api(parent: int | None, status_fd: int | None, program: str | None, **typed: Any) -> None:
    """Start the API alone."""
    from headbox.assemble import run_api
    from headbox.cli.findable import Findable, hints
    from headbox.cli.typed import as_typed
    from headbox.config import without_password

    begin(parent)
    settings = load(typed).settings
    report = reporter(status_fd)
    with ExitStack() as at_the_end:

        def announce(queue: TaskQueue, url: str, about_admin: str) -> None:
            report({"url": url})
            said = banner(url, without_password(queue.store.url), about_admin)
            click.echo(as_typed(said, program or sys.argv[0]))
            if program is not None:
                findable = Findable(queue, url)
                findable.stay()
                at_the_end.callback(findable.leave)
                click.echo(hints(queue, program))

        run_api(settings, announce, is_watched=sys.stdout.isatty(), was_reached=parent is not None)


@click.command()
@with_settings(WORK)
@preloading
@as_child
def work(preload: bool, parent: int | None, status_fd: int | None, program: str | None, **typed: Any) -> None:
    """Start a worker alone; without --app, it does the housekeeping only."""
    from headbox.cli.working import PLAN

    load(typed)
    become(PLAN, {"typed": typed, "preload": preload, "parent": parent, "status_fd": status_fd})


def banner(url: str, database: str, about_admin: str) -> str:
    """What an operator wants to know first."""
    lines = [
        f"Headbox answers at {url} (the dashboard; documentation of the API: {url}docs/)",
        f"Tasks are kept in {database}",
    ]
    return "\n".join([*lines, about_admin] if about_admin else lines)
