"""The reference of the command line, from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import click

from docs._generate.markdown import code, page, table
from headbox.cli.commands import Commands
from headbox.cli.main import COMMANDS, load, root

INTRODUCTION: Final = """
Every command and option, as `--help` says it. What is an option and a setting at once can be given in the
environment and in `headbox.toml` too: see the [configuration](configuration.md). Exit status: 0 done, 1 the task
failed or the server refused, 2 usage.
"""


def commands() -> Iterator[tuple[str, click.Command, click.Context]]:
    """Every command with the words that call it, a group before what is in it."""
    top = click.Context(root, info_name="headbox")
    for name in COMMANDS:
        yield from _below(f"headbox {name}", load(name), click.Context(load(name), info_name=name, parent=top))


def _below(
    path: str, command: click.Command, context: click.Context
) -> Iterator[tuple[str, click.Command, click.Context]]:
    yield path, command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.loaded(name) if isinstance(command, Commands) else command.commands[name]
            yield from _below(f"{path} {name}", found, click.Context(found, info_name=name, parent=context))


def render() -> str:
    """The page."""
    return page(
        "# Command line",
        INTRODUCTION,
        *(_describe(path, command, context) for path, command, context in commands()),
    )


def _describe(path: str, command: click.Command, context: click.Context) -> str:
    if isinstance(command, click.Group):
        rows = [
            (f"[`{name}`](#{path.replace(' ', '-')}-{name})", found.get_short_help_str(200))
            for name in command.list_commands(context)
            if (found := command.get_command(context, name))
        ]
        options = table(("option", ""), _options(command, context))
        return page(f"## {path}", command.help or "", table(("command", ""), rows), options)
    level = "##" if path.count(" ") == 1 else "###"
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    return page(f"{level} {path}", command.help or "", code(usage), table(("option", ""), _options(command, context)))


def _options(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and "--help" not in record[0]:
            yield f"`{record[0]}`", record[1].replace("<", "&lt;")
