"""How a task is told on pages: its values are read from the public JSON that is stored for that, never from pickles."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from headbox.domain.progress import Measure, measures
from headbox.domain.task import Span, Task

CALL: Final = 160  # characters of a call in a list
PRETTY: Final = 20_000  # characters of a value on a page; the rest is for the API
# What would turn the text around it, quotation marks too (Unicode Standard Annex #9): shown as JSON escapes.
TURNING: Final = {
    ord(mark): f"\\u{ord(mark):04x}"
    for mark in "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
}


def read_public(public: str | None, payload: bytes | None, empty: Any) -> Any:
    """What may be shown of a payload, decoded. A pickle without a public form and a damaged row show nothing: None."""
    stored = payload if public is None else public
    if stored is None:
        return empty
    try:
        return msgspec.json.decode(stored)
    except (msgspec.DecodeError, RecursionError):
        return None


def compact(value: Any) -> str:
    """A value in one line."""
    return msgspec.json.encode(value).decode().translate(TURNING)


def pretty(value: Any) -> str:
    """A value over several lines, cut where it becomes too long for a page."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode().translate(TURNING)
    return text if len(text) <= PRETTY else text[:PRETTY] + "\n… (the API has the rest)"


def shown_json(stored: str) -> str:
    """Stored public JSON, over several lines; as it is where it cannot be read."""
    value = read_public(stored, None, None)
    return stored[:PRETTY] if value is None else pretty(value)


def name_of(task: Task) -> str:
    """What is called: `Repo.sync`."""
    return f"{task.class_name}.{task.method_name}" if task.class_name else task.method_name


def args_text(task: Task) -> str:
    """With what it is called, as Python writes it: `"fedora", rate=5`."""
    args = read_public(task.public_args, task.args, [])
    kwargs = read_public(task.public_kwargs, task.kwargs, {})
    values = [compact(value) for value in args] if isinstance(args, list) else ["…"]
    if isinstance(kwargs, dict):
        values += [f"{name}={compact(value)}" for name, value in kwargs.items()]
    text = ", ".join(values)
    return text if len(text) <= CALL else text[:CALL] + "…"


def measures_of(task: Task) -> list[Measure]:
    """The bars of its progress; [] where it has none or another form."""
    return [] if task.progress is None else measures(read_public(task.progress, None, None))


def took(task: Task) -> Span | None:
    """How long an ended run took; None where it never started."""
    if task.start_time is None or task.finish_time is None:
        return None
    return max(0, task.finish_time - task.start_time)


FILTERS: Final = {
    "name": name_of,
    "args": args_text,
    "measures": measures_of,
    "took": took,
    "pretty": pretty,
    "shown_json": shown_json,
    "compact": compact,
}
"""What templates may say of a task."""
