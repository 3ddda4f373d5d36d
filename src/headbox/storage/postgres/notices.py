"""Who is to be told what: a transaction's news go out as NOTIFY after its commit, each at most every few milliseconds
from one process. (A NOTIFY in every transaction would let them commit only one after the other.) Who has been told
looks again a moment later, and so sees what was not announced meanwhile."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import psycopg
from psycopg.pq import Escaping
from psycopg.pq.abc import PGresult
from psycopg.rows import tuple_row

from headbox.forks import forget_in_forks
from headbox.storage.postgres.connections import Connection

# Seconds between two notices of one kind from one process, for each worker that hears them: together they are woken no
# more often than a thousand times a second. Where something was held back, it rests twice as long the next time.
REST: Final = 0.001
LONGEST_REST: Final = 0.040
READY: Final = "headbox"  # a queue has got something to run; and so its own channel
ENDED: Final = "headbox_ended"  # a run has ended
CANCEL: Final = "headbox_cancel"  # a run is to stop; the payload is its worker
WAITING: Final = "headbox_waiting"  # somebody waits for the end of runs, for the next few seconds
COUNT_SECONDS: Final = 1.0  # between two questions how many workers there are
_COUNT: Final = b"SELECT count(*) FROM headbox_workers"
WAITING_SECONDS: Final = 12.0
RENEW_SECONDS: Final = 5.0  # after which who still waits says so again

Notice = tuple[str, str]  # channel, payload


@lru_cache(1000)
def channel(queue: str) -> str:
    """The channel of one queue: names of channels are short."""
    return f"{READY}_{hashlib.sha256(queue.encode('utf-8', 'replace')).hexdigest()[:24]}"


@dataclass
class Sent:
    """The latest notice of one kind."""

    time: float
    rest: float  # seconds until the next may go out
    held_back: bool = False  # there was one meanwhile


@dataclass
class News:
    """What one transaction has done that concerns others."""

    queues: set[str] = field(default_factory=set)
    workers: set[str] = field(default_factory=set)  # that have to stop a run
    has_ended: bool = False
    has_claimed: bool = False
    xid: str = ""  # of a transaction in one statement, if it was told

    def notices(self) -> list[Notice]:
        """Those who listen are told this."""
        told = [(READY, ""), *((channel(queue), "") for queue in sorted(self.queues))] if self.queues else []
        told += [(CANCEL, worker) for worker in sorted(self.workers)]
        return [*told, (ENDED, "")] if self.has_ended else told


class Notices:
    """Sends what one process has to tell."""

    def __init__(self) -> None:
        self.after_fork()
        forget_in_forks(self)
        self._sent: dict[Notice, Sent] = {}
        self._waited_until: float | None = None  # None: nobody here hears who waits, so ends are always told
        self.renewal_time = 0.0  # when who waits in this process is to say so (again)
        self.workers = 1  # that there were when this process last looked: all of them hear the same
        self._count_time = 0.0  # when this process is to ask how many that are
        self.claim_time = 0.0  # when this process last claimed something, by the monotonic clock
        self.own: deque[str] = deque(maxlen=100)  # the latest of this process's own transactions

    def after_fork(self) -> None:
        """A thread that the fork does not have may have held the lock."""
        self._lock = threading.Lock()

    def hear(self) -> None:
        """This process hears from now on when somebody waits for ends."""
        self._waited_until = time.monotonic() + WAITING_SECONDS

    def tell(self, connection: Connection, news: News) -> None:
        """Sends what is due. The connection is between transactions."""
        if news.has_claimed:
            self.claim_time = time.monotonic()
        if not (due := self._due(news.notices())):
            return
        if self._waited_until is None:
            connection.leave(self._command(connection, due), self._heed)
        else:  # a worker is not to look for what it has told itself
            self.note_own(send(connection, due))

    def _command(self, connection: Connection, due: Iterable[Notice]) -> bytes:
        """Tells, and asks now and then how many hear it."""
        literal = Escaping(connection.pgconn).escape_literal
        commands = [b"NOTIFY " + name.encode() + b", " + literal(payload.encode()) for name, payload in due]
        now = time.monotonic()
        if now >= self._count_time:
            self._count_time = now + COUNT_SECONDS
            commands.append(_COUNT)
        return b"; ".join(commands)

    def _heed(self, result: PGresult) -> None:
        if result.ntuples:
            self.workers = int(result.get_value(0, 0) or 0)

    def note_own(self, xid: str) -> None:
        """A transaction of this process that gave it nothing to do need not make it look."""
        self.own.append(xid)

    def _due(self, notices: Iterable[Notice]) -> list[Notice]:
        now = time.monotonic()
        with self._lock:
            if len(self._sent) > 1000:
                self._sent = {notice: sent for notice, sent in self._sent.items() if now - sent.time < LONGEST_REST}
            return [notice for notice in notices if self._is_due(notice, now)]

    def _is_due(self, notice: Notice, now: float) -> bool:
        if notice[0] == ENDED and not self._is_waited_for(now):
            return False
        sent = self._sent.get(notice)
        if sent is not None and now - sent.time < sent.rest:
            sent.held_back = True
            return False
        rest = max(self.workers, 1) * REST
        if sent is not None and sent.held_back and now - sent.time < sent.rest + LONGEST_REST:
            rest = max(rest, 2 * sent.rest)
        self._sent[notice] = Sent(now, min(rest, LONGEST_REST))
        return True

    def _is_waited_for(self, now: float) -> bool:
        return self._waited_until is None or now < self._waited_until


def send(connection: psycopg.Connection[Any], notices: Iterable[Notice]) -> str:
    """Sends notices, and gives the transaction's id; inside a transaction they arrive with its commit."""
    flat = [text for notice in notices for text in notice]
    calls = ", pg_notify(%s, %s)" * (len(flat) // 2)
    with psycopg.Cursor(connection, row_factory=tuple_row) as cursor:
        row = cursor.execute(f"SELECT pg_current_xact_id()::text{calls}".encode(), flat).fetchone()
    return str(row[0]) if row else ""
