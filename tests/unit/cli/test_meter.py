"""The meter of what takes long: its line, and that it is drawn where somebody looks."""

from __future__ import annotations

import io
import sys
from threading import Event

import pytest

from headbox.cli import meter
from headbox.cli.meter import ERASE, Meter, metered, metering
from headbox.cli.progress import bar


class Terminal(io.StringIO):
    def __init__(self) -> None:
        super().__init__()
        self.drawn = Event()

    def isatty(self) -> bool:
        return True

    def flush(self) -> None:
        self.drawn.set()


@pytest.mark.parametrize(
    ("total", "unit", "done", "seconds", "line"),
    [
        (None, "", 0, 3.2, "x  3.2 s"),
        (None, "", 12345, 61, "x  12,345  1 min 1 s"),
        (200, "", 50, 10, "x  ━━━━━━──────────────────   25%  50/200  31 s left"),
        (200, "", 0, 10, "x  ────────────────────────    0%  0/200  10 s"),
        (200, "", 250, 10, "x  ━━━━━━━━━━━━━━━━━━━━━━━━  100%  250/200  10 s"),
        (2_000_000, "bytes", 500_000, 1, "x  ━━━━━━──────────────────   25%  500.0 kB/2.0 MB  4 s left"),
        (0, "", 0, 1, "x  1.0 s"),
    ],
)
def test_the_line_says_how_far_and_how_long(total: int | None, unit: str, done: int, seconds: float, line: str) -> None:
    gauge = Meter("x", total, unit)
    gauge.advance(done)
    assert gauge.line(seconds) == line


@pytest.mark.parametrize(
    ("fraction", "shown"), [(-1, "────"), (0.1, "╸───"), (0.5, "━━──"), (0.9, "━━━╸"), (9, "━━━━")]
)
def test_a_bar_is_as_long_as_it_should_be(fraction: float, shown: str) -> None:
    assert bar(fraction, 4) == shown


def test_it_is_drawn_while_the_work_goes_on_and_then_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(meter, "QUICK", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "20")
    with metering("a long label that does not fit", 10):
        assert terminal.drawn.wait(30)
    drawn = terminal.getvalue()
    assert drawn.startswith(f"{ERASE}a long label that …") and drawn.endswith(ERASE)


def test_what_is_quick_has_no_meter(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(meter, "QUICK", 60.0)
    monkeypatch.setenv("TERM", "xterm")
    assert list(metered("reading", [1, 2])) == [1, 2]
    assert terminal.getvalue() == ""


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_terminal_that_cannot_redraw_is_left_alone(term: str, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(meter, "QUICK", 0.0)
    monkeypatch.setenv("TERM", term)
    with metering("x") as gauge:
        gauge.advance()
    assert terminal.getvalue() == ""
