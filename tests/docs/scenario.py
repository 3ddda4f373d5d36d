"""Does what a page says, from its first block to its last, in a folder and a home of its own: files are written,
services started, commands typed and their output compared, Python executed. What would change the machine has a
stand-in."""

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
from tests.docs.blocks import ROOT, Block
from tests.docs.printed import compare
from tests.docs.shells import offered
from tests.docs.sitting import Sitting
from tests.docs.stand_ins.machine import program, write_program
from tests.docs.superseding import log_of_superseded
from tests.service import PATIENCE, Output

INTERPRETER: Final = Path(__file__).with_name("interpreter.py")
# What does not end by itself: what it prints once it is ready, and the port that it has unless told.
SERVICES: Final = {
    r"(?:podman run .*)?headbox work\b": (None, None),
    r"headbox (?:serve|api)\b|make serve\b|podman run\b": (r"Headbox answers at http://\S+?:(\d+)/", "8000"),
    r"uvicorn\b": (r"running on http://\S+?:(\d+)", "8000"),
    r"flask\b": (r"Running on http://\S+?:(\d+)", "5000"),
}
SERVICE: Final = re.compile("|".join(SERVICES))
TAKE_A_PORT: Final = ("headbox", "uvicorn", "flask")
# Without the plugins of everybody else, which take a second to load.
PYTEST: Final = "PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 python -m pytest -q -p no:cacheprovider -p headbox.testing.plugin"
LONGEST: Final = 100.0  # seconds for the commands of one block
AGAIN: Final = 0.3  # seconds after which what ends is told again
LAST_OF_SERVE: Final = "task list"  # commands find a service once it has said what to type
# The folders of a system that pages name.
ELSEWHERE: Final = ("/etc/headbox", "/etc/systemd", "/opt/headbox", "/var/backups", "/var/lib/headbox")
# Variables that the pages know nothing of, those of the `make` that runs the tests among them: one within it says more.
OF_OTHERS: Final = ("HEADBOX_", "XDG_", "PYTEST_", "MAKE", "MFLAGS")
STAND_INS: Final = ("install", "npm", "podman", "systemctl", "useradd")


