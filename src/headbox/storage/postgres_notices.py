"""Who is to be told what: a transaction's news go out as NOTIFY after its commit, each at most every few milliseconds
from one process. (A NOTIFY in every transaction would let them commit only one after the other.) Who has been told
looks again a moment later, and so sees what was not announced meanwhile."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import psycopg

REST: Final = 0.005  # seconds between two notices of one kind from one process
READY: Final = "headbox"  # a queue has got something to run; and so its own channel
ENDED: Final = "headbox_ended"  # a run has ended
CANCEL: Final = "headbox_cancel"  # a run is to stop; the payload is its worker
WAITING: Final = "headbox_waiting"  # somebody waits for the end of runs, for the next few seconds
WAITING_SECONDS: Final = 12.0
RENEW_SECONDS: Final = 5.0  # after which who still waits says so again

Notice = tuple[str, str]  # channel, payload


def channel(queue: str) -> str:
    """The channel of one queue: names of channels are short."""
    return f"{READY}_{hashlib.sha256(queue.encode('utf-8', 'replace')).hexdigest()[:24]}"


@dataclass
class News:
    """What one transaction has done that concerns others."""

    queues: set[str] = field(default_factory=set)
    workers: set[str] = field(default_factory=set)  # that have to stop a run
    has_ended: bool = False
    has_claimed: bool = False

    def notices(self) -> list[Notice]:
        """Those who listen are told this."""
        told = [(READY, ""), *((channel(queue), "") for queue in sorted(self.queues))] if self.queues else []
        told += [(CANCEL, worker) for worker in sorted(self.workers)]
        return [*told, (ENDED, "")] if self.has_ended else told


class Notices:
    """Sends what one process has to tell."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sent: dict[Notice, float] = {}
        self._waited_until: float | None = None  # None: nobody here hears who waits, so ends are always told
        self.claim_time = 0.0  # when this process last claimed something, by the monotonic clock

    def hear(self) -> None:
        """This process hears from now on when somebody waits for ends."""
        self._waited_until = time.monotonic() + WAITING_SECONDS

    def tell(self, connection: psycopg.Connection, news: News) -> None:
        """Sends what is due. The connection is between transactions."""
        if news.has_claimed:
            self.claim_time = time.monotonic()
        if due := self._due(news.notices()):
            send(connection, due)

    def _due(self, notices: Iterable[Notice]) -> list[Notice]:
        now = time.monotonic()
        with self._lock:
            due = [
                notice
                for notice in notices
                if now - self._sent.get(notice, 0.0) >= REST and (notice[0] != ENDED or self._is_waited_for(now))
            ]
            if len(self._sent) > 1000:
                self._sent = {notice: sent for notice, sent in self._sent.items() if now - sent < REST}
            self._sent.update(dict.fromkeys(due, now))
        return due

    def _is_waited_for(self, now: float) -> bool:
        return self._waited_until is None or now < self._waited_until


def send(connection: psycopg.Connection, notices: Iterable[Notice]) -> None:
    """Sends notices; inside a transaction they arrive with its commit."""
    flat = [text for notice in notices for text in notice]
    calls = ", ".join(["pg_notify(%s, %s)"] * (len(flat) // 2))
    connection.execute(f"SELECT {calls}".encode(), flat)
