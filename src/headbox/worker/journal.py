"""The ends of runs that are not recorded yet, in files that outlive every process: after a kill -9 of a whole worker
the next one of its machine records them, and only what was in progress runs again. Each child writes a file of its own;
memory that is mapped, because a system call for each run would cost ten times as much."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import mmap
import os
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from headbox.domain.task import Work
from headbox.worker.protocol import LENGTH, Ended, frame

RECORDED, FILLED = 0, 1  # words: how many ends are recorded; how far each of the two halves is filled
HEADER = 4096
HALF = 256 * 1024  # bytes; an end that does not fit is not kept
TURN = 64 * 1024  # bytes, after which the other half is used again, if all of it is recorded
DYING = 2.0  # seconds that the children of a dead worker may take to end

_KEY = struct.Struct("!IB")  # run, length of the id; then the id, and the Ended as it travels

logger = logging.getLogger(__name__)


class End(NamedTuple):
    """How a run ended, that is perhaps not recorded."""

    id: str
    run: int
    ended: Ended


class Journal:
    """A child's side: `note` is for one thread."""

    def __init__(self, descriptor: int) -> None:
        self._memory = mmap.mmap(descriptor, HEADER + 2 * HALF)
        self._words = memoryview(self._memory)[:HEADER].cast("Q")
        self._half, self._at = 0, 0
        self._noted = 0
        self._last = [0, 0]  # of each half: the number of the newest end in it

    def note(self, work: Work, ended: Ended) -> bytes:
        """Keeps the end of a run; that of an interrupted one is for the supervisor to judge. What is to be sent."""
        data = frame(ended)
        self._noted += 1
        if not ended.interrupted:
            id = work.id.encode()
            self._add(_KEY.pack(work.run, len(id)) + id + data)
        return data

    def _add(self, entry: bytes) -> None:
        if self._at >= TURN and self._last[1 - self._half] <= self._words[RECORDED]:
            self._half, self._at = 1 - self._half, 0
            self._words[FILLED + self._half] = 0
        end = self._at + len(entry)
        if end > HALF:
            return
        begin = HEADER + self._half * HALF
        self._memory[begin + self._at : begin + end] = entry
        self._words[FILLED + self._half] = self._at = end  # behind the entry: what a kill cuts short does not count
        self._last[self._half] = self._noted

    def close(self) -> None:
        """Gives up the memory."""
        self._words.release()
        self._memory.close()


class JournalFile:
    """The supervisor's side. The `descriptor` is for the child. Whoever has the file open or mapped holds its lock: who
    gets that finds all of them dead."""

    def __init__(self, descriptor: int, path: Path | None) -> None:
        """`path` None: memory alone, that nobody finds again."""
        self.descriptor = descriptor
        self.heard = 0  # ends that the child has told
        self.is_over = False
        self._path = path
        self._memory = mmap.mmap(descriptor, HEADER)
        self._words = memoryview(self._memory).cast("Q")

    @property
    def recorded(self) -> int:
        """How many of them are recorded."""
        return self._words[RECORDED]

    @recorded.setter
    def recorded(self, count: int) -> None:
        self._words[RECORDED] = count

    def remove(self) -> None:
        """Gives up the file: all of it is recorded."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Leaves the file to the next worker."""
        self._words.release()
        self._memory.close()


Marks = tuple[tuple[JournalFile, int], ...]


class Journals:
    """The files of one worker's children. `folder`: where they are made from now on."""

    def __init__(self, folder: Path = Path()) -> None:
        self.folder = folder
        self._files: list[JournalFile] = []
        self._has_complained = False

    def open(self, worker: str, number: int) -> JournalFile:
        """A file for a child; memory where there can be none."""
        path = self.folder / f"{worker}-{number}"
        try:
            file = JournalFile(_create(path), path)
        except OSError as error:
            with contextlib.suppress(OSError):
                path.unlink()
            if not self._has_complained:
                logger.warning(
                    "%s: %s; if this worker is killed, runs that have ended and are not recorded yet will run again",
                    path,
                    error.strerror,
                )
            self._has_complained = True
            file = JournalFile(_sized(os.memfd_create("headbox-journal", os.MFD_CLOEXEC)), None)
        self._files.append(file)
        return file

    def heard(self) -> Marks:
        """How many ends each child has told by now."""
        return tuple((file, file.heard) for file in self._files)

    def note_recorded(self, marks: Marks) -> None:
        """So many ends of each child are recorded."""
        for file, count in marks:
            if file in self._files:
                file.recorded = count
                if file.is_over and count == file.heard:
                    self._files.remove(file)
                    file.remove()

    @property
    def are_recorded(self) -> bool:
        """Whether there is nothing to be left behind."""
        return all(file.recorded == file.heard for file in self._files)

    def close(self) -> None:
        """Ends them; what is not recorded is left to the next worker."""
        for file in self._files:
            if file.recorded == file.heard:
                file.remove()
            else:
                file.close()
        self._files.clear()