class Scenario:
    """A page that is being followed. `stand_ins` are for places that exist only for the reader; `checkout` gives the
    folder of the source as a clone has it."""

    def __init__(self, folder: Path, checkout: Callable[[], Path], stand_ins: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.machine = folder.with_name(f"{folder.name}-machine")
        self.stand_ins = {"8000": "0", "5000": "0", **{path: f"{self.machine}{path}" for path in ELSEWHERE}}
        self.stand_ins |= stand_ins or {}
        self._checkout = checkout
        self._sitting = Sitting()
        self._services: list[subprocess.Popen[bytes]] = []
        self._interpreter: subprocess.Popen[str] | None = None
        self._written: set[str] = set()
        self._seen: set[Path] = set()
        home = folder.with_name(f"{folder.name}-home")
        home.mkdir()
        programs = self.machine / "stand-ins"
        for name in STAND_INS:
            write_program(programs / name, f'exec {shlex.join(program(name))} "$@"')
        others = f'case "$1 $2" in "-m venv") shift 2; exec {shlex.join(program("venv"))} "$@";; esac'
        for name in ("python", "python3"):
            write_program(programs / name, f'{others}\nexec {sys.executable} "$@"')
        kept = {name: value for name, value in os.environ.items() if not name.startswith(OF_OTHERS)}
        self.environ = {
            **kept,
            "HOME": str(home),
            "MACHINE": str(self.machine),
            "PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "",  # what has been imported is known by it
            "NO_COLOR": "1",
            "COLUMNS": "120",
        }

    def follow(self, block: Block) -> None:
        """Does what one block says, and fails if that does not go as it says."""
        text = self._fit(block.text, block.in_checkout)
        if block.title is not None:
            self._write(self._fit(block.title), text)
        KINDS[block.language](self, block, text)

    def end(self) -> None:
        """Ends all that was started; may be called again."""
        if self._interpreter is not None:
            self._interpreter.communicate(timeout=PATIENCE)
            self._interpreter = None
        self._sitting.end()
        for path in self.machine.glob("run/*.pid"):
            subprocess.run([self.machine / "stand-ins/systemctl", "stop", path.stem], env=self.environ, check=True)
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
        ended = [shlex.join(map(str, service.args)) for service in self._services if service.poll() is not None]  # type: ignore[arg-type]
        names = [path.stem for path in self.machine.glob("run/*.pid")]
        command = [self.machine / "stand-ins/systemctl", "is-active", *names]
        told = subprocess.run(command, env=self.environ, capture_output=True, text=True, check=True).stdout.split()
        units = [name for name, state in zip(names, told, strict=True) if state != "active"]
        return ended + units + self._sitting.dead_services()

    def _has_run(self, file: Path) -> bool:
        return any(file.parent.glob(f"__pycache__/{file.stem}.*.pyc"))

    def _fit(self, text: str, in_checkout: bool = False) -> str:
        for place, stand_in in self.stand_ins.items():
            if in_checkout and place == ".venv/bin/":
                continue
            text = re.sub(
                rf"(?<![\w.]){re.escape(place)}" + r"\b" * place.isdigit(), lambda _, found=stand_in: found, text
            )
        return text

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name.replace("~", self.environ["HOME"])
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
        """Commands behind `$ `, each with what it prints; before them, what stands in place of what the last block has
        shown on its terminal once its command has ended."""
        before, _, _ = f"\n{text}".partition("\n$ ")
        if before.strip():
            self._agree(block, "it", before, self._sitting.see_end())
        for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
            if block.on_terminal:
                self._watch(block, command, expected)
            else:
                self._agree(block, command, expected, self._type(block, command))

    def _agree(self, block: Block, command: str, expected: str, printed: str) -> None:
        ids = compare(expected, printed) if expected.strip() else {}
        if ids is None:
            pytest.fail(f"{block}: {command}\nis to print\n{expected}\nand prints\n{printed}", pytrace=False)
        self.stand_ins |= ids

    def _watch(self, block: Block, command: str, expected: str) -> None:
        """Types a command at a terminal, and waits until that is shown, though it may go on."""
        begins = next((begins for begins in SERVICES if re.match(begins, command)), None)
        environ = self.environ | ({"HEADBOX_PORT": "0"} if begins else {})
        shown = self._sitting.watch(
            command, self._place(block), environ, lambda screen: compare(expected, screen) is not None, bool(begins)
        )
        self._agree(block, command, expected, shown)
        ready, port = SERVICES[begins] if begins else (None, None)
        if ready and port and (found := re.search(ready, shown)):
            self.stand_ins[port] = found[1]

    def tree(self, block: Block, text: str) -> None:
        """Folders and files of the repository, indented: each is there, and no room of the house is left out."""
        paths: list[tuple[int, Path]] = []
        for indent, names in re.findall(r"^( *)(\S+(?: +\S+[/.]\S*)*)(?:  |$)", text, re.MULTILINE):
            paths = [(depth, path) for depth, path in paths if depth < len(indent)]
            for name in names.split():
                path = (paths[-1][1] if paths else ROOT) / name
                assert path.exists(), f"{block}: there is no {path}"
                self._seen.add(path)
            if name.endswith("/"):
                paths.append((len(indent), path))
        rooms = {path for path in (ROOT / "src/headbox").iterdir() if path.is_dir() and "__" not in path.name}
        assert rooms <= self._seen, f"{block}: it does not show {rooms - self._seen}"

    def log(self, block: Block, text: str) -> None:
        """A line of a worker's log, as it comes to be written."""
        self._agree(block, "the log", text, log_of_superseded(self.folder))

    def completion(self, block: Block, text: str) -> None:
        """What makes a shell complete words: it does."""
        found = offered(block.language, text, "headbox sche", self.folder, self.environ)
        assert found == ["schedule"], f"{block}: {found}"

    def toml(self, block: Block, text: str) -> None:
        tomllib.loads(text)
        if block.title == "headbox.toml":
            load_settings({}, {}, self.folder)

    def variables(self, block: Block, text: str) -> None:
        """Settings in the environment: they hold for all that follows."""
        given = dict(line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#"))
        load_settings({}, given, self.folder)
        if block.title is None:
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
        place = self._place(block)
        self._written -= {name for name in self._written if name in command}
        words = command.partition(" #")[0].strip()
        for begins, (ready, port) in SERVICES.items():
            if re.match(begins, words):
                return self._start(words, place, ready, port)
        return self._succeed(block, command)

    def _place(self, block: Block) -> Path:
        return self._checkout() if block.in_checkout else self.folder

    def _start(self, command: str, place: Path, ready: str | None, port: str | None) -> str:
        if port is not None and "--port" not in command and command.startswith(TAKE_A_PORT):
            command += " --port 0"
        service = subprocess.Popen(
            shlex.split(command), cwd=place, env=self.environ,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._services.append(service)
        if ready is None or port is None:
            return ""
        assert service.stdout is not None
        output = Output(service.stdout)
        found = re.search(ready, output.until(ready))
        assert found is not None
        self.stand_ins[port] = found[1]
        if "headbox serve" in command:
            output.until(LAST_OF_SERVE)
        return ""

    def _succeed(self, block: Block, command: str) -> str:
        variables = self.folder.with_name(f"{self.folder.name}-variables")
        if "export " in command:
            command += f"\nenv --null > {variables}"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command], cwd=self._place(block), env=self.environ,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=LONGEST, check=False,
        )  # fmt: skip
        if done.returncode:
            pytest.fail(f"{block}: {command}\n{done.stdout}", pytrace=False)
        if variables.exists():
            self.environ |= dict(pair.split("=", 1) for pair in variables.read_text("utf-8").split("\0") if pair)
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
    "tree": Scenario.tree,
    "log": Scenario.log,
    **dict.fromkeys(("bash", "zsh", "fish"), Scenario.completion),
}


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
    for is_service, group in groupby(lines, key=lambda line: bool(SERVICE.match(line))):
        commands = list(group)
        yield from commands if is_service else ["\n".join(commands)]
