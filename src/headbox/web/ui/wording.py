"""Numbers, spans and times as people read them. What depends on the present is written for a page that is looked at
once; on a live page a script keeps it current (static/times.js), so that passing time alone sends nothing."""

from __future__ import annotations

import re
from typing import Final

from markupsafe import Markup, escape

from headbox.domain.iso8601 import time_of
from headbox.domain.task import DAY, HOUR, MINUTE, SECOND, Instant, Span

MILLISECOND: Final = SECOND // 1000
_UNITS: Final = ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s"))


def show_number(number: float) -> str:
    """With thousands apart: 12,345; a fraction to two figures while it is small."""
    return f"{number:,.0f}" if number == int(number) or abs(number) >= 100 else f"{number:.2g}"


def show_span(span: Span) -> str:
    """Two units at most: 3 min 20 s. Below ten seconds with a fraction, below one in milliseconds: < 1 ms."""
    if span < MILLISECOND:
        return "< 1 ms"
    if span < SECOND:
        return f"{span // MILLISECOND} ms"
    if span < 10 * SECOND:
        return f"{span / SECOND:.1f} s"
    place = next(index for index, (unit, _) in enumerate(_UNITS) if span >= unit)
    parts: list[str] = []
    for unit, name in _UNITS[place : place + 2]:
        count, span = divmod(span, unit)
        parts += [f"{count} {name}"] if count or not parts else []
    return " ".join(parts)


def show_prose(text: str) -> Markup:
    """What a docstring says: what stands in it between back-ticks, as in Markdown and reStructuredText, is code."""
    pieces = _CODE.split(text)
    shown = [
        Markup("<code>{}</code>").format(piece) if place % 3 == 2 else escape(piece)
        for place, piece in enumerate(pieces)
        if place % 3 != 1
    ]
    return Markup("").join(shown)


_CODE: Final = re.compile(r"(?<!`)(`{1,2})(?!`)(?=\S)(.+?)(?<=\S)(?<!`)\1(?!`)")


def show_instant(instant: Instant) -> str:
    """2026-12-01 06:00:00 UTC, to the second."""
    return f"{time_of(instant):%Y-%m-%d %H:%M:%S} UTC"


class Times:
    """What templates write times with. `is_live`: a script keeps current what depends on the present."""

    def __init__(self, now: Instant, *, is_live: bool) -> None:
        self.now = now
        self._is_live = is_live

    @property
    def milliseconds(self) -> int:
        """The present, as scripts count: by the server's clock, not the browser's."""
        return self.now // MILLISECOND

    def at(self, instant: Instant | None) -> Markup:
        """The instant itself."""
        return _NOTHING if instant is None else _time(instant, "at", show_instant(instant))

    def ago(self, instant: Instant | None) -> Markup:
        """How far it is from now: 3 min ago, in 2 h."""
        return _NOTHING if instant is None else _time(instant, "ago", self._from_now(instant))

    def since(self, instant: Instant | None) -> Markup:
        """How long it has lasted: 12 s."""
        if instant is None:
            return _NOTHING
        return _time(instant, "since", show_instant(instant) if self._is_live else show_span(self.now - instant))

    def _from_now(self, instant: Instant) -> str:
        if self._is_live:
            return show_instant(instant)
        passed = (self.now - instant) // SECOND  # nobody reads the rest, and it would flicker
        if passed == 0:
            return "just now"
        return f"{show_span(passed * SECOND)} ago" if passed > 0 else f"in {show_span(-passed * SECOND)}"


_NOTHING: Final = Markup('<span class="none">–</span>')


def _time(instant: Instant, kind: str, text: str) -> Markup:
    return Markup('<time datetime="{}" title="{}" data-{}="{}">{}</time>').format(
        time_of(instant).isoformat().replace("+00:00", "Z"),
        show_instant(instant),
        kind,
        instant // MILLISECOND,
        text,
    )


FILTERS: Final = {"number": show_number, "span": show_span, "prose": show_prose}
"""What templates may say of numbers, spans and texts."""
