"""Tells at once when somebody has changed a PostgreSQL database: LISTEN on a connection of its own. A notice is only a
reason to look; whether there was a change says the server's snapshot. Nothing here waits for an answer."""

from __future__ import annotations

import math
import os
import random
import select
import threading
import time
from collections.abc import Container, Sequence
from contextlib import suppress
from json import dumps
from typing import Final

import psycopg

from headbox.domain.errors import StorageError
from headbox.storage.postgres.connections import ANSWER_SECONDS, Connection
from headbox.storage.postgres.database import PostgresDatabase, pauses
from headbox.storage.postgres.errors import sentences
from headbox.storage.postgres.notices import CANCEL, ENDED, LONGEST_REST, READY, RENEW_SECONDS, WAITING, channel, send

# Seconds that it rests after a look that found a change: short for who has claimed something since, ever longer where
# looks lead to nothing, so that many idle workers do not get into the busy ones' way. Then it looks again, each time
# after twice as long, until what a sender leaves unannounced must have been seen; meanwhile a notice is heeded at once.
REST: Final = 0.0005  # of a worker, for each that there is; at most
BUSY_REST: Final = 0.002  # of one that has claimed something since, and
IDLE_REST: Final = 0.010  # the first of one that has not, or of who waits for an end
LOOK_SECONDS: Final = 0.004  # between two looks in vain, whichever worker's: of many each rests longer
LONGEST_LOOK: Final = 0.640
POLL: Final = 1.0  # seconds between looks of who waits for an end, and of all where a pooler swallows notices
LONGEST_PAUSE: Final = 5.0
CANCEL_SECONDS: Final = 1.0  # after a cancel was told: others may have come that were not

_SNAPSHOT: Final = b"SELECT '', pg_current_snapshot()::text"
_RENEWAL: Final = f"SELECT pg_current_xact_id()::text, pg_current_snapshot()::text, pg_notify('{WAITING}', '')".encode()


