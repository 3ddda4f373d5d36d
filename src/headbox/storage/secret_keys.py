"""The key that is kept beside a database. It is read without the store: a worker's child needs it, and nothing else."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from urllib.parse import unquote

from headbox.domain.errors import StorageError


def sqlite_path(url: str) -> Path | None:
    """The file of an SQLite database, where all links lead: the files beside it are the same for all who come by one.
    None for the URL of another kind of database, or of none."""
    scheme, _, path = url.partition("://")
    if scheme == "sqlite" and path.startswith("/") and len(path) > 1 and "?" not in path and path != "/:memory:":
        return Path(os.path.realpath(unquote(path[1:])))
    return None


def kept_keys(database: Path | None) -> tuple[bytes, ...]:
    """The key in the 0600 file beside an SQLite database, made at first use. () for any other database (None): a key
    beside the tasks of a server would let whoever can write to them run code. StorageError if it cannot be kept."""
    return () if database is None else (_kept_key(database.with_name(f"{database.name}.key")),)


def _kept_key(path: Path) -> bytes:
    try:
        if not path.exists():
            _make(path)
        key = path.read_bytes().strip()
    except OSError as error:
        raise StorageError(f"{path}: the secret key cannot be kept there: {error.strerror}") from None
    if not key:
        raise StorageError(f"{path} is empty; restore it, or delete it and lose what it has signed")
    return key


def _make(path: Path) -> None:
    """Of two that do this at once, one is first."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(secrets.token_hex(32))
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
