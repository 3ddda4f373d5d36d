"""A batch's columns as PostgreSQL's binary arrays: nothing costs more when thousands of rows are enqueued or ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from struct import Struct
from typing import Any, ClassVar, Final, NamedTuple

import psycopg
from psycopg.adapt import AdaptersMap, Buffer, Dumper
from psycopg.pq import Format

from headbox.storage.postgres.connections import clean
from headbox.storage.queries import COLUMN_TYPES, unusual

_header = Struct("!iiIii").pack  # dimensions, whether there are nulls, the elements' type, how many, from which index
_length = Struct("!i").pack
_int8 = Struct("!q").pack
_whole = Struct("!iq").pack
_NULL: Final = _length(-1)
_TRUE, _FALSE = _length(1) + b"\1", _length(1) + b"\0"


class Column(list[Any]):
    """The values of one column; its subclasses say their type."""


class Integers(Column):
    """As `int8[]`."""


class Texts(Column):
    """As `text[]`."""


class Booleans(Column):
    """As `bool[]`."""


class Bytes(Column):
    """As `bytea[]`."""


def _of_integers(values: Iterable[int | None]) -> Iterable[bytes]:
    return (_NULL if value is None else _whole(8, value) for value in values)


def _of_booleans(values: Iterable[bool]) -> Iterable[bytes]:
    return (_TRUE if value else _FALSE for value in values)


def _of_texts(values: Iterable[str | None]) -> Iterable[bytes]:
    for value in values:
        if value is None:
            yield _NULL
        else:
            encoded = clean(value)
            yield _length(len(encoded))
            yield encoded


def _of_bytes(values: Iterable[bytes | None]) -> Iterable[bytes]:
    for value in values:
        if value is None:
            yield _NULL
        else:
            yield _length(len(value))
            yield value


class _ColumnDumper(Dumper):
    format = Format.BINARY
    element_oid: ClassVar[int]
    parts: ClassVar[Callable[[Iterable[Any]], Iterable[bytes]]]

    def dump(self, obj: Column) -> Buffer:
        count = len(obj)
        times = count if count and obj.count(obj[0]) == count else 1  # most columns of a batch say the same throughout
        elements = b"".join(type(self).parts(obj[:1] if times > 1 else obj)) * times
        return _header(1, 1, self.element_oid, count, 1) + elements


def _dumper(name: str, parts: Callable[[Iterable[Any]], Iterable[bytes]]) -> type[_ColumnDumper]:
    kind = psycopg.adapters.types[name]
    members = {"oid": kind.array_oid, "element_oid": kind.oid, "parts": staticmethod(parts)}
    return type(f"{name}_dumper", (_ColumnDumper,), members)


_KINDS: Final[Mapping[str, tuple[type[Column], type[_ColumnDumper]]]] = {
    "bigint": (Integers, _dumper("int8", _of_integers)),
    "boolean": (Booleans, _dumper("bool", _of_booleans)),
    "text": (Texts, _dumper("text", _of_texts)),
    "bytea": (Bytes, _dumper("bytea", _of_bytes)),
}


def adapt_columns(adapters: AdaptersMap) -> None:
    """Lets a connection send columns."""
    for kind, dumper in _KINDS.values():
        adapters.register_dumper(kind, dumper)


_DUMPERS: Final[Mapping[type[Column], _ColumnDumper]] = {kind: dumper(kind) for kind, dumper in _KINDS.values()}


def encoded(value: Any) -> Buffer | None:
    """A column, or a value that goes into one, as PostgreSQL reads it in binary."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, bool):
        return b"\1" if value else b"\0"
    if isinstance(value, int):
        return _int8(value)
    return _DUMPERS[type(value)].dump(value) if isinstance(value, Column) else value


def columns(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict[str, Column]:
    """The rows as one column for each name."""
    kinds = [_KINDS[COLUMN_TYPES[name]][0] for name in names]
    return {name: kind(values) for name, kind, values in zip(names, kinds, zip(*rows, strict=True), strict=True)}


class Set(NamedTuple):
    """A set of rows: a column for each name whose values differ, and what all have in common, but for the usual."""

    varying: dict[str, Column]
    common: dict[str, Any]


def as_set(names: tuple[str, ...], rows: Sequence[Sequence[Any]]) -> Set:
    """The rows as a set. An array costs more to send and to read than a value, and most values of tasks that are
    enqueued together are the same."""
    given = columns(names, rows) if len(rows) > 1 else {}
    varying = {name: column for name, column in given.items() if column.count(column[0]) < len(rows)}
    common = unusual(names, rows[0])
    return Set(varying, {name: common[name] for name in common if name not in varying} if varying else common)


_NARROW: Final[Mapping[str, str]] = {"run": "int4", "priority": "int2"}
_NAMES: Final[Mapping[str, str]] = {"bigint": "int8", "boolean": "bool", "text": "text", "bytea": "bytea"}


def copy_types(names: Sequence[str]) -> list[str]:
    """The types that the columns themselves have, which COPY must be told exactly."""
    return [_NARROW.get(name) or _NAMES[COLUMN_TYPES[name]] for name in names]
