"""The door of the command line: finds the command, and turns every error into one sentence and an exit status.

0 done, 1 the task failed or the server refused, 2 usage, 130 interrupted. Command groups load when they are used.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any, Final

import rich_click as click

from headbox.cli.terminal import printable
from headbox.cli.typed import as_typed
from headbox.domain.errors import HeadboxError, InvalidSchedule

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

# name -> the module and attribute that it lives in, and its line in `headbox --help`
COMMANDS: Final = {
    "serve": ("headbox.cli.serve:serve", "Start the API and a worker, and keep both running."),
    "api": ("headbox.cli.serve:api", "Start the API alone."),
    "work": ("headbox.cli.serve:work", "Start a worker alone."),
    "task": ("headbox.cli.task:task", "Enqueue, list, watch and change tasks."),
    "job": ("headbox.cli.job:job", "List, show and cancel jobs."),
    "worker": ("headbox.cli.worker:worker", "List the workers."),
    "user": ("headbox.cli.user:user", "Manage who may call the API."),
    "token": ("headbox.cli.token:token", "Manage tokens for the API."),
    "schedule": ("headbox.cli.schedule:schedule", "Preview what a schedule means."),
    "db": ("headbox.cli.db:db", "Upgrade, check and back up the database."),
    "config": ("headbox.cli.config:config", "Show the settings and where they come from."),
}


class Commands(click.RichGroup):
    """Lists its commands from a table and imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return click.RichCommand(name=cmd_name, help=COMMANDS[cmd_name][1])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        name, _, rest = super().resolve_command(ctx, args)
        return name, load(name) if name else None, rest


def load(name: str) -> click.Command:
    """The command of that name, its module imported."""
    module, _, attribute = COMMANDS[name][0].partition(":")
    command: click.Command = getattr(import_module(module), attribute)
    return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="headbox", message="headbox %(version)s")
def root() -> None:
    """A durable task queue and scheduler, with the REST API of Pulp's tasking system."""


def main() -> None:
    """Runs the command line and exits with its status."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """The exit status of the command that `arguments` name; what went wrong is said on stderr in one sentence."""
    try:
        status = root.main(arguments, prog_name="headbox", standalone_mode=False)
        sys.stdout.flush()
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "headbox"
        return complain(f"{error.format_message().rstrip('.')} (see '{command} --help')", USAGE)
    except click.ClickException as error:
        return complain(error.format_message(), error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter complains as it exits
        return FAILED
    except SystemExit as end:  # how help for a lack of arguments, and a closed pipe, end
        return end.code if isinstance(end.code, int) else FAILED
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return complain(f"{place}{error.strerror or error}", FAILED)
    except HeadboxError as error:
        return complain(str(error), USAGE if isinstance(error, InvalidSchedule) else FAILED)
    return status if isinstance(status, int) else DONE


def complain(message: str, status: int) -> int:
    """Says on stderr what went wrong, in one line that holds no control characters. Gives `status` back."""
    click.echo(f"headbox: {printable(as_typed(message, sys.argv[0]))}", err=True)
    return status
