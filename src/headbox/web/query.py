"""Query strings, read strictly: bad encodings, unknown names and repetitions of single ones are a 400 that lists what
is valid."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import parse_qsl

from headbox.web.operations import Parameter
from headbox.web.problems import Problem

MAX_FIELDS: Final = 2000  # of a form

_BAD_PERCENT: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")

Query = Mapping[str, list[str]]


def check_encoding(raw: bytes, what: str) -> None:
    """Raises a 400 where percent signs are not followed by two digits or the bytes are not UTF-8."""
    if b"%" in raw and _BAD_PERCENT.search(raw):
        raise Problem(
            400, f"the {what} has a % that two hexadecimal digits do not follow; write %25 for the sign itself"
        )


def check_characters(text: str, what: str) -> None:
    """Raises a 400 for control characters, NUL among them."""
    if _CONTROL.search(text):
        raise Problem(400, f"the {what} has a control character; leave it out")


def parse_query(raw: bytes, parameters: Sequence[Parameter]) -> Query:
    """The values by name. Raises a 400 that says all that is wrong."""
    check_encoding(raw, "query")
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=1000)
    except UnicodeDecodeError:
        raise Problem(400, "the query is not UTF-8; encode it as UTF-8, then with percent signs") from None
    except ValueError:
        raise Problem(400, "the query has too many parameters; give at most 1,000") from None
    query: dict[str, list[str]] = {}
    for name, value in pairs:
        check_characters(value, f"parameter {name!r}")
        query.setdefault(name, []).append(value)
    _check_names(query, parameters)
    return query


def parse_form(raw: bytes) -> Query:
    """The values of a form by name (the URL standard's urlencoded). Raises a 400 where it is none."""
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:
        raise Problem(400, f"the form is not UTF-8, or has more than {MAX_FIELDS:,} fields") from None
    form: dict[str, list[str]] = {}
    for name, value in pairs:
        if "\0" in value:
            raise Problem(400, f"the field {name[:50]!r} has a NUL character; leave it out")
        form.setdefault(name, []).append(value)
    return form


def _check_names(query: Query, parameters: Sequence[Parameter]) -> None:
    known = {parameter.name: parameter for parameter in parameters}
    valid = f"valid are {', '.join(known)}" if known else "this call takes none"
    errors = [
        {"parameter": name, "detail": f"there is no such parameter; {valid}"}
        if name not in known
        else {"parameter": name, "detail": "give it once"}
        for name, values in query.items()
        if name not in known or (len(values) > 1 and not known[name].repeated)
    ]
    if errors:
        first = errors[0]
        raise Problem(400, f"the parameter {first['parameter']!r} is wrong: {first['detail']}", errors=errors)


def single(query: Query, name: str) -> str | None:
    """The value of a parameter that is given at most once."""
    values = query.get(name)
    return values[0] if values else None


def whole_number(query: Query, name: str, lowest: int, highest: int) -> int | None:
    """A parameter that is a whole number; 400 where it is none or out of range."""
    text = single(query, name)
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,18}", text, re.ASCII) or not lowest <= int(text) <= highest:
        raise Problem(400, f"{name} is {text[:50]!r}; give a whole number from {lowest} to {highest}")
    return int(text)
