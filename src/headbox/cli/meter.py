"""How far something long has come: a line on stderr that redraws itself, only on a terminal and if it takes long.

A thread draws it, so that it moves while the work waits for an answer.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from typing import Final, TypeVar

from headbox.cli.progress import bar
from headbox.cli.region import can_draw
from headbox.cli.table import cut
from headbox.cli.terminal import legible, width_of
from headbox.cli.times import coarse, show_span
from headbox.domain.progress import amount

T = TypeVar("T")

QUICK: Final = 0.5  # seconds that need no meter
TICK: Final = 0.1  # seconds between two drawings
BAR: Final = 24  # columns
ERASE: Final = "\r\x1b[K"


class Meter:
    """So much is done, of a total that may be unknown. `unit` is what is counted: `bytes`, or tasks and the like."""

    def __init__(self, label: str, total: int | None = None, unit: str = "") -> None:
        self.label, self.total, self.unit = label, total, unit
        self.done = 0

    def advance(self, count: int = 1) -> None:
        """So much more is done."""
        self.done += count

    def over(self, chunks: Iterable[Sequence[T]]) -> Iterator[Sequence[T]]:
        """The chunks; each is done when the next is asked for."""
        for chunk in chunks:
            yield chunk
            self.advance(len(chunk))

    def line(self, seconds: float) -> str:
        """What is drawn after so many seconds."""
        counted = amount(self.unit, self.done) if self.done or self.total else ""
        if not self.total:
            return "  ".join(filter(None, (self.label, counted, show_span(seconds))))
        fraction = min(self.done / self.total, 1.0)
        left = f"{coarse(seconds / fraction * (1 - fraction) + 1)} left" if 0 < fraction < 1 else show_span(seconds)
        of = f"{counted}/{amount(self.unit, self.total)}"
        return f"{self.label}  {bar(fraction, BAR)}  {fraction:4.0%}  {of}  {left}"


def metered(label: str, values: Iterable[T]) -> Iterator[T]:
    """The values, with a meter while they come."""
    with metering(label) as meter:
        for value in values:
            meter.advance()
            yield value


@contextmanager
def metering(
    label: str, total: int | None = None, *, unit: str = "", look: Callable[[], int] | None = None
) -> Iterator[Meter]:
    """Gives a meter that is drawn until the end of the block; `look` tells how much is done, where that can be seen."""
    meter = Meter(label, total, unit)
    if not can_draw():
        yield meter
        return
    ended = Event()
    thread = Thread(target=_draw, args=(meter, look, ended), name="headbox-meter", daemon=True)
    thread.start()
    try:
        yield meter
    finally:
        ended.set()
        thread.join()


def _draw(meter: Meter, look: Callable[[], int] | None, ended: Event) -> None:
    started, drawn, pause = time.monotonic(), False, QUICK
    while not ended.wait(pause):
        meter.done = look() if look else meter.done
        line = legible(meter.line(time.monotonic() - started), sys.stderr)
        sys.stderr.write(ERASE + cut(line, (width_of(sys.stderr) or 80) - 1))
        sys.stderr.flush()
        drawn, pause = True, TICK
    if drawn:
        sys.stderr.write(ERASE)
        sys.stderr.flush()
