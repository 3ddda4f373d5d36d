"""The whole terminal as a screen: drawn again and again, but only where it has changed; and the keys pressed in it."""

from __future__ import annotations

import os
import re
import signal
import sys
import termios
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Final

from headbox.cli.table import Line, cells_of
from headbox.cli.terminal import coloured, legible, paint

ENTER: Final = "\x1b[?1049h\x1b[?25l\x1b[2J"  # the other screen, no cursor, empty
LEAVE: Final = "\x1b[?25h\x1b[?1049l"
TOGETHER, SHOWN = "\x1b[?2026h", "\x1b[?2026l"  # terminals that know these show all that is between them at once
ERASE_REST: Final = "\x1b[K"
KEYS: Final = {
    "\x1b[A": "up", "\x1bOA": "up", "k": "up",
    "\x1b[B": "down", "\x1bOB": "down", "j": "down",
    "\x1b[5~": "page up", "\x1b[6~": "page down", " ": "page down",
    "\x1b[H": "home", "\x1b[1~": "home", "\x1bOH": "home", "g": "home",
    "\x1b[F": "end", "\x1b[4~": "end", "\x1bOF": "end", "G": "end",
    "p": "pause", "q": "quit", "Q": "quit",
}  # fmt: skip
_SEQUENCE: Final = re.compile(r"\x1b(?:\[[0-9;]*[A-Za-z~]|O[A-Z])|.", re.DOTALL)


def read_keys(text: str) -> list[str]:
    """What the keys that sent these characters mean; others mean nothing."""
    return [KEYS[sequence] for sequence in _SEQUENCE.findall(text) if sequence in KEYS]


class Screen:
    """The terminal behind standard output."""

    def __init__(self) -> None:
        self._lines: list[Line] = []
        self._size = (0, 0)

    def size(self) -> tuple[int, int]:
        """Its columns and rows; 80 and 24 where it does not say."""
        try:
            columns, rows = os.get_terminal_size(sys.stdout.fileno())
        except OSError:
            columns, rows = 0, 0
        return columns or 80, rows or 24

    def draw(self, lines: Sequence[Line]) -> None:
        """Shows the lines, from the top. Writes those that are not as they were."""
        size = self.size()
        text = changed_lines(self._lines if size == self._size else None, lines, size[0], colour=coloured(sys.stdout))
        self._lines, self._size = list(lines), size
        if text:
            sys.stdout.write(legible(f"{TOGETHER}{text}{SHOWN}", sys.stdout))
            sys.stdout.flush()

    def enter(self) -> None:
        """Takes the terminal."""
        self._lines, self._size = [], (0, 0)
        sys.stdout.write(ENTER)
        sys.stdout.flush()

    def leave(self) -> None:
        """Gives it back as it was."""
        sys.stdout.write(LEAVE)
        sys.stdout.flush()


def changed_lines(before: Sequence[Line] | None, lines: Sequence[Line], width: int, *, colour: bool) -> str:
    """What to write so that the screen shows `lines` where it showed `before`; None: nobody knows what."""
    parts = ["\x1b[2J"] if before is None else []
    old = before or []
    for number in range(max(len(lines), len(old))):
        line = lines[number] if number < len(lines) else []
        if number < len(old) and line == old[number]:
            continue
        text = "".join(paint(styled.text, styled.style if colour else "") for styled in line)
        is_full = sum(cells_of(styled.text) for styled in line) >= width  # erasing would take its last character
        parts.append(f"\x1b[{number + 1};1H{text}{'' if is_full else ERASE_REST}")
    return "".join(parts)


@contextmanager
def taken(screen: Screen, keyboard: int | None) -> Iterator[None]:
    """The terminal is the screen's within the block, also when it was stopped by Ctrl-Z and goes on."""
    before = termios.tcgetattr(keyboard) if keyboard is not None else None

    def take() -> None:
        if keyboard is not None:
            tty.setcbreak(keyboard)
        screen.enter()

    def give_back() -> None:
        with suppress(OSError, termios.error):  # a terminal that was closed needs nothing
            screen.leave()
            if keyboard is not None and before is not None:
                termios.tcsetattr(keyboard, termios.TCSADRAIN, before)

    def stop(number: int, frame: FrameType | None) -> None:
        give_back()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, stop)
        take()

    handlers: dict[int, Any] = {signal.SIGTSTP: stop, signal.SIGTERM: _end, signal.SIGHUP: _end}
    previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        take()
        yield
    finally:
        give_back()
        for number, handler in previous.items():
            signal.signal(number, handler)


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)
