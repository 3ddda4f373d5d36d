"""Runs in a peer's environment: `python inside.py ADAPTER`. Reads orders, a line of JSON each, and answers with one.
Knows nothing of Headbox, and imports nothing but the adapter."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

LOOK = 0.0002  # seconds between two looks at the journal
REST = 0.01  # seconds that a worker is left alone before the next start
PATIENCE = 30.0


class Inside:
    """The orders."""

    def __init__(self, adapter: Any) -> None:
        self._adapter = adapter

    async def about(self) -> dict[str, Any]:
        """What the peer can do. Also prepares it."""
        await _done(self._adapter.prepare())
        adapter = self._adapter
        return {"kinds": adapter.KINDS, "workers": adapter.WORKERS, "has_bulk": hasattr(adapter, "many")}

    async def singles(self, kind: str, count: int) -> float:
        """Enqueues one at a time; a second's worth."""
        one = self._adapter.one
        began = time.perf_counter()
        for _ in range(count):
            await _done(one(kind))
        return count / (time.perf_counter() - began)

    async def bulk(self, kind: str, count: int) -> float:
        """Enqueues in bulk, or as near to it as the peer comes."""
        if not hasattr(self._adapter, "many"):
            return await self.singles(kind, count)
        began = time.perf_counter()
        await _done(self._adapter.many(kind, count))
        return count / (time.perf_counter() - began)

    async def starts(self, count: int) -> list[float]:
        """Milliseconds from the call until the task is seen to have begun."""
        times, journal = [], os.environ["PEER_JOURNAL"]
        for _ in range(count):
            await asyncio.sleep(REST)
            size, began = os.stat(journal).st_size, time.perf_counter()
            await _done(self._adapter.one("nothing"))
            while os.stat(journal).st_size == size:
                if time.perf_counter() - began > PATIENCE:
                    raise TimeoutError("a task was not started")
                time.sleep(LOOK)
            times.append((time.perf_counter() - began) * 1000)
        return times


async def _done(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


async def _serve(orders: Inside) -> None:
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        order: Callable[..., Any] = getattr(orders, name)
        print(json.dumps(await order(*arguments)), flush=True)


if __name__ == "__main__":
    sys.path.insert(0, os.getcwd())
    asyncio.run(_serve(Inside(importlib.import_module(sys.argv[1]))))
