"""What reaches the terminal: text without control characters, in colours only where they are wanted; JSON."""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, Final, TextIO

import click

GAP: Final = 2
DEFAULT_WIDTH: Final = 80  # columns of a terminal that does not say how many it has
DRAWN: Final = str.maketrans("…━╸─·▁▂▃▄▅▆▇█↑↓", "~=--.12345678^v")
NO_COLOURS: Final = ("", "dumb", "unknown")  # terminals that show none
STYLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "bold": {"bold": True},
    "dim": {"dim": True},
    "reverse": {"reverse": True},
    **{colour: {"fg": colour} for colour in ("red", "green", "yellow", "cyan")},
}


def printable(text: str, *, lines: bool = False) -> str:
    """`text` with whatever could move the cursor, hide or reorder text written as an escape; `lines` keeps newlines."""
    if text.isprintable():
        return text
    return "".join(character if _is_harmless(character, lines) else _escape(character) for character in text)


def _is_harmless(character: str, lines: bool) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs" or (lines and character in "\n\t")


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def compact(value: Any) -> str:
    """A JSON value in one printable line."""
    return printable(json.dumps(value, ensure_ascii=False, separators=(", ", ": ")))


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """One JSON value for scripts. ASCII only: a terminal shows no control character that the data holds."""
    print(json.dumps(value, indent=indent), flush=True)


def print_json_list(values: Iterable[Any]) -> None:
    """A JSON list for scripts, an element a line, printed as the elements come."""
    separator = "["
    for value in values:
        print(f"{separator}\n{json.dumps(value)}", end="")
        separator = ","
    print("\n]" if separator == "," else "[]")


def coloured(stream: TextIO) -> bool:
    """Whether to write colours there: as `--color` says, else on a terminal that shows them, unless NO_COLOR is set."""
    context = click.get_current_context(silent=True)
    if context is not None and context.color is not None:
        return context.color
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "") not in NO_COLOURS


def legible(text: str, stream: TextIO) -> str:
    """The text in characters that the stream can write: where it can't draw, with ASCII in place of what is drawn."""
    encoding = stream.encoding or "utf-8"
    if text.isascii() or encoding.lower().replace("-", "") == "utf8":
        return text
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(DRAWN).encode(encoding, "backslashreplace").decode(encoding)
    return text


def paint(text: str, style: str) -> str:
    """The text with the codes of a style around it; '' is none."""
    return click.style(text, **STYLES[style]) if style and text else text


def width_of(stream: TextIO) -> int | None:
    """The columns of the terminal, or as COLUMNS says; None where no terminal limits them."""
    if not stream.isatty():
        return None
    named = os.environ.get("COLUMNS", "")
    if named.isascii() and named.isdigit() and int(named) > 0:
        return int(named)
    try:
        return os.get_terminal_size(stream.fileno()).columns or DEFAULT_WIDTH
    except (OSError, ValueError):  # it calls itself a terminal, and is none
        return DEFAULT_WIDTH


def print_fields(pairs: Iterable[tuple[str, Any]]) -> None:
    """What is known about one thing: a name and a value a line."""
    pairs = [(name, printable(str(value), lines=True)) for name, value in pairs]
    width = max((len(name) for name, _ in pairs), default=0) + GAP
    for name, value in pairs:
        print(f"{name:<{width}}" + value.replace("\n", "\n" + " " * width))
