"""Many workers with nothing to do, in simulated time: their heartbeats and looks are the real ones, on a real database;
only the hours between them are not waited for."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import psycopg

from headbox.config import Settings
from headbox.domain.task import Instant, Span
from headbox.storage.postgres.connections import Connection
from headbox.storage.postgres.store import PostgresStore
from headbox.storage.records import Worker
from headbox.worker.heartbeat import BEATS
from headbox.worker.upkeep import Upkeep


class Fleet:
    """Workers `w0`, `w1`, … each on a host of its own."""

    def __init__(self, store: PostgresStore, count: int, start: Instant, lease: Span, app: str | None = None) -> None:
        self.store = store
        self.now = start
        self._lease = lease
        self._settings = Settings(app=app, lease=lease)
        self._upkeeps: dict[str, Upkeep] = {}
        self._events: list[tuple[Instant, str, bool]] = []  # when, whose, whether it is a heartbeat
        for number in range(count):
            self.add(f"w{number}", number * lease // BEATS // count)

    def add(self, id: str, phase: Span = 0, declares: tuple[str, ...] = ()) -> None:
        """One more worker, whose heartbeats come at `phase`."""
        worker = Worker(
            id=id, host=f"host-{id}", boot_id=id, pid=1, process_start=1, app=self._settings.app, queues=(),
            concurrency=4, start_time=self.now, heartbeat_time=self.now, lease=self._lease, declares=declares,
        )  # fmt: skip
        self.store.register(worker, [], [], self.now)
        self._upkeeps[id] = Upkeep(self.store, self._settings, id)
        heapq.heappush(self._events, (self.now + phase, id, True))
        heapq.heappush(self._events, (self.now + phase, id, False))

    def lose(self, id: str) -> None:
        """Its host is gone."""
        del self._upkeeps[id]

    def has_news(self, id: str) -> bool:
        """Whether it would look for tasks by itself since this was last asked."""
        return self._upkeeps[id].take_news()

    def run(self, span: Span) -> None:
        """Lets so much time pass."""
        end = self.now + span
        while self._events and self._events[0][0] <= end:
            self.now, id, is_heartbeat = heapq.heappop(self._events)
            if id in self._upkeeps:
                heapq.heappush(self._events, (self._beat(id) if is_heartbeat else self._look(id), id, is_heartbeat))
        self.now = end

    def _beat(self, id: str) -> Instant:
        assert self.store.heartbeat(id, self.now) is not None
        return self.now + self._lease // BEATS

    def _look(self, id: str) -> Instant:
        upkeep = self._upkeeps[id]
        upkeep.tick(self.now)
        return max(upkeep.next_time, self.now + 1)


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """What is said to any server meanwhile, statement by statement, by the beginning of its text."""
    said: Counter[str] = Counter()

    def heard(say: Callable[..., Any]) -> Callable[..., Any]:
        def count(self: object, query: Any, *args: Any, **kwargs: Any) -> Any:
            text = query.decode() if isinstance(query, bytes) else str(query)
            said.update(part.strip()[:60] for part in text.split(";") if part.strip())
            return say(self, query, *args, **kwargs)

        return count

    with (
        patch.object(psycopg.Cursor, "execute", heard(psycopg.Cursor.execute)),
        patch.object(Connection, "change", heard(Connection.change)),
    ):
        yield said
