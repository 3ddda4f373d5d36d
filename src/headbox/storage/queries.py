"""Reads the named statements of the `sql` folder: portable ones and those of one dialect, each exactly once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, Final, get_args, get_type_hints

from headbox.domain.task import FIELDS, WORK, Task, Work

LOOKAHEAD = 1000  # how far past tasks that it cannot run a claim looks

# What an end leaves as it is when a live row becomes an archived one.
_ENDED = (
    "state", "start_time", "finish_time", "result", "public_result", "exception", "traceback", "consecutive_failures",
    "losses", "final",
)  # fmt: skip
_DROPPED = ("snapshot_id", "claimed_state", "cancel_asked", "suspend_asked", "held")
KEPT = tuple(field for field in FIELDS if field not in (*_ENDED, *_DROPPED))
ENQUEUED = FIELDS[: FIELDS.index("enqueue_time") + 1]


def _column_type(hint: Any) -> str:
    types = ((bytes, "bytea"), (bool, "boolean"), (int, "bigint"))
    return next((name for kind, name in types if kind in (hint, *get_args(hint))), "text")


# What PostgreSQL is told of a field's values in a batch: of a task's, and of what statistics are made from.
COLUMN_TYPES: Final[Mapping[str, str]] = {
    **{field: _column_type(hint) for field, hint in get_type_hints(Task).items() if field in FIELDS},
    **dict.fromkeys(("was", "became", "counted", "task_id"), "text"),
    **dict.fromkeys(("time", "number", "span"), "bigint"),
}

# What nearly all tasks that are accepted have in common stands in the statement: to bind a value costs more than to
# store it. Of the other columns that is nothing.
_USUAL: Final[Mapping[str, Any]] = {
    "run": 1, "state": "waiting", "priority": 0, "scheduler": "immediate", "attempts": 1, "weight": 1,
    "is_async": False,
}  # fmt: skip
_USUAL_TEXTS: Final = {
    name: "FALSE" if value is False else f"'{value}'" if isinstance(value, str) else str(value)
    for name, value in _USUAL.items()
}

_MACROS = {
    "fields": ", ".join(FIELDS),
    "field_values": ", ".join(f":{field}" for field in FIELDS),
    "work": ", ".join(WORK),
    "work_of_ready": ", ".join(f"task.{'state' if field == 'claimed_state' else field}" for field in WORK),
    "kept": ", ".join(KEPT),
    "enqueued": ", ".join(ENQUEUED),
    "enqueued_values": ", ".join(f":{field}" for field in ENQUEUED),
    "kept_of_task": ", ".join(f"task.{field}" for field in KEPT),
    "ready": "state IN ('waiting', 'reset') AND held = 0",
    "lookahead": str(LOOKAHEAD),
}
# SQLite locks the whole database for a writer; PostgreSQL locks what a transaction has read in order to change it
# (`lock`, `share`) or passes by what others are at (`pass_by`), and tells whom a change concerns (`wakes` a queue's
# workers, `asks` a worker to stop a run). `time` is that of the database's clock, `roll` another one whenever a worker
# has come or gone. Changes are `unfolded` from a position on; SQLite keeps the last, so that its number stays taken.
_DIALECTS: Final[Mapping[str, Mapping[str, str]]] = {
    "sqlite": {
        "yes": "1",
        "no": "0",
        "lock": "",
        "share": "",
        "pass_by": "",
        "wakes": "",
        "asks": "",
        "time": ":now",
        "roll": "group_concat(id)",
        "payload_bytes": "coalesce(length(args), 0) + coalesce(length(kwargs), 0)",
        "rows": "json_each(:rows)",
        "unfolded": "id > CAST(:since AS INTEGER)",
        "foldable": "id > CAST(:since AS INTEGER) AND id < (SELECT max(id) FROM headbox_changes)"
        " AND NOT time BETWEEN :before AND :now",
    },
    "postgres": {
        "yes": "TRUE",
        "no": "FALSE",
        "lock": " FOR UPDATE",
        "share": " FOR KEY SHARE",
        "pass_by": " FOR UPDATE SKIP LOCKED",
        "wakes": " RETURNING queue",
        "asks": " RETURNING worker",
        "time": "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
        "roll": "md5(string_agg(id, ',' ORDER BY id))",
        "payload_bytes": "coalesce(octet_length(args), 0) + coalesce(octet_length(kwargs), 0)",
        "rows": ":rows",
        "unfolded": "xid >= :since::text::xid8",
        "foldable": "xid >= :since::text::xid8 AND NOT time BETWEEN :before AND :now",
    },
}
_READING: Final = {"lock": "", "share": ""}
_HEADER = re.compile(r"^-- (\w+) --$", re.MULTILINE)
_COMMENT = re.compile(r"^--.*$", re.MULTILINE)
_PARAMETER = re.compile(r"(?<!:):(\w+)")


@cache
def load(dialect: str, *, reading: bool = False) -> dict[str, str]:
    """The statements of a dialect (`sqlite`, `postgres`), portable ones included, by name; without locks for a
    transaction that only reads."""
    macros = {**_MACROS, **_DIALECTS[dialect], **(_READING if reading else {})}
    statements: dict[str, str] = {}
    for name in ("portable", dialect):
        text = files("headbox.storage").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
        parts = _HEADER.split(text)[1:]
        for title, body in zip(parts[::2], parts[1::2], strict=True):
            if title in statements:
                raise ValueError(f"the statement {title} stands twice; keep one, in portable.sql or in each dialect")
            statements[title] = _COMMENT.sub("", body).strip().format(**statements, **macros)
    return statements


def payload_bytes(works: Iterable[Work]) -> int:
    """Of the arguments of tasks, as the statements count them."""
    return sum(len(work.args or b"") + len(work.kwargs or b"") for work in works)


def parameters(statement: str) -> tuple[str, ...]:
    """The names of a statement's parameters, in order of first appearance."""
    return tuple(dict.fromkeys(_PARAMETER.findall(statement)))


