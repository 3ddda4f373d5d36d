"""SQLite's errors in sentences that say what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headbox.domain.errors import HeadboxError, StorageError, StorageUnavailable


@contextmanager
def sentences(path: Path) -> Iterator[None]:
    """Turns SQLite's errors into ours, each a sentence that says what to do."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        said = named(error, path)
        if said is error:
            raise
        raise said from error


_SENTENCES: dict[str, tuple[type[HeadboxError], str]] = {
    "SQLITE_FULL": (StorageError, "the disk is full; free some space and try again"),
    "SQLITE_BUSY": (
        StorageUnavailable,
        "another program has kept it locked for 5 s; end its transaction and try again",
    ),
    "SQLITE_LOCKED": (StorageUnavailable, "another program has locked it; end its transaction and try again"),
    "SQLITE_CANTOPEN": (StorageError, "it cannot be opened; check that the folder exists and may be written"),
    "SQLITE_READONLY": (StorageError, "it may not be written; check the file's owner and permissions"),
    "SQLITE_PERM": (StorageError, "access is denied; check the file's owner and permissions"),
    "SQLITE_NOTADB": (StorageError, "it is not an SQLite database; name another file"),
    "SQLITE_CORRUPT": (StorageError, "it is damaged; run `headbox db check` and restore a backup"),
    "SQLITE_IOERR": (StorageError, "reading or writing failed; check the disk"),
}


def named(error: BaseException, path: Path | None) -> BaseException:
    """The error in our words, with what it concerns; itself where it is none of SQLite's or of the file's."""
    where = f"{path}: " if path else "the database: "
    if isinstance(error, sqlite3.Error):
        name = getattr(error, "sqlite_errorname", "") or ""
        for prefix, (kind, sentence) in _SENTENCES.items():
            if name.startswith(prefix):
                return kind(where + sentence)
        if "no such table: headbox_" in str(error):
            return StorageError(f"{where}it has no Headbox tables; use the queue's own, or start Headbox on it")
    elif isinstance(error, OSError) and not isinstance(error, BlockingIOError):
        return StorageError(f"{where}{error.strerror or error}; check the folder and the disk")
    return error
