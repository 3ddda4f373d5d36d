"""Connections to PostgreSQL: how ours are set up, how long they wait for an answer, and a stack of idle ones. Opened in
the caller's own thread, so that it hears at once why one cannot be opened."""

from __future__ import annotations

import asyncio
import os
import select
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import cached_property
from itertools import count
from queue import Empty, SimpleQueue
from typing import Any, Final

import psycopg
from psycopg import conninfo, errors, generators
from psycopg.abc import RV, PQGen
from psycopg.adapt import AdaptersMap, Buffer, Dumper, Transformer
from psycopg.pq import ExecStatus, Format, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.rows import tuple_row
from psycopg.types.numeric import Int8BinaryDumper
from psycopg.waiting import wait_async

from headbox.domain.errors import ConfigError, StorageError, StorageUnavailable
from headbox.forks import forget_in_forks
from headbox.storage.database import Row
from headbox.storage.postgres.errors import OLDEST, ConnectionLost, named

MOST = 16  # connections of one process for statements
MOST_STATEMENTS: Final = 100  # that one connection prepares beside psycopg's
ROOM_SECONDS = 5.0  # that a caller waits until one of them is free
IDLE_SECONDS = 60.0  # after which one that nobody needs is closed
ANSWER_SECONDS = 15.0  # a server that says nothing for so long is taken for lost: less than a worker's lease
CONNECT_SECONDS = 5
# A process that was stopped in the middle of a transaction loses its locks before its lease has run out. What was
# committed is on the disk, whatever the server's own setting. A plan made while a table was empty must not become a
# scan of it when it is full, and none is worth compiling. (Behind a pooler reads go without: they are planned anew.)
SETTINGS: Final = """SELECT set_config('idle_in_transaction_session_timeout', '5s', {local}),
    set_config('lock_timeout', '5s', {local}),
    set_config('synchronous_commit', replace(current_setting('synchronous_commit'), 'off', 'on'), {local}),
    set_config('default_transaction_isolation', 'read committed', {local}),
    set_config('default_transaction_read_only', 'off', {local}),
    set_config('enable_seqscan', 'off', {local}), set_config('jit', 'off', {local})"""
# Changes whenever the server recovers from a crash, and is another one's after a failover (or if somebody resets these
# statistics, which does no harm).
INCARNATION: Final = "(SELECT stats_reset::text FROM pg_stat_wal)"
_DEFAULTS: Final[dict[str, str | int]] = {
    "application_name": "headbox",
    "connect_timeout": CONNECT_SECONDS,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": int(ANSWER_SECONDS * 1000),
}


