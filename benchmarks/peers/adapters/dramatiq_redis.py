"""Dramatiq on Redis: a process for each core."""

from __future__ import annotations

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from journal import tick

dramatiq.set_broker(RedisBroker(url=os.environ["PEER_URL"]))
KINDS = ("nothing",)
WORKERS = [["dramatiq", "dramatiq_redis", "--processes", "2", "--threads", "4"]]


@dramatiq.actor
def nothing() -> None:
    tick()


def prepare() -> None:
    """The queues are made at first use."""


def one(kind: str) -> None:
    nothing.send()
