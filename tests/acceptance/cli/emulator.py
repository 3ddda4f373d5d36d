"""A terminal that is a person's: a real pseudo-terminal, what stands on its screen, and keys to press.

Knows the control sequences that Headbox may use; any other is a failure: whatever got it there could do anything.
"""

from __future__ import annotations

import codecs
import fcntl
import os
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable
from typing import Any

from rich.cells import cell_len

PATIENCE = 30.0
OTHER_SCREEN = "1049"
SHELL = ("bash", "--norc", "--noediting", "-i")
SEQUENCE = re.compile(
    r"\x1b\[(\??)([0-9;]*)([A-Za-z])|\x1b(.)|([\x00-\x1f\x7f-\x9f])|([^\x00-\x1f\x7f-\x9f]+)", re.DOTALL
)
UNFINISHED = re.compile(r"\x1b(?:\[[0-9;?]*)?$")


class Screen:
    """What a terminal shows."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.cells: list[list[str]] = [[] for _ in range(rows)]
        self.row = self.column = 0
        self.modes: set[str] = set()
        self._other: list[list[str]] = []

    def __str__(self) -> str:
        return "\n".join("".join(line).rstrip() for line in self.cells)

    def resize(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.cells = [line[:columns] for line in self.cells[:rows]] + [[] for _ in range(rows - len(self.cells))]
        self.row = min(self.row, rows - 1)

    def feed(self, text: str) -> None:
        for private, numbers, final, other, control, plain in SEQUENCE.findall(text):
            if final:
                self._sequence(private, numbers, final)
            elif control:
                self._control(control)
            elif plain:
                self._print(plain)
            else:
                raise AssertionError(f"a sequence that nobody expects: ESC {other!r}")

    def _sequence(self, private: str, numbers: str, final: str) -> None:
        first = int(numbers.partition(";")[0] or 1)
        if private and final in "hl":
            (self.modes.add if final == "h" else self.modes.discard)(numbers)
            if numbers == OTHER_SCREEN:
                self.cells, self._other = self._other, self.cells
                self.resize(self.columns, self.rows)
        elif final == "H":
            self.row, self.column = first - 1, int(numbers.partition(";")[2] or 1) - 1
            assert self.row < self.rows, "it draws below the screen"
        elif final == "A":
            self.row = max(self.row - first, 0)
        elif final == "K":
            assert numbers in ("", "2"), numbers
            del self.cells[self.row][0 if numbers else self.column :]
        elif final == "J":
            assert numbers in ("", "0", "2"), numbers
            if numbers == "2":
                self.cells = [[] for _ in range(self.rows)]
            else:
                del self.cells[self.row][self.column :]
                self.cells[self.row + 1 :] = [[] for _ in range(self.rows - self.row - 1)]
        else:
            assert final == "m", f"a sequence that nobody expects: {private}{numbers}{final}"

    def _control(self, control: str) -> None:
        assert control in "\r\n\b", f"a control character that nobody expects: {control!r}"
        if control == "\r":
            self.column = 0
        elif control == "\n":
            self._next_row()

    def _next_row(self) -> None:
        self.row += 1
        if self.row == self.rows:
            self.cells = [*self.cells[1:], []]
            self.row -= 1

    def _print(self, text: str) -> None:
        for character in text:
            width = cell_len(character)
            if self.column + width > self.columns:
                self.column = 0
                self._next_row()
            line = self.cells[self.row]
            line.extend(" " * (self.column - len(line)))
            line[self.column : self.column + width] = [character, *[""] * (width - 1)]
            self.column += width


class Terminal:
    """A command in a terminal of its own; without words, a shell."""

    def __init__(self, home: Any, *words: str, columns: int = 80, rows: int = 24, **environ: str) -> None:
        self._fd, slave = os.openpty()
        self.screen = Screen(columns or 80, rows or 24)  # as programs take one that has no size
        self._set_size(columns, rows)
        self.raw = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("strict")
        self._rest = ""
        environment = {**home.environ, "TERM": "xterm-256color", **environ}
        environment.pop("COLUMNS", None)
        command = home.command if words else SHELL
        self.process = subprocess.Popen(
            [*command, *words],
            cwd=home.path,
            env=environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        self._slave = slave

    @property
    def settings(self) -> list[Any]:
        """How the terminal is set: whether it echoes, whether it takes lines."""
        return termios.tcgetattr(self._slave)

    def resize(self, columns: int, rows: int) -> None:
        self.screen.resize(columns, rows)
        self._set_size(columns, rows)

    def _set_size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def press(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def until(self, pattern: str) -> str:
        """Waits until the pattern is found on the screen. The screen."""
        return self._read(lambda: re.search(pattern, str(self.screen)) is not None, f"{pattern!r} to be shown")

    def until_gone(self, pattern: str) -> str:
        """Waits until the pattern is found on the screen no more. The screen."""
        return self._read(lambda: re.search(pattern, str(self.screen)) is None, f"{pattern!r} to be gone")

    def until_so(self, is_so: Callable[[str], bool], what: str) -> str:
        """Waits until the screen is so. The screen."""
        return self._read(lambda: is_so(str(self.screen)), what)

    def until_more(self, length: int) -> None:
        """Waits until more than so many characters have come."""
        self._read(lambda: len(self.raw) > length, "more to be drawn")

    def wait(self) -> int:
        """The exit status of the command, once all that it wrote is on the screen."""
        status = self.process.wait(PATIENCE)
        while select.select([self._fd], [], [], 0)[0]:
            self._take()
        return status

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._fd)
        os.close(self._slave)

    def _read(self, is_there: Any, what: str) -> str:
        deadline = time.monotonic() + PATIENCE
        while not is_there():
            ready, _, _ = select.select([self._fd], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"waited in vain for {what}:\n{self.screen}"
            self._take()
        return str(self.screen)

    def _take(self) -> None:
        text = self._rest + self._decoder.decode(os.read(self._fd, 65536))
        unfinished = UNFINISHED.search(text)
        self._rest = unfinished[0] if unfinished else ""
        text = text[: len(text) - len(self._rest)]
        self.raw += text
        self.screen.feed(text)
