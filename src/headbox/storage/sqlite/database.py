"""SQLite: connections, group commit and the locks between processes. No SQL of the domain."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Generic, TypeVar, cast

from headbox.domain.errors import StorageError, StorageUnavailable
from headbox.domain.task import Instant
from headbox.forks import forget_in_forks
from headbox.storage.callers import driver_connection
from headbox.storage.database import Transaction
from headbox.storage.records import Worker
from headbox.storage.sqlite.errors import named, sentences
from headbox.storage.sqlite.memory import keep_freed_memory
from headbox.storage.sqlite.transaction import SQLiteTransaction
from headbox.storage.sqlite.worker_locks import WorkerLocks
from headbox.storage.sqlite.write_lock import WriteLock

T = TypeVar("T")

BUSY_TIMEOUT = 5.0  # seconds that we wait for a writer who is not ours
CHECKPOINT_BYTES = 64 << 20  # a write-ahead log longer than this is checkpointed by whoever sees it
# A small commit that makes the log longer takes twice as long as one that finds room in it: the file system has to note
# its length. So a log that is long enough to be worth it begins anew when it has grown a little so often.
WORTHWHILE_BYTES = 4 << 20
LITTLE_BYTES = 256 << 10
GROWTHS = 16
GROUP_LIMIT = 256  # works that share one commit at most
OVERSLEPT = 0.1  # seconds
NETWORK_FILE_SYSTEMS = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "fuse.sshfs")


class _Work(Generic[T]):
    """A caller's work in the queue for the next commit."""

    def __init__(self, run: Callable[[Transaction], T], *, dies_with_machine: bool = False) -> None:
        self.run = run
        self.dies_with_machine = dies_with_machine
        self.done = False
        self.value: T | None = None
        self.error: BaseException | None = None
        self._asleep = threading.Lock()
        self._asleep.acquire()

    def sleep(self) -> bool:
        """Until it is woken; False if that has not happened for a while."""
        return self._asleep.acquire(timeout=OVERSLEPT)

    def wake(self) -> None:
        """Lets its caller look again."""
        with suppress(RuntimeError):  # it was awake
            self._asleep.release()

    def result(self) -> T:
        if self.error is not None:
            raise self.error
        return cast("T", self.value)


# Where public JSON is missing the payload itself is plain JSON. LIKE looks past the case of ASCII letters.
SEARCHED: Final = (
    "method_name", "callable", "class_name", "job_id", "schedule_name", "exception",
    "coalesce(public_args, CAST(args AS TEXT))", "coalesce(public_kwargs, CAST(kwargs AS TEXT))",
)  # fmt: skip


