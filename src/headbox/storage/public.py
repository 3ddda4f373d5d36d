"""The JSON that may be shown of a value: plain values as they are, any other object as its `repr`, shortened, and what
stands under a telling name (`password`, `api_key`, `authToken`) masked. Nothing a value's own code does breaks it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from math import isfinite
from typing import Any, Final

import msgspec

from headbox.config import MASK, Settings

DEFAULT_REDACT: Final = Settings().redact
MAX_REPR: Final = 200  # characters
MAX_DEPTH: Final = 20  # deeper containers are shown as their repr
MAX_PUBLIC: Final = 1024 * 1024
MAX_READ_OF_REPR: Final = 5_000  # characters of a repr that are searched for secrets before it is shortened
MAX_BITS: Final = 14_000  # of a whole number that is shown as one: Python reads no more than 4,300 digits

_encode = msgspec.json.Encoder().encode
_NAME_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W_A-Z0-9]+|[0-9]+")
_NAMED_VALUE = re.compile(
    r"""(?P<before> ['"]? (?P<name>[^\W\d][\w-]*) ['"]? \s*[=:]\s* )
        (?P<atom> [bB]?'(?:[^'\\]|\\.)*' | [bB]?"(?:[^"\\]|\\.)*" | [\w.+-]+(?=[,)\]}\s]|\Z) )?""",
    re.VERBOSE | re.DOTALL,
)


class Public:
    """Shows values with one list of telling name parts."""

    def __init__(self, redact: Iterable[str] = DEFAULT_REDACT) -> None:
        words = frozenset(word.lower() for word in redact)

        @lru_cache(maxsize=4096)
        def is_sensitive(name: str) -> bool:
            if name.lower() in words:
                return True
            return any(part.lower() in words for part in _NAME_PARTS.findall(name))

        self.is_sensitive = is_sensitive

    def json(self, value: Any, names: Sequence[str] = ()) -> str:
        """The value's public JSON; `names` are the names of a list's first elements, as a signature gives them."""
        shown = self._plain(value, 0, ())
        if type(shown) is list:
            for index, name in enumerate(names[: len(shown)]):
                if self.is_sensitive(name):
                    shown[index] = MASK
        text = _encode(shown)
        return (text if len(text) <= MAX_PUBLIC else _encode(self._summary(shown))).decode()

    def has_secrets(self, value: Any, names: Sequence[str] = ()) -> bool:
        """Whether anything in a plain value would be masked."""
        kind = type(value)
        if kind is dict:
            return any(map(self.is_sensitive, value)) or any(map(self.has_secrets, value.values()))
        if kind is list:
            named = names[: len(value)] if names else ()
            return any(map(self.is_sensitive, named)) or any(map(self.has_secrets, value))
        return False

    def repr(self, value: Any) -> str:
        """The value's `repr`, secrets masked; a stand-in where it raises."""
        try:
            text = repr(value)
        except Exception:  # noqa: BLE001 - the user's own code, whatever it raises
            return f"<{type(value).__name__} whose repr fails>"
        if not _is_encodable(text):
            text = ascii(text)[1:-1]
        return self._masked(text[:MAX_READ_OF_REPR]) + text[MAX_READ_OF_REPR:]

    def _masked(self, text: str) -> str:
        """The text of a repr with what is named like a secret masked: a literal alone, anything else to the end."""
        parts, end = [], 0
        for match in _NAMED_VALUE.finditer(text):
            if self.is_sensitive(match["name"]):
                parts += [text[end : match.end("before")], MASK]
                end = match.end() if match["atom"] else len(text)
            if end == len(text):
                break
        return "".join(parts) + text[end:]

    def _plain(self, value: Any, depth: int, inside: tuple[int, ...]) -> Any:
        kind = type(value)
        if kind in (bool, type(None)) or (kind is str and _is_encodable(value)):
            return value
        if (kind is int and value.bit_length() <= MAX_BITS) or (kind is float and isfinite(value)):
            return value
        if kind in (list, dict) and depth < MAX_DEPTH and id(value) not in inside:
            inside = (*inside, id(value))
            if kind is list:
                return [self._plain(item, depth + 1, inside) for item in value]
            if all(type(name) is str and _is_encodable(name) for name in value):
                return {
                    name: MASK if self.is_sensitive(name) else self._plain(item, depth + 1, inside)
                    for name, item in value.items()
                }
        return shorten(self.repr(value))

    def _summary(self, shown: Any) -> Any:
        """What is shown of a value that is too long to show: its outer shape, then its beginning alone."""
        if type(shown) is list:
            brief: Any = [shorten(self.repr(item)) for item in shown]
        elif type(shown) is dict:
            brief = {name: shorten(self.repr(item)) for name, item in shown.items()}
        else:
            return shorten(self.repr(shown))
        if len(_encode(brief)) <= MAX_PUBLIC:
            return brief
        rest = shorten(self.repr(shown))
        return [rest] if type(shown) is list else {"…": rest}


def shorten(text: str, limit: int = MAX_REPR) -> str:
    """The text, or its beginning and an ellipsis: at most `limit` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _is_encodable(text: str) -> bool:
    """Whether the text has no lone surrogates, which no JSON can carry."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
