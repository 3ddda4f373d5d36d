"""PostgreSQL under chaos: a server of the run's own, and a network between it and each worker."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg

from headbox import HeadboxError
from headbox.storage.postgres.errors import ConnectionLost
from servers.postgres import Server
from tests.fault.chaos.open_transaction import OpenTransaction
from tests.fault.chaos.sites import NOTE_WORKER, TABLES
from tests.tcp_proxy import Pair, Proxy

KEY = "a key for the runs of chaos alone"
NOTE = f"CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {NOTE_WORKER} RETURN NULL; END $$"
REGISTERED = "CREATE TRIGGER registered AFTER INSERT ON headbox_workers FOR EACH ROW EXECUTE FUNCTION note()"
# The server's clock, as whoever asks the database sees it, can be wrong: ours is found before its own.
CLOCK = (
    "CREATE TABLE clock (error interval NOT NULL)",
    "INSERT INTO clock VALUES (interval '0')",
    """CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
        AS 'SELECT pg_catalog.clock_timestamp() + error FROM public.clock'""",
    "ALTER DATABASE postgres SET search_path = public, pg_catalog",
)


class Network(Proxy):
    """A proxy that can be slow as well: `delay` is in seconds, for each message."""

    delay = 0.0

    def _relay(self, pair: Pair, source: socket.socket, sink: socket.socket) -> None:
        super()._relay(pair, source, _Late(sink, self))  # type: ignore[arg-type]


class _Late:
    """A socket that is written to late; to the proxy it is that socket."""

    def __init__(self, sink: socket.socket, network: Network) -> None:
        self._sink = sink
        self._network = network

    def sendall(self, data: bytes) -> None:
        if self._network.delay:
            time.sleep(self._network.delay)
        self._sink.sendall(data)

    def __eq__(self, other: object) -> bool:
        return other is self._sink

    def __hash__(self) -> int:
        return hash(self._sink)


class PostgresSite:
    """A server, reached by clients and by each worker over a network of its own."""

    kind = "postgres"
    errors: tuple[type[Exception], ...] = (psycopg.Error,)
    begin = "BEGIN"
    add_order = "INSERT INTO orders VALUES (%s)"
    secret_keys: tuple[str, ...] = (KEY,)
    preparations = (*TABLES, NOTE, REGISTERED)

    def __init__(self, workers: int) -> None:
        self.machines = workers + 1  # and the API's
        self.server = Server()
        with self.connect() as connection:
            for statement in CLOCK:
                connection.execute(statement)
        self.open_transaction = OpenTransaction(self.connect)
        parts = urlsplit(self.server.url)
        self._parts = parts
        self.clients = Network(parts.hostname or "", parts.port or 0)
        self.workers = [Network(parts.hostname or "", parts.port or 0) for _ in range(workers)]

    def _through(self, network: Proxy) -> str:
        where = f"{self._parts.netloc.rpartition('@')[0]}@127.0.0.1:{network.port}"
        return urlunsplit(self._parts._replace(netloc=where))

    def client_url(self) -> str:
        return self._through(self.clients)

    def worker_url(self, number: int) -> str:
        return self._through(self.workers[number])

    def connect_client(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.client_url(), autocommit=True, connect_timeout=5)

    @contextmanager
    def connect(self) -> Iterator[psycopg.Connection[Any]]:
        """Straight to the server, waiting for it while it is away."""
        deadline = time.monotonic() + 60
        while True:
            try:
                connection = psycopg.connect(self.server.url, autocommit=True)
                break
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        with connection:
            yield connection

    def says_nothing_was_written(self, error: HeadboxError) -> bool:
        return isinstance(error, ConnectionLost)

    def restart(self) -> None:
        """Starts the server, which has ended."""
        for attempt in range(5):
            try:
                self.server.start()
            except RuntimeError:  # a connection of somebody else's has got its port for the moment
                if attempt == 4:
                    raise
            else:
                return

    def lose_power(self) -> None:
        self.server.kill()
        self.restart()

    def set_clock(self, seconds: float) -> None:
        """Sets the server's clock so far before the true time."""
        with self.connect() as connection:
            connection.execute("UPDATE clock SET error = make_interval(secs => %s)", [seconds])

    def figures(self) -> dict[str, int]:
        return {
            "longest transaction of somebody else's (seconds)": int(self.open_transaction.longest),
            "runs that ended beside one": self.open_transaction.runs(),
            "index entries read for each, to claim it": self.open_transaction.entries_per_run(True),
            "and for each of the other runs": self.open_transaction.entries_per_run(False),
        }

    def close(self) -> None:
        for network in (self.clients, *self.workers):
            network.close()
        try:
            self.open_transaction.close()
        finally:
            with suppress(ProcessLookupError):
                self.server.remove()
