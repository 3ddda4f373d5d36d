"""Options that many commands have, and how words of theirs are completed in a shell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import rich_click as click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    Items = list[CompletionItem[str]]

as_json: Final = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
in_utc: Final = click.option("--utc", is_flag=True, help="Show times exactly, in UTC.")


def completes(source: str, *arguments: Any) -> Callable[[click.Context, click.Parameter, str], Items]:
    """Completes to what a source of the room `completing` finds, which is loaded only then."""

    def complete(context: click.Context, parameter: click.Parameter, beginning: str) -> Items:
        from headbox.cli import completing

        found = getattr(completing, source)
        return completing.offer(found(*arguments) if arguments else found, context, beginning)

    return complete


def one_of(words: Sequence[str]) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Completes to one of these words."""
    return lambda context, parameter, beginning: [word for word in words if word.startswith(beginning)]


task_id: Final = click.argument("id", shell_complete=completes("task_ids", ()))
