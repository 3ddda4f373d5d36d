"""What the generated pages are written with."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from typing import Any


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; what would end a cell is escaped. Nothing where there are no rows."""
    lines = [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows]
    if not lines:
        return ""
    return "\n".join([f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}", *lines])


def code(text: str, language: str = "text") -> str:
    """A block of code."""
    return f"```{language}\n{text}\n```"


def page(*parts: str) -> str:
    """The parts that are not empty, a blank line between them."""
    return "\n\n".join(part.strip("\n") for part in parts if part.strip()) + "\n"


def docstring(thing: Any) -> str:
    """Its docstring as Markdown: a section such as `Raises:` becomes a list."""
    text = inspect.getdoc(thing) or ""
    before, found, errors = text.partition("Raises:\n")
    if not found:
        return text
    entries = re.sub(r"\n {8,}", " ", "\n" + errors)
    return before + "Raises:\n\n" + re.sub(r"\n? {4}(\w+): ", r"\n- `\1`: ", entries).strip("\n")


def anchor(text: str) -> str:
    """The anchor of a heading."""
    return re.sub(r"[^\w]+", "-", text.lower()).strip("-")


def _cell(text: str) -> str:
    return " ".join(text.replace("|", r"\|").split())
