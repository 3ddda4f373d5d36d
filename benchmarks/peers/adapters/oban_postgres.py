"""Oban for Python: one process, a hundred jobs at a time."""

from __future__ import annotations

import asyncio
import os

from journal import tick
from oban import Oban, job
from oban.schema import install

KINDS = ("nothing", "nothing_async")
WORKERS = [["python", "oban_postgres.py"]]


@job(queue="default")
async def nothing() -> None:
    tick()


nothing_async = nothing


async def prepare() -> None:
    global oban
    pool = await Oban.create_pool(os.environ["PEER_URL"])
    await install(pool)
    oban = Oban(pool=pool)


async def one(kind: str) -> None:
    await oban.enqueue(nothing.new())


async def many(kind: str, count: int) -> None:
    await oban.enqueue_many(nothing.new() for _ in range(count))


async def work() -> None:
    """What its worker runs."""
    pool = await Oban.create_pool(os.environ["PEER_URL"])
    async with Oban(pool=pool, queues={"default": 100}):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(work())