class PostgresWatch:
    """For a worker: what its queues have got, and which of its runs are to stop. For anybody else: every change."""

    def __init__(self, database: PostgresDatabase, worker: str | None = None, queues: Sequence[str] = ()) -> None:
        self._database = database
        self._notices = database.notices
        self._worker = worker
        ready = [channel(queue) for queue in queues] or [READY]
        self._channels = [*ready, CANCEL, ENDED if worker is None else WAITING]
        self._queues = dumps(queues) if queues else None  # as looks for tasks name them
        self._told = self._found = self._rests = False
        self._cancel_time = 0.0  # when a cancel was last told
        self._gap = 0.0  # seconds between the last look and the next; 0: no other is needed
        self._look_time, self._asked_time, self._found_time = math.inf, 0.0, 0.0
        self._lock = threading.Lock()  # between us and the thread that connects again
        self._closed = threading.Event()
        self._fresh: Connection | None = None
        self._connection: Connection | None = self._listen()
        self._snapshot = self._read_snapshot(self._connection)
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll = select.epoll()
        self._epoll.register(self._bell, select.EPOLLIN)
        self._adopt(self._connection)
        if worker is not None:
            self._notices.hear()

    def fileno(self) -> int:
        return self._epoll.fileno()

    def changed(self) -> bool:
        """Whether there was a change since this last said so. Reads what has come, and asks what is to be asked."""
        if self._fresh is not None:
            self._take_over()
        if (connection := self._connection) is not None:
            try:
                self._attend(connection, time.monotonic())
            except psycopg.Error:
                self._lose(connection)
        found, self._found = self._found, False
        return found

    def pause(self) -> float:
        """Seconds after which it is worth asking again, even if there is nothing to read."""
        wait = math.inf if self._asked_time else self._next_look() - time.monotonic()
        return max(0.0, min(wait, LONGEST_PAUSE))

    def wait(self, seconds: float) -> bool:
        """Waits for a change at most so long; True if there was one."""
        end = time.monotonic() + seconds
        while not self.changed():
            left = end - time.monotonic()
            if left <= 0:
                return False
            self._epoll.poll(min(left, self.pause()))
        return True

    def close(self) -> None:
        """Ends the watch; a sound connection is kept for other uses."""
        with self._lock:
            self._closed.set()
            self._epoll.close()
            os.close(self._bell)
            connections = [connection for connection in (self._connection, self._fresh) if connection is not None]
            self._connection = self._fresh = None
        for connection in connections:
            with suppress(psycopg.Error):
                if connection.is_sound():
                    connection.execute(b"UNLISTEN *")
            self._database.connections.keep(connection)

    # looking

    def _attend(self, connection: Connection, now: float) -> None:
        pgconn = connection.pgconn
        pgconn.consume_input()
        while (notice := pgconn.notifies()) is not None:
            self._hear(notice.relname.decode(), notice.extra.decode())
        if self._asked_time:
            if not pgconn.is_busy():
                self._heed(connection, now)
            elif now - self._asked_time > ANSWER_SECONDS:
                raise psycopg.OperationalError("the server answers no more")
        if self._told and self._worker is not None and not (self._rests or self._asked_time):
            self._note_found(connection, now)  # a notice comes after its commit: what the worker sees now is newer
        elif not self._asked_time and now >= self._next_look():
            self._ask(connection, now)

    def _hear(self, heard: str, payload: str) -> None:
        if heard == WAITING:
            self._notices.hear()
        elif heard != CANCEL or self._worker in (None, payload):
            self._told = True
            if heard == CANCEL:
                self._cancel_time = time.monotonic()

    def _next_look(self) -> float:
        if self._told and not self._rests:
            return 0.0
        if self._rests and self._has_claimed():
            return min(self._look_time, self._notices.claim_time + self._shortest_rest(BUSY_REST))
        return self._look_time

    def _has_claimed(self) -> bool:
        """Whether this process has found something to do since the last look that found a change."""
        return self._worker is not None and self._notices.claim_time > self._found_time > 0

    def _ask(self, connection: Connection, now: float) -> None:
        """Asks for the snapshot: once it is there, whatever the caller looks at is newer."""
        is_renewal = self._worker is None and now >= self._notices.renewal_time
        connection.pgconn.send_query(_RENEWAL if is_renewal else _SNAPSHOT)
        connection.pgconn.flush()
        self._hush(connection, hushed=False)
        self._asked_time = now
        if is_renewal:
            self._notices.renewal_time = now + RENEW_SECONDS

    def _heed(self, connection: Connection, now: float) -> None:
        snapshot = self._snapshot
        while (result := connection.pgconn.get_result()) is not None:
            if result.ntuples:
                self._notices.note_own((result.get_value(0, 0) or b"").decode())
                snapshot = (result.get_value(0, 1) or b"").decode()
        self._asked_time = 0.0
        if self._told or self._has_moved(snapshot, now):
            self._note_found(connection, now)
        else:
            self._rests = False
            self._gap = self._gap * 2 if self._gap <= LONGEST_REST else 0.0
            self._look_time = now + (self._gap or self._rhythm(connection))
            self._hush(connection, hushed=False)
        self._snapshot = snapshot

    def _has_moved(self, snapshot: str, now: float) -> bool:
        """Whether there was a change since the last look, and since this worker last looked for tasks itself. (But that
        knows nothing of cancels.)"""
        if not has_moved(self._snapshot, snapshot, self._notices.own):
            return False
        looked = self._database.frontier.snapshots.get(self._queues)
        if self._worker is None or looked is None or now < self._cancel_time + CANCEL_SECONDS:
            return True
        return has_moved(looked, snapshot, self._notices.own)

    def _note_found(self, connection: Connection, now: float) -> None:
        """There was a change, or may have been: the caller looks at what is newer."""
        self._gap = self._rest(now)
        self._look_time = now + self._gap
        self._found, self._found_time = True, now
        self._rests, self._told = True, False
        self._hush(connection, hushed=True)

    def _rest(self, now: float) -> float:
        if self._has_claimed():
            return self._shortest_rest(BUSY_REST)
        first, longest = IDLE_REST, IDLE_REST
        if self._worker is not None:  # of many workers, one has always just rested
            first = self._shortest_rest(IDLE_REST)
            longest = min(max(self._notices.workers, 1) * LOOK_SECONDS, LONGEST_LOOK)
        goes_on = now - self._found_time < max(2 * self._gap, IDLE_REST)
        return min(self._gap * 2 if goes_on else first, longest) * random.uniform(0.75, 1.0)

    def _shortest_rest(self, longest: float) -> float:
        return min(max(self._notices.workers, 1) * REST, longest)

    def _rhythm(self, connection: Connection) -> float:
        return POLL if self._worker is None or connection.is_pooled else math.inf

    def _hush(self, connection: Connection, *, hushed: bool) -> None:
        """Notices that come while it rests are not worth waking for: it looks when that is over."""
        self._epoll.modify(connection.pgconn.socket, 0 if hushed else select.EPOLLIN)

    # the connection

    def _listen(self) -> Connection:
        connection = self._database.connections.take()
        try:
            with sentences(self._database.where):
                if not connection.is_pooled:
                    connection.execute("; ".join(f"LISTEN {name}" for name in self._channels).encode())
                if self._worker is None and time.monotonic() >= self._notices.renewal_time:
                    self._notices.note_own(send(connection, [(WAITING, "")]))
                    self._notices.renewal_time = time.monotonic() + RENEW_SECONDS
        except BaseException:
            connection.close()
            raise
        return connection

    def _read_snapshot(self, connection: Connection) -> str:
        """Where it begins; what an earlier user of the connection may have heard is forgotten."""
        with sentences(self._database.where):
            (_, snapshot) = connection.execute(_SNAPSHOT).fetchone() or ("", "")
        while connection.pgconn.notifies() is not None:
            pass
        return str(snapshot)

    def _adopt(self, connection: Connection) -> None:
        """Begins with some looks: a sender that told others a moment ago tells us nothing yet."""
        self._connection = connection
        self._gap = IDLE_REST
        self._look_time = time.monotonic() + self._gap
        self._epoll.register(connection.pgconn.socket, select.EPOLLIN)

    def _take_over(self) -> None:
        """A connection is there again: much may have been missed meanwhile."""
        with self._lock:
            fresh, self._fresh = self._fresh, None
            os.eventfd_read(self._bell)
        if fresh is not None:
            self._adopt(fresh)
            self._told, self._rests = True, False

    def _lose(self, connection: Connection) -> None:
        with suppress(OSError, psycopg.Error):
            self._epoll.unregister(connection.pgconn.socket)
        connection.close()
        self._connection, self._asked_time = None, 0.0
        threading.Thread(target=self._connect_again, name="headbox-watch", daemon=True).start()

    def _connect_again(self) -> None:
        for pause in pauses():
            if self._closed.wait(pause):
                return
            try:
                fresh = self._listen()
            except StorageError:
                continue
            with self._lock:
                if self._closed.is_set():
                    fresh.close()
                else:
                    self._fresh = fresh
                    os.eventfd_write(self._bell, 1)
            return


def has_moved(before: str, after: str, own: Container[str]) -> bool:
    """Whether a transaction that is not one of our `own` has ended between two snapshots (`xmin:xmax:xip,…`)."""
    if before == after:
        return False
    _, first, open_before = before.split(":")
    _, last, open_after = after.split(":")
    if set(open_before.split(",")) - set(open_after.split(",")) - {""}:
        return True
    return any(str(xid) not in own for xid in range(int(first), int(last)))
