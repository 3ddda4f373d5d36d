"""Procrastinate with LISTEN, one worker process."""

from __future__ import annotations

import os

from journal import tick
from procrastinate import App, PsycopgConnector

app = App(connector=PsycopgConnector(conninfo=os.environ["PEER_URL"]))
KINDS = ("nothing", "nothing_async")
WORKERS = [["procrastinate", "--app", "procrastinate_postgres.app", "worker", "--concurrency", "8"]]


@app.task
def nothing() -> None:
    tick()


@app.task
async def nothing_async() -> None:
    tick()


TASKS = {"nothing": nothing, "nothing_async": nothing_async}


async def prepare() -> None:
    await app.open_async()
    await app.schema_manager.apply_schema_async()


async def one(kind: str) -> None:
    await TASKS[kind].defer_async()


async def many(kind: str, count: int) -> None:
    await TASKS[kind].batch_defer_async(*({} for _ in range(count)))
