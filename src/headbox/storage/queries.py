"""Reads the named statements of the `sql` folder: portable ones and those of one dialect, each exactly once."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

from headbox.domain.task import FIELDS

LOOKAHEAD = 1000  # how far past tasks that it cannot run a claim looks

# What an end leaves as it is when a live row becomes an archived one.
_ENDED = (
    "state", "start_time", "finish_time", "result", "public_result", "exception", "traceback", "consecutive_failures",
    "losses", "final",
)  # fmt: skip
_DROPPED = ("snapshot_id", "claimed_state", "cancel_asked", "suspend_asked", "held")
KEPT = tuple(field for field in FIELDS if field not in (*_ENDED, *_DROPPED))
ENQUEUED = FIELDS[: FIELDS.index("enqueue_time") + 1]

_MACROS = {
    "fields": ", ".join(FIELDS),
    "field_values": ", ".join(f":{field}" for field in FIELDS),
    "kept": ", ".join(KEPT),
    "enqueued": ", ".join(ENQUEUED),
    "enqueued_values": ", ".join(f":{field}" for field in ENQUEUED),
    "ready": "state IN ('waiting', 'reset') AND held = 0",
    "lookahead": str(LOOKAHEAD),
}
_HEADER = re.compile(r"^-- (\w+) --$", re.MULTILINE)
_COMMENT = re.compile(r"^--.*$", re.MULTILINE)
_PARAMETER = re.compile(r"(?<!:):(\w+)")


@cache
def load(dialect: str) -> dict[str, str]:
    """The statements of a dialect (`sqlite`, `postgres`), portable ones included, by name."""
    statements: dict[str, str] = {}
    for name in ("portable", dialect):
        text = files("headbox.storage").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
        parts = _HEADER.split(text)[1:]
        for title, body in zip(parts[::2], parts[1::2], strict=True):
            if title in statements:
                raise ValueError(f"the statement {title} stands twice; keep one, in portable.sql or in each dialect")
            statements[title] = _COMMENT.sub("", body).strip().format(**_MACROS)
    return statements


def parameters(statement: str) -> tuple[str, ...]:
    """The names of a statement's parameters, in order of first appearance."""
    return tuple(dict.fromkeys(_PARAMETER.findall(statement)))


@cache
def numbered(statement: str, names: tuple[str, ...]) -> str:
    """The statement with `:name` as `?N`, N the place in `names`: rows of a batch are then plain tuples."""
    return _PARAMETER.sub(lambda match: f"?{names.index(match[1]) + 1}", statement)
