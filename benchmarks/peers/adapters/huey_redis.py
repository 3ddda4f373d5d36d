"""Huey on Redis, which it waits for without polling."""

from __future__ import annotations

import os

from huey import RedisHuey
from journal import tick

huey = RedisHuey(url=os.environ["PEER_URL"])
KINDS = ("nothing",)
WORKERS = [["huey_consumer", "huey_redis.huey", "-w", "2", "-k", "thread", "-q"]]


@huey.task()
def nothing() -> None:
    tick()


def prepare() -> None:
    """The tables are there."""


def one(kind: str) -> None:
    nothing()
