"""`useradd` and `install`: users are lines of the machine's own list, and files belong to whoever runs the tests."""

from __future__ import annotations

import argparse
import os
import shutil

from tests.docs.stand_ins.machine import MACHINE, accounts, add_account


def useradd(*words: str) -> None:
    """Adds a user, who is not there yet, to the list."""
    parser = argparse.ArgumentParser(prog="useradd", allow_abbrev=False)
    for flag in ("--system", "--no-log-init", "--no-create-home"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--uid", type=int)
    parser.add_argument("--shell")
    parser.add_argument("--home-dir", required=True)
    parser.add_argument("name")
    given = parser.parse_args(words)
    if given.name in accounts():
        raise ValueError(f"user '{given.name}' already exists")
    add_account(given.name, given.home_dir)


def install(*words: str) -> None:
    """The real one, but for the owner, who has to exist."""
    parser = argparse.ArgumentParser(prog="install", allow_abbrev=False)
    parser.add_argument("-o")
    parser.add_argument("-g")
    given, rest = parser.parse_known_args(words)
    strangers = {given.o, given.g} - {None} - accounts().keys()
    if strangers:
        raise ValueError(f"invalid user {strangers}")
    others = [folder for folder in os.environ["PATH"].split(":") if folder != str(MACHINE / "stand-ins")]
    found = shutil.which("install", path=":".join(others))
    assert found is not None
    os.execv(found, ["install", *rest])
