"""PgQueuer on asyncpg and uvloop, one process that fetches 500 jobs at a time."""

from __future__ import annotations

import asyncio
import os

import asyncpg
import uvloop
from journal import tick
from pgqueuer import AsyncpgDriver, PgQueuer, Queries
from pgqueuer.models import Job

KINDS = ("nothing", "nothing_async")
WORKERS = [["python", "pgqueuer_postgres.py"]]

uvloop.install()


async def work() -> None:
    """What its worker runs."""
    pgq = PgQueuer(AsyncpgDriver(await asyncpg.connect(os.environ["PEER_URL"])))

    @pgq.entrypoint("nothing")
    async def nothing(job: Job) -> None:
        await asyncio.to_thread(tick)  # it takes no synchronous functions otherwise

    @pgq.entrypoint("nothing_async")
    async def nothing_async(job: Job) -> None:
        tick()

    await pgq.run(batch_size=500)


async def prepare() -> None:
    global queries
    queries = Queries(AsyncpgDriver(await asyncpg.connect(os.environ["PEER_URL"])))
    await queries.install()


async def one(kind: str) -> None:
    await queries.enqueue(kind, None)


async def many(kind: str, count: int) -> None:
    await queries.enqueue([kind] * count, [None] * count, [0] * count)


if __name__ == "__main__":
    asyncio.run(work())
