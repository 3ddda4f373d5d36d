"""`headbox completion`: the script by which a shell completes commands, options, and what the server knows."""

from __future__ import annotations

from typing import Final

import rich_click as click

# shell -> where its script is put to use
USES: Final = {
    "bash": 'add the line  eval "$(headbox completion bash)"  to ~/.bashrc',
    "zsh": 'add the line  eval "$(headbox completion zsh)"  to ~/.zshrc, after compinit',
    "fish": "run  headbox completion fish > ~/.config/fish/completions/headbox.fish",
}


@click.command(
    help="Print the script that lets a shell complete commands, options, task ids, queues and what can be enqueued.\n\n"
    + "\n\n".join(f"{shell}: {use}" for shell, use in USES.items())
)
@click.argument("shell", type=click.Choice(list(USES)))
def completion(shell: str) -> None:
    """Prints the script of that shell."""
    from click.shell_completion import ShellComplete, get_completion_class

    from headbox.cli.bash import Bash
    from headbox.cli.main import COMPLETING, PROGRAM, root

    kind = Bash if shell == "bash" else get_completion_class(shell)
    assert kind is not None
    print(ShellComplete.source(kind(root, {}, PROGRAM, COMPLETING)))  # Bash's own asks its version
