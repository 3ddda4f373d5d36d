"""Huey on SQLite, with fsync, polling as eagerly as is sensible."""

from __future__ import annotations

import os

from huey import SqliteHuey
from journal import tick

huey = SqliteHuey(filename=os.environ["PEER_URL"], fsync=True)
KINDS = ("nothing",)
WORKERS = [["huey_consumer", "huey_sqlite.huey", "-w", "2", "-k", "thread", "-d", "0.01", "-m", "0.02", "-q"]]


@huey.task()
def nothing() -> None:
    tick()


def prepare() -> None:
    """The tables are there."""


def one(kind: str) -> None:
    nothing()