class Connection(psycopg.Connection[Any]):
    """A connection of ours: autocommit, binary numbers and texts of one kind each, and no endless wait."""

    answer_seconds: float | None = ANSWER_SECONDS
    is_pooled = False  # a pooler stands between: what one transaction sets, another client may find
    incarnation = ""  # of the server, when it was made
    idle_since = 0.0
    _heed: Callable[[PGresult], None] | None = None  # whose answer is still to come

    def __init__(self, pgconn: PGconn) -> None:
        super().__init__(pgconn)
        self._statements: dict[bytes, bytes] = {}  # that were prepared here, each with its name
        self._numbers = count()
        self._rows = Transformer(self)  # knows how to read each type of column that has come by

    @cached_property
    def statements(self) -> psycopg.Cursor[Any]:
        """One cursor for all transactions, one after another: a new one would look up the type of each column anew."""
        return psycopg.Cursor(self, row_factory=tuple_row)

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        return super().wait(gen, interval, self.answer_seconds if timeout is None else timeout)

    def command(self, text: bytes) -> psycopg.Cursor[Any]:
        """Runs a statement that is not worth preparing: it governs a transaction."""
        return self.execute(text, prepare=False)

    def change(self, text: bytes, values: Sequence[Buffer | None]) -> int:
        """Runs a statement for what it changes, and gives how many rows that were. Its values, `$1` and so on, come as
        PostgreSQL reads them in binary. (A cursor takes twice as long for a small statement: it is ready for more.)"""
        try:
            return self._run(text, values)
        except errors.InvalidSqlStatementName:  # after a ROLLBACK psycopg has the server forget all of a connection
            self._statements.clear()
            return self._run(text, values)

    def _run(self, text: bytes, values: Sequence[Buffer | None]) -> int:
        self._send(self._statements.get(text) or self._prepare(text), text, values)
        return self._answer().command_tuples or 0

    def _send(self, name: bytes | None, text: bytes, values: Sequence[Buffer | None]) -> None:
        formats = [Format.BINARY] * len(values)
        if name is None:
            self.pgconn.send_query_params(text, values, None, formats, Format.BINARY)
        else:
            self.pgconn.send_query_prepared(name, values, formats, Format.BINARY)

    def _prepare(self, text: bytes) -> bytes | None:
        """The name that it has from now on; None if there are too many."""
        if len(self._statements) >= MOST_STATEMENTS:
            return None
        name = b"headbox_%d" % next(self._numbers)
        self.pgconn.send_prepare(name, text)
        self._answer()
        self._statements[text] = name
        return name

    def _answer(self) -> PGresult:
        return _good(self.wait(generators.execute(self.pgconn))[0])

    async def first_row(self, text: bytes, values: Sequence[Buffer | None]) -> Row | None:
        """Runs a statement for the first row that it gives, if it gives any. The event loop waits for the answer."""
        try:
            result = await self._run_on_loop(text, values)
        except errors.InvalidSqlStatementName:
            self._statements.clear()
            result = await self._run_on_loop(text, values)
        self._rows.set_pgresult(result)
        return self._rows.load_row(0, tuple) if result.ntuples else None

    async def _run_on_loop(self, text: bytes, values: Sequence[Buffer | None]) -> PGresult:
        name = self._statements.get(text)
        if name is None and not self.is_pooled:
            name = b"headbox_%d" % next(self._numbers)
            self.pgconn.send_prepare(name, text)
            await self._answer_on_loop()
            self._statements[text] = name
        self._send(name, text, values)
        return await self._answer_on_loop()

    async def _answer_on_loop(self) -> PGresult:
        asking = generators.execute(self.pgconn)
        try:
            (result,) = await wait_async(asking, self.pgconn.socket, ANSWER_SECONDS, ANSWER_SECONDS)
        except BaseException:
            self.close()  # the answer is still to come, and nobody is there to read it
            raise
        return _good(result)

    def is_free(self) -> bool:
        """Whether it is open and between transactions, as far as is known here."""
        return bool(self.pgconn.transaction_status == TransactionStatus.IDLE)  # of a closed one it is unknown

    def leave(self, command: bytes, heed: Callable[[PGresult], None]) -> None:
        """Sends a command and waits for nothing: whoever takes the connection next gets its answer first, for `heed`.
        What fails then is the same as if nobody had asked."""
        self._heed = heed
        self.pgconn.send_query(command)
        self.pgconn.flush()

    @property
    def is_left(self) -> bool:
        """Whether an answer is still to come."""
        return self._heed is not None

    def settle(self) -> None:
        """Takes the answer to what was left here. Raises psycopg.Error if none comes."""
        heed, self._heed = self._heed, None
        if heed is not None:
            for result in self.wait(generators.execute(self.pgconn)):
                heed(result)

    def is_sound(self) -> bool:
        """The same, and the server has not hung up meanwhile."""
        if not self.is_free():
            return False
        try:
            poll = select.poll()
            poll.register(self.pgconn.socket, select.POLLIN)
            if poll.poll(0):
                self.pgconn.consume_input()
        except (OSError, ValueError, psycopg.Error):
            return False
        return self.is_free()

    def give_up(self) -> None:
        """Closes it, and lets the server know that its answer is no longer wanted."""
        if not self.closed and self.pgconn.transaction_status == TransactionStatus.ACTIVE:
            with suppress(psycopg.Error):  # the server notices by itself, only later
                self.cancel_safe(timeout=1.0)
        self.close()


def _good(result: PGresult) -> PGresult:
    if result.status not in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
        raise errors.error_from_result(result)
    return result


class TextDumper(Dumper):
    """Text without the one character that PostgreSQL's cannot hold, and none that UTF-8 cannot: what a task has raised
    must not keep its end from being recorded."""

    format = Format.BINARY
    oid = psycopg.adapters.types["text"].oid

    def dump(self, obj: str) -> Buffer:
        return clean(obj)


def clean(text: str) -> bytes:
    """The text as UTF-8, with a question mark for what cannot be kept."""
    encoded = text.encode("utf-8", "replace")
    return encoded.replace(b"\0", b"?") if b"\0" in encoded else encoded


def adapt(adapters: AdaptersMap) -> None:
    """One type for all integers and one for all texts: a statement is then prepared once."""
    adapters.register_dumper(int, Int8BinaryDumper)
    adapters.register_dumper(str, TextDumper)


def read_url(url: str) -> str:
    """What libpq is to be told; ConfigError if it cannot read the URL."""
    try:
        given = conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        reason = str(error).replace(url, "it").strip()  # there may be a password in it
        raise ConfigError(f"the database's URL: {reason}; use postgresql://user@host:5432/database") from None
    if "," in str(given.get("host", "")):
        given.setdefault("target_session_attrs", "read-write")
    return conninfo.make_conninfo("", **{**_DEFAULTS, **given})


