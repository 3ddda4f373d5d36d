"""The door of the command line: finds the command, and turns every error into one sentence and an exit status.

0 done, 1 the task failed or the server refused, 2 usage, 130 interrupted. Command groups load when they are used.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Final, NoReturn

import rich_click as click

from headbox.cli.commands import Commands, Places, colour_option, load_from
from headbox.cli.failure import DONE, EXPECTED, FAILED, INTERRUPTED, asks_for_json, failure_of, say
from headbox.cli.process import open_streams

PROGRAM: Final = "headbox"
COMPLETING: Final = "_HEADBOX_COMPLETE"  # the variable by which a shell asks what a word may become

COMMANDS: Final[Places] = {
    "serve": ("headbox.cli.serve:serve", "Start the API and a worker, and keep both running."),
    "api": ("headbox.cli.serve:api", "Start the API alone."),
    "work": ("headbox.cli.serve:work", "Start a worker alone."),
    "task": ("headbox.cli.task:task", "Enqueue, list, watch and change tasks."),
    "job": ("headbox.cli.job:job", "List, show and cancel jobs."),
    "queue": ("headbox.cli.queue:queue", "List queues, suspend and resume them."),
    "worker": ("headbox.cli.worker:worker", "List the workers."),
    "top": ("headbox.cli.top:top", "Show what is going on, on the whole terminal."),
    "stats": ("headbox.cli.stats:stats", "Show counts, throughput and lateness."),
    "user": ("headbox.cli.user:user", "Manage who may call the API."),
    "token": ("headbox.cli.token:token", "Manage tokens for the API."),
    "schedule": ("headbox.cli.schedule:schedule", "Preview what a schedule means."),
    "db": ("headbox.cli.db:db", "Upgrade, check and back up the database."),
    "completion": ("headbox.cli.completion:completion", "Print the script that lets a shell complete commands."),
    "config": ("headbox.cli.config:config", "Show the settings and where they come from."),
}


class Root(Commands):
    """Every command is loaded when it is used."""

    places = COMMANDS

    def load(self, name: str) -> click.Command:
        return load(name)


def load(name: str) -> click.Command:
    """The command of that name, its module imported."""
    return load_from(COMMANDS, name)


@click.group(cls=Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="headbox", message="headbox %(version)s")
@colour_option
def root() -> None:
    """A durable task queue and scheduler, with the REST API of Pulp's tasking system."""


def main() -> NoReturn:
    """Runs the command line and exits with its status."""
    open_streams()
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """The exit status of the command that `arguments` name; what went wrong is said on stderr in one sentence."""
    if COMPLETING in os.environ:
        from click.shell_completion import add_completion_class

        from headbox.cli.bash import Bash

        add_completion_class(Bash)
    try:
        status = root.main(arguments, prog_name=PROGRAM, standalone_mode=False)
        sys.stdout.flush()
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        forget_output()
        return FAILED
    except SystemExit as end:  # how help for a lack of arguments, and a closed pipe, end
        return end.code if isinstance(end.code, int) else FAILED
    except EXPECTED as error:
        failure = failure_of(error)
        say(failure, as_json=asks_for_json(arguments))
        if isinstance(error, OSError):
            forget_output()
        return failure.exit_status
    return status if isinstance(status, int) else DONE


def forget_output() -> None:
    """Lets what could not be written go: else the interpreter tries it once more as it exits, and complains."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