@cache
def numbered(statement: str, names: tuple[str, ...]) -> str:
    """The statement with `:name` as `?N`, N the place in `names`: rows of a batch are then plain tuples."""
    return _PARAMETER.sub(lambda match: f"?{names.index(match[1]) + 1}", statement)


@lru_cache(256)
def with_dollars(statement: str, names: tuple[str, ...]) -> bytes:
    """The same as PostgreSQL itself reads it, with `$N`."""
    return _PARAMETER.sub(lambda match: f"${names.index(match[1]) + 1}", statement).encode()


@lru_cache(256)
def of_row(statement: str, names: tuple[str, ...], given: tuple[str, ...]) -> str:
    """The statement over a set of rows for a single one, in which all of `names` but the `given` have the usual values
    (SQLite)."""

    def place(match: re.Match[str]) -> str:
        name = match[1]
        return match[0] if name in given or name not in names else _USUAL_TEXTS.get(name, "NULL")

    return _PARAMETER.sub(place, statement.replace("json_each(:rows)", "(SELECT 1)"))


@lru_cache(256)  # one for each kind of batch
def of_rows(statement: str, varying: tuple[str, ...]) -> str:
    """The statement with the `:name` of each of `varying` as an element of a row of JSON, `given.value`, in that order
    (a single one is the row itself): it works on a whole set of rows, and what they have in common remains a parameter
    (SQLite)."""

    def place(match: re.Match[str]) -> str:
        if match[1] not in varying:
            return match[0]
        element = f"given.value ->> {varying.index(match[1])}" if len(varying) > 1 else "given.value"
        return f"CAST({element} AS BLOB)" if COLUMN_TYPES[match[1]] == "bytea" else element

    return _PARAMETER.sub(place, statement)


def unusual(names: tuple[str, ...], row: Sequence[Any]) -> dict[str, Any]:
    """The values of a row by their names, but for the usual ones."""
    given = zip(names, row, _usual_row(names), strict=True)
    return {name: value for name, value, usual in given if value != usual}


@cache
def _usual_row(names: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(map(_USUAL.get, names))


@lru_cache(256)
def of_arrays(statement: str, varying: tuple[str, ...], common: tuple[str, ...]) -> str:
    """The same for PostgreSQL: `:rows` as one array for each of `varying`, what they have in `common` as parameters of
    its columns' types, and the usual values of the other columns. Where nothing differs the rows are one."""
    arrays = ", ".join(f":{name}::{COLUMN_TYPES[name]}[]" for name in varying)

    def place(match: re.Match[str]) -> str:
        name = match[1]
        if name == "rows":
            return f"unnest({arrays})" if varying else "(SELECT)"
        if name in varying:
            return f"given.{name}"
        if name not in COLUMN_TYPES:
            return match[0]
        return f":{name}::{COLUMN_TYPES[name]}" if name in common else _USUAL_TEXTS.get(name, "NULL")

    columns = f" AS given ({', '.join(varying)})" if varying else " AS given"
    return _PARAMETER.sub(place, statement).replace(" AS given", columns, 1)


@lru_cache(1024)  # those made from filters are of many kinds
def formatted(statement: str) -> bytes:
    """The statement with `:name` as `%(name)b`: as psycopg reads it, its parameters sent in binary."""
    return _PARAMETER.sub(r"%(\1)b", statement.replace("%", "%%")).encode()