def folder_of(beside: Path | None, identify: Callable[[], str], environ: Mapping[str, str] = os.environ) -> Path:
    """Where a database's journals are: beside its file, or in a folder of the user's on this machine (systemd's
    StateDirectory, the session's runtime directory, or the home directory) that goes by the database's identity."""
    if beside is not None:
        return beside.with_name(f"{beside.name}.ends")
    state, runtime = environ.get("STATE_DIRECTORY"), environ.get("XDG_RUNTIME_DIR")
    home = Path(environ.get("HOME") or "~").expanduser() / ".local" / "state"
    folder = Path(state.split(":")[0]) if state else (Path(runtime) if runtime else home) / "headbox"
    return folder / f"ends-{hashlib.sha256(identify().encode()).hexdigest()[:16]}"


@contextlib.contextmanager
def left_behind(folder: Path, dead: set[str], known: set[str]) -> Iterator[dict[str, list[End]] | None]:
    """What dead workers have left, by worker; on the way out it is deleted, for by then it is recorded. None: another
    is about it, who may also have been stopped; look again later. What a worker left that is neither `dead` nor `known`
    goes unread."""
    if not _is_any(folder):
        yield {}
        return
    with _locked(folder) as is_ours:
        if not is_ours:
            yield None
            return
        found: dict[str, list[End]] = {}
        taken: list[tuple[Path, int]] = []
        try:
            deadline = time.monotonic() + DYING
            for path in sorted(folder.iterdir()):
                worker = path.name.rpartition("-")[0]
                is_dead = worker in dead
                if (is_dead or worker not in known) and (file := _take(path, deadline if is_dead else 0.0)) is not None:
                    taken.append((path, file))
                    if is_dead:
                        found.setdefault(worker, []).extend(_read(path, file))
            yield found
            for path, _ in taken:
                path.unlink(missing_ok=True)
        finally:
            for _, file in taken:
                os.close(file)


def _create(path: Path) -> int:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # All of its blocks now: memory that is mapped on a full disk kills whoever writes to it.
        os.posix_fallocate(descriptor, 0, HEADER + 2 * HALF)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _sized(descriptor: int) -> int:
    os.ftruncate(descriptor, HEADER + 2 * HALF)
    return descriptor


def _is_any(folder: Path) -> bool:
    try:
        return any(folder.iterdir())
    except OSError:  # there is no such folder, or none that we may read
        return False


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Whether nobody else has it."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(lock)


def _take(path: Path, deadline: float) -> int | None:
    """The file, once nobody has it open any more; None while somebody has, or where it is not the user's own."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    while os.fstat(file).st_uid == os.geteuid():
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                break
            time.sleep(0.002)
        else:
            return file
    os.close(file)
    return None


def _read(path: Path, file: int) -> list[End]:
    ends: list[End] = []
    try:
        header = memoryview(os.pread(file, HEADER, 0)).cast("Q")
        for half in (0, 1):
            ends += _entries(os.pread(file, min(header[FILLED + half], HALF), HEADER + half * HALF))
    except (ValueError, IndexError, TypeError, struct.error, msgspec.MsgspecError) as error:
        logger.error("%s cannot be read (%s): what ended and was not recorded runs again", path, error)
    return ends


def _entries(data: bytes) -> Iterator[End]:
    at = 0
    while at < len(data):
        run, length = _KEY.unpack_from(data, at)
        begin = at + _KEY.size + length
        id = data[at + _KEY.size : begin].decode()
        end = begin + LENGTH.size + LENGTH.unpack_from(data, begin)[0]
        yield End(id, run, _decode(data[begin + LENGTH.size : end]))
        at = end


_decode = msgspec.msgpack.Decoder(Ended).decode
