"""Does what a page says, from its first block to its last, in a folder and a home of its own: files are written,
services started, commands typed and their output compared, Python executed."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from configparser import ConfigParser
from itertools import groupby
from pathlib import Path
from typing import Final

import pytest

from headbox.config import load_settings
from tests.docs.blocks import Block
from tests.service import PATIENCE, Output

INTERPRETER: Final = Path(__file__).with_name("interpreter.py")
# What does not end by itself: what it prints once it is ready, and the port that it has unless told.
SERVICES: Final = {
    "headbox serve": (r"Headbox answers at http://\S+?:(\d+)/", "8000"),
    "headbox api": (r"Headbox answers at http://\S+?:(\d+)/", "8000"),
    "headbox work": (None, None),
    "uvicorn": (r"running on http://\S+?:(\d+)", "8000"),
    "flask": (r"Running on http://\S+?:(\d+)", "5000"),
}
# Without the plugins of everybody else, which take a second to load.
PYTEST: Final = "PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 python -m pytest -q -p no:cacheprovider -p headbox.testing.plugin"
AGAIN: Final = 0.3  # seconds after which what ends is told again
LAST_OF_SERVE: Final = "task list"  # commands find a service once it has said what to type


class Scenario:
    """A page that is being followed. `stand_ins` are for places that exist only for the reader."""

    def __init__(self, folder: Path, stand_ins: dict[str, str]) -> None:
        self.folder = folder
        self.stand_ins = {"8000": "0", "5000": "0", **stand_ins}
        self._services: list[subprocess.Popen[bytes]] = []
        self._interpreter: subprocess.Popen[str] | None = None
        self._written: set[str] = set()
        home = folder.with_name(f"{folder.name}-home")
        home.mkdir()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HEADBOX_", "XDG_"))}
        self.environ = {
            **kept,
            "HOME": str(home),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "",  # what has been imported is known by it
            "NO_COLOR": "1",
            "COLUMNS": "120",
        }

    def follow(self, block: Block) -> None:
        """Does what one block says, and fails if that does not go as it says."""
        text = self._fit(block.text)
        if block.title is not None:
            self._write(block.title, text)
        KINDS[block.language](self, block, text)

    def end(self) -> None:
        """Ends all that was started; may be called again."""
        if self._interpreter is not None:
            self._interpreter.communicate(timeout=PATIENCE)
            self._interpreter = None
        for service in self._services:
            service.send_signal(signal.SIGTERM)
        for service in self._services:
            _end_at_once(service)
        self._services.clear()

    def idle_files(self) -> list[str]:
        """The Python files that nothing has imported or run, and so nobody knows to be right."""
        return sorted(name for name in self._written if not self._has_run(self.folder / name))

    def dead_services(self) -> list[str]:
        """What ended of what was to go on until the end."""
        return [shlex.join(map(str, service.args)) for service in self._services if service.poll() is not None]  # type: ignore[arg-type]

    def _has_run(self, file: Path) -> bool:
        return any(file.parent.glob(f"__pycache__/{file.stem}.*.pyc"))

    def _fit(self, text: str) -> str:
        for place, stand_in in self.stand_ins.items():
            text = re.sub(
                rf"(?<![\w.]){re.escape(place)}" + r"\b" * place.isdigit(), lambda _, found=stand_in: found, text
            )
        return text

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        if path.suffix == ".py" and text.strip():
            self._written.add(name)

    # the kinds of block

    def python(self, block: Block, text: str) -> None:
        if block.title is None:
            self._execute(block, text)
        elif Path(block.title).name.startswith("test_"):
            self._succeed(block, f"{PYTEST} {block.title}")

    def shell(self, block: Block, text: str) -> None:
        for command in _commands(text):
            self._type(block, command)

    def console(self, block: Block, text: str) -> None:
        """Commands behind `$ `, each with what it prints."""
        for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
            printed = self._type(block, command)
            if not expected.strip():
                continue
            ids = compare(expected, printed)
            if ids is None:
                pytest.fail(f"{block}: {command}\nis to print\n{expected}\nand prints\n{printed}", pytrace=False)
            self.stand_ins |= ids

    def toml(self, block: Block, text: str) -> None:
        tomllib.loads(text)
        if block.title == "headbox.toml":
            load_settings({}, {}, self.folder)

    def variables(self, block: Block, text: str) -> None:
        """Settings in the environment: they hold for all that follows."""
        given = dict(line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#"))
        load_settings({}, given, self.folder)
        self.environ |= given

    def unit(self, block: Block, text: str) -> None:
        parser = ConfigParser(strict=False, interpolation=None)
        parser.read_string(text)
        assert parser.sections()

    def json(self, block: Block, text: str) -> None:
        json.loads(text)

    def text(self, block: Block, text: str) -> None:
        assert block.title, f"{block}: text that is no file says nothing that can be tried"

    # what they do

    def _type(self, block: Block, command: str) -> str:
        """Types a command, and returns what it printed; of a service nothing, once it is ready."""
        self._written -= {name for name in self._written if name in command}
        words = command.partition(" #")[0].strip()
        for begins, (ready, port) in SERVICES.items():
            if f"{words} ".startswith(f"{begins} "):
                self._start(words, ready, port)
                return ""
        return self._succeed(block, command)

    def _start(self, command: str, ready: str | None, port: str | None) -> None:
        if port is not None and "--port" not in command:
            command += " --port 0"
        service = subprocess.Popen(
            shlex.split(command), cwd=self.folder, env=self.environ,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._services.append(service)
        if ready is None or port is None:
            return
        assert service.stdout is not None
        output = Output(service.stdout)
        found = re.search(ready, output.until(ready))
        assert found is not None
        self.stand_ins[port] = found[1]
        if command.startswith("headbox serve"):
            output.until(LAST_OF_SERVE)

    def _succeed(self, block: Block, command: str) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command], cwd=self.folder, env=self.environ, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        if done.returncode:
            pytest.fail(f"{block}: {command}\n{done.stdout}", pytrace=False)
        return done.stdout

    def _execute(self, block: Block, text: str) -> None:
        if self._interpreter is None:
            self._interpreter = subprocess.Popen(
                [sys.executable, str(INTERPRETER)], cwd=self.folder, env=self.environ,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
        assert self._interpreter.stdin is not None and self._interpreter.stdout is not None
        self._interpreter.stdin.write(json.dumps([str(block), text]) + "\n")
        self._interpreter.stdin.flush()
        wrong = json.loads(self._interpreter.stdout.readline() or '"it ended"')
        if wrong is not None:
            pytest.fail(f"{block}:\n{wrong}", pytrace=False)


KINDS: Final[dict[str, Callable[[Scenario, Block, str], None]]] = {
    "python": Scenario.python,
    "sh": Scenario.shell,
    "console": Scenario.console,
    "toml": Scenario.toml,
    "dotenv": Scenario.variables,
    "ini": Scenario.unit,
    "json": Scenario.json,
    "text": Scenario.text,
}


def compare(expected: str, printed: str) -> dict[str, str] | None:
    """None if something else was printed, else the ids that stand for those of the page. `…` stands for anything, a
    line of it for any lines; times may be others."""
    ids: list[str] = []
    lines = [_line_pattern(line, ids) for line in expected.strip().splitlines()]
    found = re.fullmatch("".join(lines), "".join(f"{line.strip()}\n" for line in printed.strip().splitlines()))
    return None if found is None else dict(zip(ids, found.groups(), strict=True))


def _line_pattern(line: str, ids: list[str]) -> str:
    if line.strip() == "…":
        return r"(?:[^\n]*\n)*"
    ids += ID.findall(line)
    pattern = r"\s+".join(map(re.escape, line.split())).replace("…", "[^\n]*")
    for what, like in _VARY:
        pattern = re.sub(what, lambda _, found=like: found, pattern)
    return pattern + r"\n"


ID: Final = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_VARY: Final = (
    (r"[0-9a-f]{8}(\\-[0-9a-f]{4}){3}\\-[0-9a-f]{12}", r"([0-9a-f-]{36})"),
    (r"\d\d:\d\d:\d\d", r"\d\d:\d\d:\d\d"),
    (r"\bnow\b", r"(?:now|\d+\s+s\s+ago)"),
    (r"\d+(\\\.\d+)?\\s\+m?s\b", r"[\d.]+\s+m?s"),
)


def _end_at_once(service: subprocess.Popen[bytes]) -> None:
    """Ends what was told to end already: told again, it lets nothing finish. Two signals that come together are one."""
    for _ in range(int(PATIENCE / AGAIN)):
        try:
            service.communicate(timeout=AGAIN)
        except subprocess.TimeoutExpired:
            service.send_signal(signal.SIGTERM)
        else:
            return
    raise AssertionError(f"{service.args} does not end")


def _commands(text: str) -> Iterator[str]:
    """The commands of a block: a service alone, what stands between services together, as one shell has it."""
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip() and not line.startswith("#")]
    for is_service, group in groupby(lines, key=lambda line: line.startswith(tuple(SERVICES))):
        commands = list(group)
        yield from commands if is_service else ["\n".join(commands)]
