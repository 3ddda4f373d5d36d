"""What went wrong, as it is said: one sentence on stderr, or for scripts that asked for `--json` a JSON object."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, NamedTuple

import click

from headbox.cli.terminal import printable
from headbox.cli.typed import as_typed
from headbox.domain.errors import HeadboxError, InvalidSchedule

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
EXPECTED: Final = (click.ClickException, OSError, HeadboxError)


class Failure(NamedTuple):
    """A sentence, the exit status, and the HTTP status of the server's answer if there was one."""

    sentence: str
    exit_status: int = FAILED
    status: int | None = None


def failure_of(error: Exception) -> Failure:
    """What one of the `EXPECTED` errors means to the one who typed the command."""
    match error:
        case click.UsageError():
            command = error.ctx.command_path if error.ctx else "headbox"
            return Failure(f"{error.format_message().rstrip('.')} (see '{command} --help')", USAGE)
        case click.ClickException():
            return Failure(error.format_message(), error.exit_code, getattr(error, "status", None))
        case OSError():
            place = f"{error.filename}: " if error.filename else ""
            return Failure(f"{place}{error.strerror or error}")
        case InvalidSchedule():
            return Failure(str(error), USAGE)
    return Failure(str(error))


def say(failure: Failure, *, as_json: bool) -> None:
    """Writes it on stderr in one line that holds no control characters; in vain where that is closed."""
    sentence = as_typed(failure.sentence, sys.argv[0])
    said = json.dumps({"error": sentence, "status": failure.status}) if as_json else f"headbox: {printable(sentence)}"
    with suppress(OSError):
        click.echo(said, err=True)


def asks_for_json(arguments: Sequence[str]) -> bool:
    """Whether `--json` is among the options, which end where `--` is."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in options
