"""taskiq on a Redis list: two processes. (On a stream, which acknowledges, some tasks of a backlog were not run.)"""

from __future__ import annotations

import os

from journal import tick
from taskiq_redis import ListQueueBroker

broker = ListQueueBroker(os.environ["PEER_URL"])
KINDS = ("nothing", "nothing_async")
WORKERS = [["taskiq", "worker", "taskiq_redis_list:broker", "--workers", "2", "--log-level", "WARNING"]]


@broker.task
def nothing() -> None:
    tick()


@broker.task
async def nothing_async() -> None:
    tick()


TASKS = {"nothing": nothing, "nothing_async": nothing_async}


async def prepare() -> None:
    await broker.startup()


async def one(kind: str) -> None:
    await TASKS[kind].kiq()
