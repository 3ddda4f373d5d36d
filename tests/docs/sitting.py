"""The terminals at which a page has its reader sit: what is typed there, what comes to be seen, and how it is left."""

from __future__ import annotations

import re
import termios
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Final

from tests.acceptance.cli.emulator import PATIENCE, Terminal

COLUMNS, ROWS = 160, 50
PASSWORD: Final = "password"  # that of the pages
ASKS: Final = re.compile(r"(?:password|again|confirmation)[^\n:]*: *$", re.IGNORECASE)
CTRL_C: Final = "\x03"
# How what goes on by itself is left, and with which status it then ends.
LEFT_WITH: Final = {"headbox top": ("q", 0), "headbox task watch": (CTRL_C, 130)}


class Sitting:
    """The terminals of one page."""

    def __init__(self) -> None:
        self._services: dict[str, Terminal] = {}
        self._command = ""
        self._terminal: Terminal | None = None

    def watch(
        self, command: str, folder: Path, environ: dict[str, str], is_so: Callable[[str], bool], is_service: bool
    ) -> str:
        """Types a command, gives the password whenever it is asked for, waits until the screen is so. The screen."""
        self._leave()
        home = SimpleNamespace(path=folder, environ=environ, command=("bash", "-euo", "pipefail", "-c"))
        terminal = Terminal(home, command.partition(" #")[0], columns=COLUMNS, rows=ROWS)
        if is_service:
            self._services[command] = terminal
        else:
            self._command, self._terminal = command, terminal
        answered: set[str] = set()

        def answer_and_look(screen: str) -> bool:
            asked = screen.rstrip()
            echoes = terminal.settings[3] & termios.ECHO  # not while a password is asked for
            if not echoes and ASKS.search(asked) and asked not in answered:
                answered.add(asked)
                terminal.press(f"{PASSWORD}\n")
            return is_so(screen)

        return terminal.until_so(answer_and_look, f"what the page shows after {command}")

    def see_end(self) -> str:
        """What stands on the screen once the command has ended by itself, and well."""
        terminal = self._terminal
        assert terminal is not None, "nothing was typed at a terminal"
        assert terminal.wait() == 0, str(terminal.screen)
        return str(terminal.screen)

    def dead_services(self) -> list[str]:
        """Those services that have ended."""
        return [command for command, terminal in self._services.items() if terminal.process.poll() is not None]

    def end(self) -> None:
        """Leaves all, as a person does; may be called again."""
        self._leave()
        for terminal in self._services.values():
            terminal.press(CTRL_C)
            terminal.process.wait(PATIENCE)
            terminal.close()
        self._services.clear()

    def _leave(self) -> None:
        terminal, self._terminal = self._terminal, None
        if terminal is None:
            return
        keys, status = LEFT_WITH.get(re.sub(r" +(?:-|#).*", "", self._command).strip(), ("", 0))
        if terminal.process.poll() is None:
            terminal.press(keys)
        try:
            assert terminal.wait() == status, f"{self._command}\n{terminal.screen}"
        finally:
            terminal.close()
