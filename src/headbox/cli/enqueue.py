"""`headbox task enqueue`: a call written on the command line becomes a task."""

from __future__ import annotations

import json
from typing import Any, NoReturn

import rich_click as click

from headbox.cli.client import Client
from headbox.cli.connection import with_client
from headbox.cli.options import as_json, completes
from headbox.cli.task_table import fields, show_tasks
from headbox.cli.terminal import print_json
from headbox.cli.watch import follow_all, report_end


@click.command()
@click.argument("name", shell_complete=completes("callables"))
@click.argument("arguments", metavar="[ARG|KEY=VALUE]...", nargs=-1, type=click.UNPROCESSED)
@click.option("--schedule", help="When: a time, [R<n>/]<start>/<duration>, <duration> or 'cron: …'.")
@click.option("--timeout", help="How long a run may take: seconds, or ISO 8601 such as PT30M.")
@click.option("--attempts", type=click.IntRange(1), help="How often a one-off is tried.")
@click.option("--failure-threshold", type=click.IntRange(1), help="Failures in a row that end a schedule.")
@click.option("--schedule-threshold", help="How late a start may be before it is logged as an error.")
@click.option("--weight", type=click.IntRange(0), help="How much of a worker's concurrency it takes.")
@click.option("--priority", type=click.IntRange(-9, 9), help="From -9 to 9: the highest runs first.")
@click.option("--queue", shell_complete=completes("queues"), help="The queue it waits in.")
@click.option("--unique", is_flag=True, default=None, help="Refuse it while the same call is incomplete.")
@click.option("--job", "job_id", shell_complete=completes("jobs"), help="The id of the job it belongs to.")
@click.option("--wait", is_flag=True, help="Wait for its end; exit 1 if it fails.")
@as_json
@with_client
def enqueue(
    client: Client, name: str, arguments: tuple[str, ...], wait: bool, as_json: bool, **options: Any
) -> int | None:
    """Enqueue a call of NAME, with arguments as JSON where they are JSON and as text where they are not.

    headbox task enqueue sync web rate=20000 --wait
    """
    args, kwargs = read_call(arguments)
    body = {"method_name": name, "args": args, "kwargs": kwargs, **read_options(options)}
    task = client.post("tasks/", body, fields(as_json=as_json))
    if not wait:
        print_json(task) if as_json else show_tasks([task], as_json=False, header=False)
        return None
    return report_end(follow_all(client, [task["id"]], {task["id"]: task["run"]}), as_json=as_json)


def read_call(arguments: tuple[str, ...]) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of the call: `key=value` is a keyword, anything else comes in order."""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not (equals and name.isidentifier()):
            args.append(read_value(argument))
        elif name in kwargs:
            raise click.UsageError(f"the argument {name} is given twice: give it once")
        else:
            kwargs[name] = read_value(value)
    return args, kwargs


def read_value(text: str) -> Any:
    """The JSON value that `text` is, else `text` itself; `'"5"'` is the text 5."""
    try:
        return json.loads(text, parse_constant=_no_json)
    except (ValueError, RecursionError):
        return text


def _no_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def read_options(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were given, durations in ISO 8601 as the API takes them."""
    given = {name: value for name, value in options.items() if value is not None}
    for name in ("timeout", "schedule_threshold"):
        if name in given:
            from headbox.domain.iso8601 import format_duration, parse_duration

            given[name] = format_duration(parse_duration(given[name]))
    return given
