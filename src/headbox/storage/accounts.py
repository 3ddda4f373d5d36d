"""The verbs about who may call: users, tokens, sessions, audited events; and the settings that the database keeps."""

from __future__ import annotations

from json import dumps

from msgspec.structs import asdict

from headbox.domain.errors import UnknownName
from headbox.domain.task import Instant
from headbox.identifiers import new_id
from headbox.storage import lookups
from headbox.storage.database import Row, Transaction
from headbox.storage.lookups import user_of
from headbox.storage.records import Event, Session, Token, User

NEWEST = 2**63 - 1
IDENTITY = "identity"  # the setting that is the database's name for itself


def create_user(tx: Transaction, user: User) -> bool:
    """False if the name is taken."""
    return tx.change("create_user", **asdict(user) | {"roles": dumps(user.roles)}) == 1


def user(tx: Transaction, name: str) -> User | None:
    """The user of that name."""
    return lookups.user(name)(tx)


def users(tx: Transaction) -> list[User]:
    """All users, by name."""
    return [user for row in tx.all("users") if (user := user_of(row))]


def change_user(tx: Transaction, name: str, password_hash: str | None, roles: tuple[str, ...] | None) -> User:
    """Another password, other roles, or both; UnknownName. Who was logged in with the old password is no more."""
    present = user(tx, name)
    if present is None:
        raise _no_user(name)
    if password_hash is not None:
        tx.change("delete_sessions_of", name=name)
    tx.change(
        "change_user",
        name=name,
        password_hash=present.password_hash if password_hash is None else password_hash,
        roles=dumps(present.roles if roles is None else roles),
    )
    return user(tx, name) or present


def delete_user(tx: Transaction, name: str) -> None:
    """The user, its tokens and its sessions go; UnknownName."""
    tx.change("delete_tokens_of", name=name)
    tx.change("delete_sessions_of", name=name)
    if not tx.change("delete_user", name=name):
        raise _no_user(name)


def _no_user(name: str) -> UnknownName:
    return UnknownName(f"there is no user {name}; `headbox user list` shows those that exist")


def create_token(tx: Transaction, token: Token) -> None:
    """Adds a token; UnknownName if there is no such user."""
    if tx.one("user", name=token.user) is None:
        raise _no_user(token.user)
    tx.change("create_token", **asdict(token))


def tokens(tx: Transaction, user: str | None) -> list[Token]:
    """A user's tokens, or all."""
    return [_token(row) for row in (tx.all("tokens") if user is None else tx.all("tokens_of", user=user))]


def delete_token(tx: Transaction, id: str) -> Token:
    """The token as it was; UnknownName."""
    row = tx.one("token_by_id", id=id)
    if row is None:
        raise UnknownName(f"there is no token {id}; `headbox token list` shows those that exist")
    tx.change("delete_token", id=id)
    return _token(row)


def _token(row: Row) -> Token:
    return Token(**dict(zip(Token.__struct_fields__, row, strict=True)))


def create_session(tx: Transaction, session: Session) -> None:
    """Adds a session, and takes away those that have expired; UnknownName if there is no such user."""
    if tx.one("user", name=session.user) is None:
        raise _no_user(session.user)
    tx.change("delete_expired_sessions", now=session.create_time)
    tx.change("create_session", **asdict(session))


def session(tx: Transaction, secret_hash: bytes, now: Instant) -> Session | None:
    """The session with this secret that has not expired."""
    row = tx.one("session", secret_hash=secret_hash, now=now)
    return None if row is None else Session(**dict(zip(Session.__struct_fields__, row, strict=True)))


def record(tx: Transaction, event: Event) -> None:
    """Adds an audited event."""
    values = asdict(event)
    del values["id"]
    tx.change("record_event", **values)


def events(tx: Transaction, limit: int, before: int | None) -> list[Event]:
    """Audited events with ids below `before`, newest first."""
    rows = tx.all("events", limit=limit, before=NEWEST if before is None else before)
    return [Event(**dict(zip(Event.__struct_fields__, row, strict=True))) for row in rows]


def setting(tx: Transaction, name: str) -> str | None:
    """The value that is kept under the name."""
    row = tx.one("setting", name=name)
    return None if row is None else str(row[0])


def identify(tx: Transaction) -> str:
    """What tells this database from every other; chosen by whoever asks first."""
    tx.change("add_setting", name=IDENTITY, value=new_id())
    return setting(tx, IDENTITY) or ""


def change_setting(tx: Transaction, name: str, value: str | None) -> None:
    """Keeps a value, or forgets it (None)."""
    if value is None:
        tx.change("delete_setting", name=name)
    else:
        tx.change("change_setting", name=name, value=value)
