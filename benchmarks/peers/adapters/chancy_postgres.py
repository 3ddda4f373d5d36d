"""Chancy: it fetches as many jobs as it has room for once a second, or when it is notified; so it gets much room."""

from __future__ import annotations

import os

from chancy import Chancy, Queue, job
from journal import tick

chancy = Chancy(os.environ["PEER_URL"])
KINDS = ("nothing", "nothing_async")
WORKERS = [["python", "chancy_postgres.py"]]
QUEUES = {
    "nothing": Queue("nothing", concurrency=1000, polling_interval=1, executor=Chancy.Executor.Threaded),
    "nothing_async": Queue("nothing_async", concurrency=1000, polling_interval=1, executor=Chancy.Executor.Async),
}


@job(queue="nothing")
def nothing() -> None:
    tick()


@job(queue="nothing_async")
async def nothing_async() -> None:
    tick()


TASKS = {"nothing": nothing, "nothing_async": nothing_async}


async def prepare() -> None:
    await chancy.pool.open()
    await chancy.migrate()
    for queue in QUEUES.values():
        await chancy.declare(queue)


async def one(kind: str) -> None:
    await chancy.push(TASKS[kind])


async def many(kind: str, count: int) -> None:
    async for _ in chancy.push_many(TASKS[kind] for _ in range(count)):
        pass


async def work() -> None:
    """What its worker runs."""
    async with chancy, Worker(chancy) as worker:
        await worker.wait_for_shutdown()


if __name__ == "__main__":
    import asyncio

    from chancy import Worker

    asyncio.run(work())
