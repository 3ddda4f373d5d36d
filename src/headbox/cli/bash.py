"""Completion in Bash. It cuts what is typed at colons too (COMP_WORDBREAKS), so that a URL comes in pieces: the line
itself is read instead, and of what is offered Bash gets only what stands behind the last colon."""

from __future__ import annotations

import os

from click.shell_completion import BashComplete, CompletionItem, split_arg_string

SCRIPT = """\
%(complete_func)s() {
    local IFS=$'\\n' answer
    COMPREPLY=()
    for answer in $(env COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_WORDBREAKS="$COMP_WORDBREAKS" \\
            %(complete_var)s=bash_complete "$1"); do
        case "$answer" in
            dir,*) compopt -o dirnames ;;
            file,*) compopt -o default ;;
            *) COMPREPLY+=("${answer#*,}") ;;
        esac
    done
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class Bash(BashComplete):
    """Reads the line up to the cursor, in place of Bash's words."""

    source_template = SCRIPT
    _kept = ""  # what Bash leaves standing before the word that it completes

    def get_completion_args(self) -> tuple[list[str], str]:
        """The whole words behind the program's name, and the one that is begun."""
        line = os.environ["COMP_LINE"]
        words = split_arg_string(line)
        begun = "" if line[-1:].isspace() else words.pop()
        breaks = os.environ.get("COMP_WORDBREAKS", "")
        self._kept = begun[: begun.rfind(":") + 1] if ":" in breaks else ""
        return words[1:], begun

    def format_completion(self, item: CompletionItem[str]) -> str:
        """A kind and, for a word, the rest of it."""
        return f"{item.type},{item.value.removeprefix(self._kept)}"