class SQLiteDatabase:
    """One database file. Nothing is opened before first use; after a fork everything is opened afresh."""

    searched = " OR ".join(f"{column} LIKE :pattern ESCAPE '\\'" for column in SEARCHED)

    def __init__(self, path: Path) -> None:
        self.path = Path(os.path.realpath(path))  # the locks beside it are the same for all who come by a link
        self._name = str(self.path)
        self._wal = f"{self.path}-wal"
        self.url = f"sqlite:///{self.path}"
        self._abandoned: list[Any] = []
        self._start_afresh()
        forget_in_forks(self)

    def _start_afresh(self) -> None:
        self._pid = os.getpid()
        self._queue: deque[_Work[Any]] = deque()
        self._commit_lock = threading.Lock()
        self._open_lock = threading.Lock()
        self._readers: list[sqlite3.Connection] = []
        self._writer: sqlite3.Connection | None = None
        self._waits_for_disk = True
        self._identity: tuple[int, int] | None = None
        self._log_size = self._growths = 0
        self._write_lock = WriteLock(f"{self.path}.write")
        self._workers = WorkerLocks(self.path)

    def after_fork(self) -> None:
        """What the parent opened is only kept: to close it here could end the parent's locks (How To Corrupt)."""
        if self._pid != os.getpid():
            self._abandoned.append((self._readers, self._writer))
            self._write_lock.close()  # or the lock of a parent that is killed would outlive it here
            self._start_afresh()

    # connections

    def connect(self, *, read_only: bool = False) -> sqlite3.Connection:
        """A connection as all of ours are: WAL, synchronous=FULL, checkpoints only by our own hand."""
        self._refuse_network()
        keep_freed_memory()
        with sentences(self.path):
            self._create()
            connection = sqlite3.connect(
                self.path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False, cached_statements=256
            )
            try:
                (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
                if mode != "wal":
                    raise StorageError(f"{self.path}: its file system refuses WAL mode; choose a local disk")
                connection.execute("PRAGMA synchronous=FULL")
                connection.execute("PRAGMA wal_autocheckpoint=0")
                connection.execute("PRAGMA foreign_keys=ON")
                if read_only:
                    connection.execute("PRAGMA query_only=ON")
                else:
                    connection.execute("PRAGMA cache_size=-16384")  # of the one writer; readers may be many
                    # The file of a log that was once long stays as long, and each commit would see it so.
                    connection.execute(f"PRAGMA journal_size_limit={CHECKPOINT_BYTES}").fetchone()
            except BaseException:
                connection.close()
                raise
        return connection

    def _create(self) -> None:
        """SQLite would follow the umask; hashes and payloads are for their owner alone. Only ever opens a file that did
        not exist: to close a descriptor of an open database ends all of the process's locks on it (How To Corrupt)."""
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))

    def _refuse_network(self) -> None:
        kind = _file_system(self.path.parent)
        if kind in NETWORK_FILE_SYSTEMS:
            raise StorageError(
                f"{self.path} is on a network file system ({kind}), where SQLite cannot be trusted;"
                " put it on a local disk or use PostgreSQL"
            )

    # writing

    def write(
        self, work: Callable[[Transaction], T], *, is_repeatable: bool = False, dies_with_machine: bool = False
    ) -> T:
        """Group commit without a thread: the first in the queue commits all that is queued by then. The others sleep
        until it is done; one that oversleeps looks after it (the first may have been interrupted before it began)."""
        self.after_fork()
        mine = _Work(work, dies_with_machine=dies_with_machine)
        self._queue.append(mine)
        while not mine.done:
            if self._is_first(mine) or not mine.sleep():
                with self._commit_lock:
                    if not mine.done:
                        if mine not in self._queue:  # whoever took it along was interrupted before it began
                            self._queue.append(mine)
                        self._commit_queued()
        return mine.result()

    def _is_first(self, work: _Work[Any]) -> bool:
        try:
            return self._queue[0] is work
        except IndexError:  # somebody has just taken it along
            return False

    def write_alone(self, work: Callable[[Transaction], T]) -> T:
        return self.write(work)

    def _commit_queued(self) -> None:
        batch = [self._queue.popleft() for _ in range(min(len(self._queue), GROUP_LIMIT))]
        is_committed = False
        try:
            waits_for_disk = not all(work.dies_with_machine for work in batch)
            with self._exclusive(waits_for_disk=waits_for_disk) as connection:
                transaction = SQLiteTransaction(connection)
                before = connection.total_changes
                connection.execute("BEGIN IMMEDIATE")
                if len(batch) == 1:
                    batch[0].value = batch[0].run(transaction)
                else:
                    for work in batch:
                        _run_in_savepoint(connection, transaction, work)
                connection.execute("COMMIT")
                is_committed = True
                if connection.total_changes != before:
                    self._ring()
        except Exception as error:  # noqa: BLE001 - it is raised again in each caller's own thread
            for work in batch:
                work.error = work.error or error
        except BaseException:  # an interrupt of this thread: the others' works are rolled back with its own
            for work in () if is_committed else batch:
                work.error = StorageUnavailable("the transaction was interrupted; try again")
            raise
        finally:
            for work in batch:
                work.done = True
                work.wake()
            if self._queue:
                self._queue[0].wake()

    @contextmanager
    def _exclusive(self, *, waits_for_disk: bool = True) -> Iterator[sqlite3.Connection]:
        """The writer's connection, while no other process of ours writes (a fair queue: SQLite's own is not). What is
        committed without waiting for the disk is seen by all and outlives every process. The power may take it along,
        but never without what was committed behind it."""
        with sentences(self.path), self._write_lock.held(BUSY_TIMEOUT):
            if self._writer is None:
                self._writer, self._waits_for_disk = self.connect(), True
                self._identity = _identity(self._name)
            elif _identity(self._name) != self._identity:
                raise StorageError(f"{self.path} was moved or deleted while in use; put it back, or restart")
            if self._waits_for_disk != waits_for_disk:
                self._writer.execute(f"PRAGMA synchronous={'FULL' if waits_for_disk else 'NORMAL'}")
                self._waits_for_disk = waits_for_disk
            try:
                yield self._writer
            finally:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
            if self._is_log_long():
                with suppress(sqlite3.Error):  # what was committed is: a full disk is told by the upkeep's checkpoint
                    self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    @contextmanager
    def exclusive(self) -> Iterator[sqlite3.Connection]:
        """The writer's connection for migrations, checkpoints and backups: nobody of ours writes meanwhile."""
        self.after_fork()
        with self._commit_lock, self._exclusive() as connection:
            yield connection

    def is_wanted(self) -> bool:
        """Whether another process waits to write."""
        return self._write_lock.is_wanted()

    def is_in_demand(self) -> bool:
        """Whether one had to wait for us within the last second."""
        return self._write_lock.is_in_demand()

    def bell(self) -> str:
        """The file that our processes write to when they have committed: who watches it need not poll."""
        self._write_lock.file()  # makes sure that there is one
        return self._write_lock.path

    def _ring(self) -> None:
        with suppress(OSError):  # whoever does not hear it looks by himself in a while
            os.pwrite(self._write_lock.file(), b"\0", 0)

    def _is_log_long(self) -> bool:
        """Whether the write-ahead log is to begin anew."""
        try:
            size = os.stat(self._wal).st_size
        except FileNotFoundError:
            size = 0
        self._growths += 0 < size - self._log_size < LITTLE_BYTES
        self._log_size = size
        if size > CHECKPOINT_BYTES or (size > WORTHWHILE_BYTES and self._growths >= GROWTHS):
            self._growths = 0
            return True
        return False

    def checkpoint(self) -> None:
        """Moves the log into the database file, as far as readers allow."""
        with self.exclusive() as connection:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    # reading

    def read(self, work: Callable[[Transaction], T], *, is_long: bool = False) -> T:
        with self.reading() as transaction:
            return work(transaction)

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        self.after_fork()
        with self._open_lock:
            connection = self._readers.pop() if self._readers else None
        connection = connection or self.connect(read_only=True)
        try:
            with sentences(self.path):
                connection.execute("BEGIN")
                yield SQLiteTransaction(connection)
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            with self._open_lock:
                self._readers.append(connection)

    @contextmanager
    def join(self, connection: Any) -> Iterator[Transaction]:
        connection = driver_connection(connection)
        if not isinstance(connection, sqlite3.Connection):
            kind = type(connection).__name__
            raise StorageError(f"the queue's database is SQLite: connection= takes a sqlite3.Connection, not {kind}")
        with sentences(_path_of(connection)):
            if not connection.in_transaction and connection.isolation_level is not None:
                connection.execute("BEGIN")  # as the module itself would before an INSERT: the caller commits
            connection.execute("SAVEPOINT headbox")
            try:
                yield SQLiteTransaction(connection)
            except BaseException:
                connection.execute("ROLLBACK TO headbox")
                connection.execute("RELEASE headbox")
                raise
            connection.execute("RELEASE headbox")

    def is_unique_violation(self, error: Exception) -> bool:
        return isinstance(error, sqlite3.IntegrityError) and error.sqlite_errorname == "SQLITE_CONSTRAINT_UNIQUE"

    # workers

    def enlist(self, worker: str) -> None:
        self.after_fork()
        self._workers.enlist(worker)

    def discharge(self, worker: str) -> None:
        self._workers.discharge(worker)

    def is_alive(self, worker: Worker, now: Instant) -> bool:
        """Whether the worker's process still holds its lock. No clock in it."""
        return self._workers.is_alive(worker.id)

    # the end

    def close(self) -> None:
        """Closes every connection; the next use opens afresh."""
        self.after_fork()
        with self._commit_lock, self._open_lock:
            for connection in (*self._readers, *([self._writer] if self._writer else [])):
                connection.close()
            self._write_lock.close()
            self._readers, self._writer = [], None


def _identity(path: str) -> tuple[int, int] | None:
    """What tells a file from another that has come to its place."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _path_of(connection: sqlite3.Connection) -> Path:
    """The file of a caller's own connection."""
    return Path(connection.execute("PRAGMA database_list").fetchone()[2] or ":memory:")


def _run_in_savepoint(connection: sqlite3.Connection, transaction: Transaction, work: _Work[Any]) -> None:
    connection.execute("SAVEPOINT work")
    try:
        work.value = work.run(transaction)
    except Exception as error:
        if not connection.in_transaction:  # a full disk rolls all back: then nobody's work was kept
            raise
        connection.execute("ROLLBACK TO work")
        work.error = named(error, None)
    connection.execute("RELEASE work")


def _file_system(folder: Path) -> str:
    """The kind of file system that `folder` is on, from /proc/self/mounts; '' where that cannot be told."""
    best, kind = "", ""
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    real = os.path.realpath(folder)
    for line in lines:
        _, point, type_, *_ = line.split(" ")
        point = point.replace("\\040", " ")
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, type_
    return kind
