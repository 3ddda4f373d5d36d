"""Tells at once when somebody has changed a PostgreSQL database: LISTEN on a connection of its own. A notice is only a
reason to look; whether there was a change says the server's snapshot. Nothing here waits for an answer."""

from __future__ import annotations

import math
import os
import random
import select
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import psycopg

from headbox.domain.errors import StorageError
from headbox.storage.postgres import PostgresDatabase, pauses
from headbox.storage.postgres_connections import ANSWER_SECONDS, Connection, connect
from headbox.storage.postgres_errors import sentences
from headbox.storage.postgres_notices import CANCEL, ENDED, READY, RENEW_SECONDS, REST, WAITING, channel, send

GAP: Final = 2 * REST  # seconds from one look to the next, which finds what was not announced
WIDEST_GAP: Final = 8 * GAP  # where looks lead to nothing: many idle workers are not to get into the busy ones' way
POLL: Final = 1.0  # seconds between looks of who waits for an end, and of all where a pooler swallows notices
LONGEST_PAUSE: Final = 5.0

_SNAPSHOT: Final = b"SELECT pg_current_snapshot()::text"
_RENEWAL: Final = f"SELECT pg_notify('{WAITING}', ''), pg_current_snapshot()::text".encode()


class PostgresWatch:
    """For a worker: what its queues have got, and which of its runs are to stop. For anybody else: every change."""

    def __init__(self, database: PostgresDatabase, worker: str | None = None, queues: Sequence[str] = ()) -> None:
        self._database = database
        self._worker = worker
        ready = [channel(queue) for queue in queues] or [READY]
        self._channels = [*ready, CANCEL, ENDED if worker is None else WAITING]
        self._told = self._is_urgent = self._found = False
        self._gap = 0.0  # 0: nothing was heard for a while
        self._look_time, self._asked_time, self._found_time = math.inf, 0.0, 0.0
        self._renewal_time = time.monotonic() + RENEW_SECONDS
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
            database.notices.hear()

    def fileno(self) -> int:
        return self._epoll.fileno()

    def changed(self) -> bool:
        """Whether there was a change since this last said so. Reads what has come, and asks what is to be asked."""
        now = time.monotonic()
        self._read(now)
        if self._connection is not None and not self._asked_time and (self._is_urgent or now >= self._look_time):
            self._ask(self._connection, now)
        found, self._found = self._found, False
        return found

    def pause(self) -> float:
        """Seconds after which it is worth asking again, even if there is nothing to read."""
        ask_time = math.inf if self._asked_time else self._look_time
        return max(0.0, min(ask_time - time.monotonic(), LONGEST_PAUSE))

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
        """Ends the watch."""
        with self._lock:
            self._closed.set()
            for connection in (self._connection, self._fresh):
                if connection is not None:
                    connection.close()
            self._connection = None
            self._epoll.close()
            os.close(self._bell)

    # what is heard

    def _read(self, now: float) -> None:
        if self._fresh is not None:
            self._take_over()
        connection = self._connection
        if connection is None:
            return
        try:
            connection.pgconn.consume_input()
            while (notice := connection.pgconn.notifies()) is not None:
                self._hear(notice.relname.decode(), notice.extra.decode())
            if self._asked_time and not connection.pgconn.is_busy():
                self._heed(connection, now)
        except psycopg.Error:
            self._lose(connection)
        if self._asked_time and now - self._asked_time > ANSWER_SECONDS:
            self._lose(connection)

    def _hear(self, heard: str, payload: str) -> None:
        if heard == WAITING:
            self._database.notices.hear()
        elif heard != CANCEL or self._worker in (None, payload):
            self._told = True
            self._is_urgent |= heard == CANCEL or self._gap == 0.0

    def _ask(self, connection: Connection, now: float) -> None:
        """Asks for the snapshot: once it is there, whatever the caller looks at is newer."""
        is_renewal = self._worker is None and now >= self._renewal_time
        try:
            connection.pgconn.send_query(_RENEWAL if is_renewal else _SNAPSHOT)
            connection.pgconn.flush()
        except psycopg.Error:
            self._lose(connection)
            return
        self._asked_time = now
        if is_renewal:
            self._renewal_time = now + RENEW_SECONDS

    def _heed(self, connection: Connection, now: float) -> None:
        snapshot = b""
        while (result := connection.pgconn.get_result()) is not None:
            snapshot = (result.get_value(0, result.nfields - 1) if result.ntuples else None) or b""
        self._asked_time = 0.0
        if self._told or snapshot != self._snapshot:
            self._gap = self._next_gap()
            self._look_time = now + self._gap * random.uniform(0.75, 1.25)
            self._found, self._found_time = True, now
        else:
            self._gap = 0.0
            self._look_time = now + self._rhythm(connection)
        self._snapshot, self._told, self._is_urgent = snapshot, False, False

    def _next_gap(self) -> float:
        """Wider each time that the last look led to no claim of this process."""
        if self._worker is None or self._database.notices.claim_time > self._found_time:
            return GAP
        return min(max(self._gap * 2, GAP), WIDEST_GAP)

    def _rhythm(self, connection: Connection) -> float:
        return POLL if self._worker is None or connection.is_pooled else math.inf

    # the connection

    def _listen(self) -> Connection:
        connection = connect(self._database.info, self._database.where)
        try:
            with sentences(self._database.where):
                if not connection.is_pooled:
                    connection.execute("; ".join(f"LISTEN {name}" for name in self._channels).encode())
                if self._worker is None:
                    send(connection, [(WAITING, "")])
        except BaseException:
            connection.close()
            raise
        return connection

    def _read_snapshot(self, connection: Connection) -> bytes:
        with sentences(self._database.where):
            (snapshot,) = connection.execute(_SNAPSHOT).fetchone() or ("",)
        return str(snapshot).encode()

    def _adopt(self, connection: Connection) -> None:
        self._connection = connection
        self._look_time = time.monotonic() + self._rhythm(connection)
        self._epoll.register(connection.pgconn.socket, select.EPOLLIN)

    def _take_over(self) -> None:
        """A connection is there again: much may have been missed meanwhile."""
        with self._lock:
            fresh, self._fresh = self._fresh, None
            os.eventfd_read(self._bell)
        if fresh is not None:
            self._adopt(fresh)
            self._told = self._is_urgent = True

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
