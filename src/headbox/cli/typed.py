"""How commands are written where people read them: so that they can be typed as they stand, in this directory."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from shutil import which

NAME = "headbox"
QUOTED = re.compile(r"(?<=[`'])headbox(?= [a-z-])")  # a command in the midst of a sentence


def typed_name(program: str) -> str:
    """A program as it was called, in the shortest way in which it can be called again from here."""
    path = Path(program).absolute()
    found = which(NAME)
    if path.name != NAME or (found is not None and path.samefile(found)):
        return NAME
    return shlex.quote(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))


def as_typed(sentence: str, program: str) -> str:
    """The sentence with the commands in it written so that they call this `program`."""
    name = typed_name(program)
    return sentence if name == NAME else QUOTED.sub(lambda _: name, sentence)
