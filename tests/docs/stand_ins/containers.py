"""`podman` without an engine: the steps of a Containerfile are taken in a folder that is the image's root, and what a
container runs is run from there, with its variables, mounts and working directory."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from tests.docs.stand_ins.machine import MACHINE, NOTHING, accounts, inside, settings

IMAGE: Final = MACHINE / "images/headbox"
CONTAINERS: Final = MACHINE / "containers"


def podman(command: str, *words: str) -> None:
    """`build`, `run` or `exec`."""
    {"build": build, "run": run, "exec": execute}[command](words)


class Building:
    """An image while it is built: a method for each instruction; AttributeError for one that nobody knows."""

    def __init__(self, context: Path) -> None:
        self.context = context
        self.stages: dict[str, Path] = {}
        self.environ: dict[str, str] = {}
        self.folder = "/"
        self.command: list[str] = []

    def on_from(self, name: str) -> None:
        """A stage begins; what the one before has made is set aside."""
        image, _, stage = name.partition(" AS ")
        assert re.fullmatch(r"docker\.io/library/python:3\.\d+-slim", image), image
        for before in self.stages:
            self.stages[before] = IMAGE.rename(MACHINE / f"stage-{before}")
        IMAGE.mkdir(parents=True)
        self.stages |= {stage: IMAGE} if stage else {}
        self.environ, self.folder = {}, "/"

    def on_workdir(self, path: str) -> None:
        self.folder = path
        self._place(path).mkdir(parents=True, exist_ok=True)

    def on_copy(self, text: str) -> None:
        *sources, target = text.split()
        origin = self.context
        if sources[0].startswith("--from="):
            origin = self.stages[sources.pop(0).removeprefix("--from=")]
        for source in sources:
            found, place = origin / source.lstrip("/"), self._place(self.folder) / inside(target, IMAGE)
            if found.is_dir():
                shutil.copytree(found, place, symlinks=True, dirs_exist_ok=True)
            else:
                place = place / found.name if target.endswith("/") else place
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(found, place)

    def on_run(self, command: str) -> None:
        environ = {**os.environ, **surroundings(self.environ)}
        subprocess.run(["sh", "-euc", inside(command, IMAGE)], cwd=self._place(self.folder), env=environ, check=True)

    def on_env(self, text: str) -> None:
        self.environ |= dict(word.split("=", 1) for word in shlex.split(text))

    def on_user(self, name: str) -> None:
        self.environ["HOME"] = accounts()[name].removeprefix(str(IMAGE))

    def on_cmd(self, text: str) -> None:
        self.command = json.loads(text)

    def on_volume(self, path: str) -> None:
        assert self._place(path).is_dir()

    def on_expose(self, port: str) -> None:
        assert port == "8000"

    def on_stopsignal(self, name: str) -> None:
        assert name == "SIGTERM"

    def _place(self, path: str) -> Path:
        return Path(inside(path, IMAGE) if path != "/" else IMAGE)


def build(words: tuple[str, ...]) -> None:
    """Takes the steps of a Containerfile, and writes down what a container of the image begins with."""
    parser = argparse.ArgumentParser(prog="podman build", allow_abbrev=False)
    parser.add_argument("-f", type=Path, required=True)
    parser.add_argument("-t", choices=["headbox"], required=True)
    parser.add_argument("context", type=Path)
    given = parser.parse_args(words)
    building = Building(given.context)
    for instruction, rest in steps(given.f.read_text("utf-8")):
        getattr(building, f"on_{instruction.lower()}")(rest)
    image = {"environ": building.environ, "folder": building.folder, "command": building.command}
    Path(f"{IMAGE}.json").write_text(json.dumps(image), "utf-8")


def steps(text: str) -> Iterator[tuple[str, str]]:
    """(instruction, the rest of it) of each step, in order."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    for step in "\n".join(lines).replace("\\\n", " ").splitlines():
        instruction, _, rest = step.partition(" ")
        yield instruction, rest.strip()


def run(words: tuple[str, ...]) -> None:
    """Becomes what a new container runs."""
    parser = argparse.ArgumentParser(prog="podman run", allow_abbrev=False)
    parser.add_argument("--init", action="store_true", required=True)
    parser.add_argument("--name", default="nameless")
    parser.add_argument("--env-file", type=Path, default=os.devnull)
    parser.add_argument("-p")
    parser.add_argument("-v", action="append", default=[])
    parser.add_argument("image", choices=["headbox"])
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args(words)
    image = json.loads(Path(f"{IMAGE}.json").read_text("utf-8"))
    mounts = dict(map(mount, given.v))
    environ = image["environ"] | {"HEADBOX_PORT": "0"} | settings(Path(given.env_file).read_text("utf-8"))
    container = {"environ": surroundings(environ, mounts), "folder": inside(image["folder"], IMAGE, mounts)}
    CONTAINERS.mkdir(exist_ok=True)
    (CONTAINERS / f"{given.name}.json").write_text(json.dumps(container), "utf-8")
    become(given.command or image["command"], **container)


def mount(volume: str) -> tuple[str, str]:
    """(where it is mounted, the folder that is mounted) of an argument of -v."""
    source, target, *mode = volume.split(":")
    assert mode in ([], ["ro"])
    if "/" in source:
        return target, str(Path(source).resolve(strict=True))
    folder = MACHINE / "volumes" / source
    folder.mkdir(parents=True, exist_ok=True)
    return target, str(folder)


def surroundings(environ: Mapping[str, str], mounts: Mapping[str, str] = NOTHING) -> dict[str, str]:
    """The variables of a container, their paths where they are on this machine."""
    placed = {name: inside(value, IMAGE, mounts) for name, value in environ.items()}
    path = placed.get("PATH", "$PATH").replace("$PATH", os.environ["PATH"])
    return {**placed, "PATH": path}


def execute(words: tuple[str, ...]) -> None:
    """Becomes a command that is run in a container that runs."""
    parser = argparse.ArgumentParser(prog="podman exec", allow_abbrev=False)
    parser.add_argument("-it", action="store_true")
    parser.add_argument("name")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args(words)
    become(given.command, **json.loads((CONTAINERS / f"{given.name}.json").read_text("utf-8")))


def become(command: list[str], environ: dict[str, str], folder: str) -> None:
    """Runs a command with nothing of this environment but the terminal."""
    os.chdir(folder)
    os.execvpe(command[0], command, environ | {"TERM": os.environ.get("TERM", "dumb")})
