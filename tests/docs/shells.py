"""What a shell offers for a word: asked of the shell itself where it is here, and else of what it would ask."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from tests.service import PATIENCE

INSERT_ALL, TO_THE_BEGINNING = "\x1b*", "\x01"
# Zsh completes for a person only; what its function would show is shown instead.
ASK_ZSH: Final = """
autoload -U compinit; compinit -u -D
source ~/.zshrc
_describe() { print -l -- ${completions_with_descriptions%%:*} }
compadd() { print -l -- $completions }
words=({line}) CURRENT=$#words
$_comps[headbox]
"""


def offered(shell: str, text: str, line: str, folder: Path, environ: dict[str, str]) -> list[str]:
    """All that the last word of the line can become, after the shell has read these lines."""
    environ = {**environ, "TERM": "dumb", "INPUTRC": os.devnull}
    if shell == "bash":
        done = _run(["bash", "-i"], folder, environ, f"{line}{INSERT_ALL}{TO_THE_BEGINNING}echo \n")
        return done.split()[len(line.split()) - 1 :]
    if shell == "fish":
        Path(environ["HOME"], ".config/fish/completions").mkdir(parents=True)  # fish makes it when it is first used
    if shutil.which(shell, path=environ["PATH"]) is None:
        return _asked(shell, text, line, folder, environ)
    if shell == "zsh":
        return _run(["zsh", "-f"], folder, environ, ASK_ZSH.replace("{line}", line)).split()
    _run(["fish"], folder, environ, text)
    answers = _run(["fish", "--command", f"complete --do-complete '{line}'"], folder, environ).splitlines()
    return [answer.partition("\t")[0] for answer in answers]  # behind it stands what it means


def _asked(shell: str, text: str, line: str, folder: Path, environ: dict[str, str]) -> list[str]:
    """What the shell would get for an answer: the script names the variable by which it asks."""
    command = re.search(r"headbox completion \w+", text)
    assert command is not None
    script = _run(["bash", "-c", command[0]], folder, environ)
    words = line.split()
    asking = f"_HEADBOX_COMPLETE={shell}_complete"
    assert asking in script
    position = str(len(words) - 1) if shell == "zsh" else words[-1]
    answer = _run(["env", asking, f"COMP_WORDS={line}", f"COMP_CWORD={position}", "headbox"], folder, environ)
    return [word for word in re.split(r"[\n,\t]", answer) if word.startswith(words[-1])]


def _run(command: list[str], folder: Path, environ: dict[str, str], stdin: str = "") -> str:
    done = subprocess.run(
        command, cwd=folder, env=environ, input=stdin, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    return done.stdout
