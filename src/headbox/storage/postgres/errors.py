"""What PostgreSQL's errors mean: which say that it is away for now, and what to do about the others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from headbox.domain.errors import HeadboxError, StorageError, StorageStarting, StorageUnavailable

OLDEST = 14  # the oldest PostgreSQL that is supported


class ConnectionLost(StorageUnavailable):
    """The server cannot be reached, or the connection broke before anything was committed: worth trying again."""


class NotYet(ConnectionLost, StorageStarting):
    """The server itself says so: it is starting up, recovering or going down, or has no connection left."""


class Collision(StorageUnavailable):
    """Another transaction was in the way and this one was rolled back whole: it can be run again at once."""


# SQLSTATE, or the beginning of one (PostgreSQL's documentation, appendix A).
_BY_CODE: dict[str, tuple[type[HeadboxError], str]] = {
    "08": (ConnectionLost, "check that the server runs there, and try again"),
    "57P": (NotYet, "it is shutting down or starting up; try again in a moment"),
    "25006": (ConnectionLost, "it is a standby, which takes no changes; name the primary, or wait for the failover"),
    "25P03": (ConnectionLost, "it ended a transaction that had been idle for too long; try again"),
    "40": (Collision, "others keep changing the same tasks; try again"),
    "25P02": (StorageError, "its transaction has failed before; roll it back first"),
    "53300": (NotYet, "it has no connection left; raise max_connections or start fewer processes"),
    "53100": (StorageError, "its disk is full; free some space there and try again"),
    "53": (StorageUnavailable, "it is short of resources; try again, and give it more memory"),
    "55P03": (StorageUnavailable, "somebody's transaction has kept a lock for too long; end it and try again"),
    "57014": (StorageUnavailable, "it was told to give up the statement, which took too long; try again"),
    "54": (StorageError, "a value is too long for it; give a shorter one"),
    "28": (StorageError, "it refuses this user or password; check both in the URL, and the server's pg_hba.conf"),
    "3D000": (StorageError, "there is no such database; make it with `createdb`, or name another"),
    "3F000": (StorageError, "there is no such schema; check the URL's search_path"),
    "42501": (StorageError, "the user may not do that there; grant it the rights to Headbox's tables"),
    "42P01": (StorageError, "it has no Headbox tables; run `headbox db upgrade` on it first"),
    "42703": (StorageError, "its tables are not those of this version; run `headbox db upgrade` on it"),
    "58": (StorageError, "reading or writing failed there; check the server's disk and its log"),
    "XX001": (StorageError, "its data is damaged; run `headbox db check` and restore a backup"),
    "XX002": (StorageError, "an index is damaged; run `headbox db check` and `REINDEX DATABASE`"),
}
_WITH_MESSAGE = ("08", "42501", "53", "54", "57014", "58")
# A connection that is refused comes without a code. Where the server says so in another language than English, its own
# message is shown.
_BY_MESSAGE: tuple[tuple[str, str], ...] = (
    (r"password authentication failed|no password supplied|pg_hba\.conf", "28"),
    (r'role ".*" (does not exist|is not permitted)', "28"),
    (r"database \".*\" does not exist", "3D000"),
    (r"permission denied for database", "42501"),
    (r"too many (clients|connections)|remaining connection slots", "53300"),
    (r"the database system is", "57P"),
    (r"session is (not )?(read-only|in hot standby)|server is in hot standby", "25006"),
)


def named(error: psycopg.Error, where: str) -> HeadboxError:
    """The error as one of ours, a sentence that says what to do."""
    code = error.sqlstate or (_code_of_refusal(str(error)) if isinstance(error, psycopg.OperationalError) else "")
    message = _first_line(error)
    for prefix in (code, code[:3], code[:2]):
        if prefix in _BY_CODE:
            kind, sentence = _BY_CODE[prefix]
            return kind(f"{where}: {message}; {sentence}" if prefix in _WITH_MESSAGE else f"{where}: {sentence}")
    return StorageError(f"{where}: {message}; see the server's log")


def _code_of_refusal(message: str) -> str:
    return next((code for pattern, code in _BY_MESSAGE if re.search(pattern, message)), "08")


def _first_line(error: psycopg.Error) -> str:
    text = error.diag.message_primary or str(error).strip() or "the connection broke"
    return text.splitlines()[0].rstrip(".")


def is_broken(error: BaseException) -> bool:
    """Whether the connection went away, as opposed to a statement that was refused."""
    code = getattr(error, "sqlstate", None) or ""
    return isinstance(error, psycopg.OperationalError) and (not code or code.startswith(("08", "57P", "25P03")))


@contextmanager
def sentences(where: str) -> Iterator[None]:
    """Turns PostgreSQL's errors into ours."""
    try:
        yield
    except psycopg.Error as error:
        raise named(error, where) from error
