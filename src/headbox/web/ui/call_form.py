"""The form for a call: its fields, read off a published signature as text (no task code is imported), and the arguments
that a filled-in form means."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from itertools import takewhile
from typing import Any, Final, Literal

import msgspec

Kind = Literal["text", "number", "truth", "json"]

_KINDS: Final[Mapping[str, Kind]] = {"str": "text", "int": "number", "float": "number", "bool": "truth"}
_HINTS: Final[Mapping[Kind, str]] = {"text": "", "number": "a number", "truth": "", "json": "JSON"}


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """A parameter of a callable. `default` is how the signature writes it; None where one must be given."""

    name: str
    kind: Kind
    place: Literal["positional only", "positional", "keyword", "rest", "keywords"]
    annotation: str = ""
    default: str | None = None

    @property
    def is_required(self) -> bool:
        """Whether a call without it fails."""
        return self.default is None and self.place not in ("rest", "keywords")

    @property
    def hint(self) -> str:
        """What may be typed."""
        special = {"rest": "a JSON list of more arguments", "keywords": "a JSON object of more named arguments"}
        return special.get(self.place) or _HINTS[self.kind]


EVERYTHING: Final = (
    Field(name="args", kind="json", place="rest"),
    Field(name="kwargs", kind="json", place="keywords"),
)  # of a signature that is no Python: a default shows itself as <object …>


def read_fields(signature: str) -> tuple[Field, ...]:
    """The parameters of a signature such as `(repo: str, *, feed=None)`."""
    try:
        function = ast.parse(f"def f{signature}: ...").body[0]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return EVERYTHING
    assert isinstance(function, ast.FunctionDef)
    found = function.args
    positional = [*found.posonlyargs, *found.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(found.defaults)) + list(found.defaults)
    fields = [
        _field(each, default, "positional only" if each in found.posonlyargs else "positional")
        for each, default in zip(positional, defaults, strict=True)
    ]
    if found.vararg:
        fields.append(Field(name=found.vararg.arg, kind="json", place="rest"))
    fields += [
        _field(each, default, "keyword") for each, default in zip(found.kwonlyargs, found.kw_defaults, strict=True)
    ]
    if found.kwarg:
        fields.append(Field(name=found.kwarg.arg, kind="json", place="keywords"))
    return tuple(fields)


def _field(argument: ast.arg, default: ast.expr | None, place: Any) -> Field:
    annotation = _annotation(argument.annotation)
    base = annotation.removesuffix(" | None").removeprefix("Optional[").removesuffix("]")
    return Field(
        name=argument.arg,
        kind=_KINDS.get(base, "json"),
        place=place,
        annotation=annotation,
        default=None if default is None else ast.unparse(default),
    )


def _annotation(expression: ast.expr | None) -> str:
    """As it was written, quoted or not."""
    if isinstance(expression, ast.Constant) and isinstance(expression.value, str):
        return expression.value
    return "" if expression is None else ast.unparse(expression)


def read_call(fields: tuple[Field, ...], given: Mapping[str, str]) -> tuple[list[Any], dict[str, Any], dict[str, str]]:
    """(args, kwargs, what is wrong by field) of the values that were typed. What is left empty is not given; the
    required ones in front go by position, as somebody would write the call, the others by name."""
    values: dict[str, Any] = {}
    trouble: dict[str, str] = {}
    for field in fields:
        typed = given.get(field.name, "")
        try:
            if typed.strip():
                values[field.name] = _value(field, typed)
            elif field.is_required:
                trouble[field.name] = "This is needed."
        except ValueError as error:
            trouble[field.name] = str(error)
    args, kwargs = _arrange(fields, values, trouble)
    return args, kwargs, trouble


def _arrange(
    fields: tuple[Field, ...], values: Mapping[str, Any], trouble: dict[str, str]
) -> tuple[list[Any], dict[str, Any]]:
    rest: list[Any] = next((values[field.name] for field in fields if _is_given(field, "rest", values)), [])
    named: dict[str, Any] = next((values[field.name] for field in fields if _is_given(field, "keywords", values)), {})
    single = [field for field in fields if field.place not in ("rest", "keywords")]

    def goes_by_position(field: Field) -> bool:
        may = field.place != "keyword" and field.name in values
        return may and (field.is_required or bool(rest) or field.place == "positional only")

    front = list(takewhile(goes_by_position, single))
    others = single[len(front) :]
    for field in others:
        if field.place == "positional only" and field.name in values:
            trouble.setdefault(field.name, "Give those before it as well: it goes by position.")
        if rest and field.place != "keyword":
            trouble.setdefault(field.name, "Give this too: more arguments come behind it.")
    for name in named.keys() & {field.name for field in single}:
        trouble.setdefault(name, "This is given twice.")
    kwargs = {field.name: values[field.name] for field in others if field.name in values}
    return [values[field.name] for field in front] + rest, kwargs | named


def _is_given(field: Field, place: str, values: Mapping[str, Any]) -> bool:
    return field.place == place and field.name in values


def _value(field: Field, typed: str) -> Any:
    """What was typed, as a value; ValueError says what is wrong."""
    if field.kind == "text":
        return typed
    try:
        value = msgspec.json.decode(typed.strip().encode())
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        is_anything = field.kind == "json" and not field.annotation and field.place not in ("rest", "keywords")
        if is_anything and typed.strip()[0] not in '{["':
            return typed  # nothing says what it should be: a word is a word
        raise ValueError(_WRONG[field.kind]) from None
    if field.kind == "number" and (isinstance(value, bool) or not isinstance(value, int | float | None)):
        raise ValueError(_WRONG["number"])
    if field.kind == "truth" and not isinstance(value, bool | None):
        raise ValueError(_WRONG["truth"])
    if field.place == "rest" and not isinstance(value, list):
        raise ValueError("This takes a JSON list, such as [1, 2].")
    if field.place == "keywords" and not isinstance(value, dict):
        raise ValueError('This takes a JSON object, such as {"name": 1}.')
    return value


_WRONG: Final[Mapping[Kind, str]] = {
    "text": "",
    "number": "This takes a number.",
    "truth": "This takes true or false.",
    "json": 'This is no JSON; write a text as "text".',
}
