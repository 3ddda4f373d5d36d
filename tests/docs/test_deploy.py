"""The units and the container file: what they start exists, what they set is a setting, and their times fit."""

from __future__ import annotations

import re
from configparser import ConfigParser
from pathlib import Path

import pytest

from headbox.cli.main import COMMANDS
from headbox.config import Settings, load_settings
from headbox.domain.task import SECOND
from tests.docs.blocks import ROOT

DEPLOY = ROOT / "deploy"
UNITS = sorted(DEPLOY.glob("*.service"))


def parse(path: Path) -> ConfigParser:
    unit = ConfigParser(strict=False, interpolation=None)
    unit.read_string(path.read_text("utf-8"))
    return unit


def assignments(text: str) -> dict[str, str]:
    """The lines `NAME=value`, those included that are commented out."""
    return dict(re.findall(r"^#?(HEADBOX_\w+)=(.+)$", text, re.MULTILINE))


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_starts_a_command_that_exists_and_gives_it_time_to_stop(path: Path) -> None:
    service = parse(path)["Service"]
    program, command = service["ExecStart"].split()
    assert program == "/opt/headbox/venv/bin/headbox" and command in COMMANDS
    settings = Settings()
    assert int(service["TimeoutStopSec"]) * SECOND > settings.grace + settings.cancel_grace
    assert service["KillMode"] == "mixed"


def test_the_environment_of_the_units_holds_only_settings_that_exist() -> None:
    given = assignments((DEPLOY / "headbox.env").read_text("utf-8"))
    assert {"HEADBOX_DATABASE", "HEADBOX_APP"} <= given.keys()
    load_settings({}, given)


def test_the_container_file_sets_only_settings_that_exist_and_copies_only_files_that_exist() -> None:
    text = (DEPLOY / "Containerfile").read_text("utf-8")
    given = dict(re.findall(r"(HEADBOX_\w+)=(\S+)", text.partition("\nENV ")[2]))
    assert load_settings({}, given).settings.host == "0.0.0.0"
    copied = [word for line in re.findall(r"^COPY (?!--)(.+)$", text, re.MULTILINE) for word in line.split()[:-1]]
    assert [name for name in copied if not (ROOT / name).exists()] == []
    (command,) = re.findall(r'^CMD \["headbox", "(\w+)"\]$', text, re.MULTILINE)
    assert command in COMMANDS
