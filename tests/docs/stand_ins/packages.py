"""`python3 -m venv`, `pip` and `npm` without a network: what a lock names is taken from the environment of the tests,
which has to hold just that; the project itself is really built and installed."""

from __future__ import annotations

import argparse
import base64
import csv
import hashlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from importlib.metadata import PathDistribution, distribution, version
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

from tests.docs.stand_ins.machine import ROOT, program, write_program

HERE: Final = Path(sysconfig.get_path("purelib"))
REAL: Final = ("--no-index", "--no-deps", "--no-build-isolation", "--quiet")
OFFLINE: Final = {*REAL, "--require-hashes", "--no-cache-dir", "--disable-pip-version-check"}
PINNED: Final = re.compile(r"^([\w.-]+==[^\s\\]+(?: ; [^\\\n]+)?)", re.MULTILINE)
WHEEL_BYTES: Final = 15_000
VENDOR: Final = ROOT / "src/headbox/web/static/vendor"


def make_environment(folder: str) -> None:
    """A virtual environment whose pip is this one."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    command = shlex.join([*program("pip"), str(Path(folder).absolute())])
    write_program(Path(folder, "bin/pip"), f'exec {command} "$@"')
    package = _site_packages(Path(folder)) / "pip"
    package.mkdir()
    (package / "__init__.py").touch()
    becomes = f"os.execv({sys.executable!r}, {shlex.split(command)!r} + sys.argv[1:])"
    (package / "__main__.py").write_text(f"import os, sys\n{becomes}\n", "utf-8")


def pip(environment: str, *words: str) -> None:
    """What `pip` would do in that environment."""
    command, *rest = [word for word in words if word not in OFFLINE]
    if command == "download":
        return _download(rest)
    _link(Path(environment))
    if command == "install" and rest[0] == "-r":
        return _check_lock(Path(rest[1]))
    python = f"{environment}/bin/python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, command, *REAL, *rest],
        env={**os.environ, "PIP_NO_COMPILE": "1"}, check=True,
    )  # fmt: skip
    if command == "install":
        extras = re.findall(r"\[(\w+)\]", rest[-1])
        _check_project(Path(environment), extras)
    return None


def _site_packages(environment: Path) -> Path:
    (found,) = environment.glob("lib/python*/site-packages")
    return found


def _link(environment: Path) -> None:
    """Lends the environment the packages of the tests."""
    (_site_packages(environment) / "locked.pth").write_text(f"{HERE}\n", "utf-8")


def _check_lock(lock: Path) -> None:
    """What a lock names is what the tests have."""
    for line in PINNED.findall(lock.read_text("utf-8")):
        _check(Requirement(line))


def _check_project(environment: Path, extras: list[str]) -> None:
    """What the installed project needs, with its extras, is there."""
    (found,) = _site_packages(environment).glob("headbox-*.dist-info")
    project = PathDistribution(found)
    unknown = set(extras) - set(project.metadata.get_all("Provides-Extra") or [])
    if unknown:
        raise ValueError(f"headbox has no extra {unknown}")
    for line in project.requires or []:
        _check(Requirement(line), extras or [""])


def _check(needed: Requirement, extras: list[str] | None = None) -> None:
    if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras or [""]):
        for extra in needed.extras:
            assert extra in (distribution(needed.name).metadata.get_all("Provides-Extra") or [])
        if version(needed.name) not in needed.specifier:
            raise ValueError(f"{needed} is wanted, and {version(needed.name)} is here: run `make install`")


def _download(words: list[str]) -> None:
    """Makes wheels of these names, as true to themselves as real ones."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only-binary", required=True)
    parser.add_argument("--dest", type=Path, required=True)
    parser.add_argument("pins", nargs="+")
    given = parser.parse_args(words)
    given.dest.mkdir(parents=True)
    for pin in given.pins:
        name, _, release = pin.partition("==")
        _make_wheel(given.dest / f"{name}-{release}-py3-none-any.whl", f"{name}-{release}.dist-info/RECORD")


def _make_wheel(path: Path, record: str) -> None:
    content = os.urandom(WHEEL_BYTES)
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    lines = io.StringIO()
    csv.writer(lines).writerows([["content", f"sha256={digest}", len(content)], [record, "", ""]])
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("content", content)
        wheel.writestr(record, lines.getvalue())


def npm(*words: str) -> None:
    """Puts what the pages load where npm would, from where the build of the tests has put it."""
    if words == ("--version",):
        print("10.0.0")  # noqa: T201
        return
    assert words[0] == "ci"
    locked = json.loads(Path("package-lock.json").read_text("utf-8"))["packages"]
    for path in Path("Makefile").read_text("utf-8").partition("\nLOADED := ")[2].replace("\\\n", "").split():
        package = next(name for name in locked if name and f"node_modules/{path}".startswith(f"{name}/"))
        target = Path("node_modules", path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(VENDOR / target.name, target)
        license = VENDOR / "licenses" / f"{Path(package).name}.txt"
        shutil.copyfile(license, Path(package, "LICENSE"))
