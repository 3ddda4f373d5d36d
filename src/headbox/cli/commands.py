"""Groups of commands of which some are loaded only when they are used."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar, Final

import rich_click as click

Places = Mapping[str, tuple[str, str]]
"""name -> the module and attribute that a command lives in, and its line in the help of its group"""


class Commands(click.RichGroup):
    """Lists commands from a table and imports one only to run it, beside those that it has already."""

    places: ClassVar[Places] = {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, those in the table last."""
        return [*super().list_commands(ctx), *self.places]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, or of one in the table what its help line needs."""
        if cmd_name in self.places:
            return click.RichCommand(name=cmd_name, help=self.places[cmd_name][1])
        return super().get_command(ctx, cmd_name)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """The command that is to run, loaded."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, self.load(name) if name and name in self.places else command, rest

    def loaded(self, name: str) -> click.Command:
        """The command of that name as it is when it runs."""
        return self.load(name) if name in self.places else self.commands[name]

    def load(self, name: str) -> click.Command:
        """The command of the table."""
        return load_from(self.places, name)


def load_from(places: Places, name: str) -> click.Command:
    """The command of that name, its module imported."""
    module, _, attribute = places[name][0].partition(":")
    command: click.Command = getattr(import_module(module), attribute)
    return with_colour(command)


def with_colour(command: click.Command) -> click.Command:
    """The command with `--color` and `--no-color`, and all the commands in it."""
    for inner in command.commands.values() if isinstance(command, click.Group) else ():
        with_colour(inner)
    if not any(parameter.name == COLOUR for parameter in command.params):
        colour_option(command)
    return command


def set_colour(context: click.Context, parameter: click.Parameter, wanted: bool | None) -> None:
    """Heeds `--color` and `--no-color`, wherever in a command they are."""
    if wanted is not None:
        context.color = wanted


COLOUR: Final = "colour"
colour_option: Final = click.option(
    "--color/--no-color",
    COLOUR,
    default=None,
    expose_value=False,
    is_eager=True,
    callback=set_colour,
    help="Colours in what is printed, or none [default: on a terminal, unless NO_COLOR is set].",
)