def connect(info: str, where: str) -> Connection:
    """A new connection; StorageError with what is wrong, ConnectionLost if the server is away."""
    connection: Connection | None = None
    try:
        connection = Connection.connect(info, autocommit=True)
        _set_up(connection, where)
    except psycopg.Error as error:
        if connection is not None:
            connection.close()
        raise named(error, where) from error
    return connection


def _set_up(connection: Connection, where: str) -> None:
    version = connection.info.server_version
    if version < OLDEST * 10_000:
        connection.close()
        raise StorageError(f"{where}: it is PostgreSQL {version // 10_000}; Headbox needs {OLDEST} or later")
    if connection.info.parameter_status("in_hot_standby") == "on":
        connection.close()
        raise ConnectionLost(f"{where}: it is a standby; name the primary, or wait for the failover")
    adapt(connection.adapters)
    asked = f"SELECT pg_backend_pid(), {INCARNATION}".encode()
    pid, connection.incarnation = connection.execute(asked).fetchone() or (0, "")
    if pid == connection.info.backend_pid:
        connection.execute(SETTINGS.format(local=False).encode())
    else:
        connection.is_pooled = True
        connection.prepare_threshold = None


class Connections:
    """A stack of idle connections; whoever finds none opens one, up to `MOST` at a time. After a fork it is empty."""

    def __init__(self, info: str, where: str, prepare: Callable[[Connection], None]) -> None:
        self._info = info
        self._where = where
        self._prepare = prepare
        self._abandoned: list[deque[Connection]] = []
        self._start_afresh()
        forget_in_forks(self)

    def _start_afresh(self) -> None:
        self._pid = os.getpid()
        self._idle: deque[Connection] = deque()
        self._room: SimpleQueue[None] = SimpleQueue()  # a tenth of a semaphore's time
        for _ in range(MOST):
            self._room.put(None)

    @contextmanager
    def lend(self) -> Iterator[Connection]:
        """A connection; ConnectionLost if none can be had, StorageUnavailable if all are in use for too long."""
        self.after_fork()
        room, idle = self._room, self._idle
        try:
            room.get(timeout=ROOM_SECONDS)
        except Empty:
            raise StorageUnavailable(f"{self._where}: {_all_in_use()}") from None
        try:
            connection = self.take()
            try:
                yield connection
            finally:
                _keep(connection, idle)
        finally:
            room.put(None)

    def are_two(self) -> bool:
        """Whether two can be had at the same time: another is opened for that, if the server has one left."""
        try:
            with self.lend(), self.lend():
                return True
        except StorageError:
            return False

    @asynccontextmanager
    async def lend_on_loop(self) -> AsyncIterator[Connection]:
        """The same without holding up the event loop: where none is idle another is opened in a thread, so that soon
        there are enough. StorageUnavailable at once if all are in use."""
        self.after_fork()
        room, idle = self._room, self._idle
        try:
            room.get_nowait()
        except Empty:
            raise StorageUnavailable(f"{self._where}: {_all_in_use()}") from None
        try:
            while (connection := self._pop()) is None:
                await asyncio.to_thread(lambda: self.keep(self._open()))
            try:
                yield connection
            finally:
                _keep(connection, idle)
        finally:
            room.put(None)

    def take(self) -> Connection:
        """One for a longer use, beside those that are lent; ConnectionLost."""
        self.after_fork()
        return self._pop() or self._open()

    def _open(self) -> Connection:
        connection = connect(self._info, self._where)
        self._prepare(connection)
        return connection

    def _pop(self) -> Connection | None:
        """The one that was used last and is still sound."""
        with suppress(IndexError):
            while True:
                connection = self._idle.pop()
                with suppress(psycopg.Error):
                    connection.settle()
                if connection.is_sound():
                    return connection
                connection.close()
        return None

    def keep(self, connection: Connection) -> None:
        """For whoever needs one next; one that is not sound is closed."""
        _keep(connection, self._idle)

    def after_fork(self) -> None:
        """What the parent has opened is only kept."""
        if self._pid != os.getpid():
            self._abandoned.append(self._idle)  # kept, never closed: it would end the parent's session
            self._start_afresh()

    def close(self) -> None:
        """Closes those that are idle."""
        with suppress(IndexError):
            while True:
                self._idle.pop().close()


def _all_in_use() -> str:
    return f"all {MOST} connections of this process are in use; try again"


def _keep(connection: Connection, idle: deque[Connection]) -> None:
    if not (connection.is_left or connection.is_free()):
        connection.give_up()
        return
    now = connection.idle_since = time.monotonic()
    idle.append(connection)
    with suppress(IndexError):
        if idle[0].idle_since < now - IDLE_SECONDS:
            idle.popleft().close()
