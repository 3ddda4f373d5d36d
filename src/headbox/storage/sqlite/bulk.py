"""Many tasks in one statement. To bind a value costs more than to store it, and most values of tasks that are enqueued
together are the same: these are bound once, and what differs comes as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from headbox.storage.database import Rows

MOST_ROWS: Final = 1000  # of one statement
MOST_BYTES: Final = 4 << 20  # of payloads in one statement
_LARGE: Final = (
    "args", "kwargs", "public_args", "public_kwargs", "result", "public_result", "exception", "traceback",
)  # fmt: skip
_NUL: Final = rb"\u0000"  # SQLite would end the text there


class Set(NamedTuple):
    """A set of rows: which names differ, the rows of these as JSON (of one name its values: to take them out of lists
    would cost as much again), and the values that all have in common."""

    varying: tuple[str, ...]
    json: str
    common: Mapping[str, Any]


def as_set(names: tuple[str, ...], rows: Rows) -> Set | None:
    """The rows as a set; None where JSON cannot carry them (a pickle), or they would take too much memory."""
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    varying = {name: column for name, column in columns.items() if column.count(column[0]) < len(column)}
    if sum(len(value) for name in _LARGE if name in varying for value in varying[name] if value) > MOST_BYTES:
        return None
    try:
        texts = [_as_text(column) for column in varying.values()]
    except UnicodeDecodeError:
        return None
    varied = texts[0] if len(texts) == 1 else list(zip(*texts, strict=True)) if texts else [()] * len(rows)
    json = msgspec.json.encode(varied)
    if _NUL in json:
        return None
    common = {name: column[0] for name, column in columns.items() if name not in varying}
    return Set(tuple(varying), json.decode(), common)


def _as_text(column: Sequence[Any]) -> Sequence[Any]:
    if not any(isinstance(value, bytes) for value in column):
        return column
    return [value.decode() if isinstance(value, bytes) else value for value in column]
