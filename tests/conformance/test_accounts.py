from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from headbox.domain.errors import UnknownName
from headbox.storage import lookups
from headbox.storage.records import Event, Session, Token, User

if TYPE_CHECKING:
    from headbox.storage.store import Store

NOW = 1_796_126_400_000_000


def user(name: str, **changes: Any) -> User:
    return User(**{"name": name, "password_hash": "hash", "roles": ("readers",), "create_time": NOW} | changes)


def token(id: str, user: str = "ann", **changes: Any) -> Token:
    fields = {"id": id, "user": user, "name": "laptop", "secret_hash": id.encode(), "create_time": NOW}
    return Token(**fields | changes)


def holder(store: Store, secret_hash: bytes, now: int) -> User | None:
    """Asked in both ways."""
    lookup = lookups.holder(secret_hash, now)
    found = store.look_up(lookup)
    assert asyncio.run(store.look_up_on_loop(lookup)) == found
    return found


def event(**changes: Any) -> Event:
    fields = {
        "time": NOW, "user": "ann", "address": "::1", "method": "POST", "path": "/tasks/", "status": 202, "detail": "x",
    }  # fmt: skip
    return Event(**fields | changes)


def test_a_user_is_found_by_name_and_a_name_is_taken_once(store: Store) -> None:
    ann = user("ann", roles=("super-users", "operators"))
    assert store.create_user(ann) and not store.create_user(user("ann", password_hash="other"))
    assert store.user("ann") == ann
    assert store.user("bob") is None and store.user("") is None and store.user("Ann") is None


def test_users_are_listed_by_name(store: Store) -> None:
    assert store.users() == []
    everybody = [user("ann"), user("bob", roles=()), user("é'--")]
    for each in reversed(everybody):
        store.create_user(each)
    assert store.users() == everybody


def test_a_password_and_roles_are_changed_apart_or_together(store: Store) -> None:
    store.create_user(user("ann"))
    assert store.change_user("ann") == user("ann")
    assert store.change_user("ann", password_hash="new") == user("ann", password_hash="new")
    assert store.change_user("ann", roles=()) == user("ann", password_hash="new", roles=())
    assert store.change_user("ann", "newer", ("operators",)) == store.user("ann")
    with pytest.raises(UnknownName):
        store.change_user("bob", roles=())


def test_a_user_goes_with_its_tokens(store: Store) -> None:
    for name in ("ann", "bob"):
        store.create_user(user(name))
        store.create_token(token(f"of {name}", name))
    store.delete_user("ann")
    assert store.users() == [user("bob")] and store.tokens() == [token("of bob", "bob")]
    assert holder(store, b"of ann", NOW) is None
    with pytest.raises(UnknownName):
        store.delete_user("ann")


def test_the_holder_of_a_token_is_found_by_its_secret_until_it_expires(store: Store) -> None:
    store.create_user(user("ann"))
    store.create_user(user("bob"))
    store.create_token(token("1"))
    store.create_token(token("2", "bob", secret_hash=b"\x00\xff", expire_time=NOW + 10))
    assert holder(store, b"1", NOW) == holder(store, b"1", 2**62) == store.user("ann")
    assert holder(store, b"\x00\xff", NOW + 9) == store.user("bob")
    assert holder(store, b"\x00\xff", NOW + 10) is None
    assert holder(store, b"", NOW) is None and holder(store, b"2", NOW) is None


def test_tokens_are_listed_and_revoked(store: Store) -> None:
    assert store.tokens() == [] == store.tokens("ann")
    for name in ("ann", "bob"):
        store.create_user(user(name))
    tokens = [token("1"), token("2", "bob"), token("3", name="é")]
    for each in tokens:
        store.create_token(each)
    assert store.tokens() == tokens
    assert store.tokens("ann") == [tokens[0], tokens[2]] and store.tokens("nobody") == []
    assert store.delete_token("1") == tokens[0]
    assert store.tokens("ann") == [tokens[2]] and holder(store, b"1", NOW) is None
    with pytest.raises(UnknownName):
        store.delete_token("1")


def test_a_token_belongs_to_a_user(store: Store) -> None:
    with pytest.raises(UnknownName):
        store.create_token(token("1", "nobody"))
    assert store.tokens() == []


def test_audited_events_come_newest_first_page_by_page(store: Store) -> None:
    assert store.events(10) == []
    for status in range(5):
        store.record(event(status=status))
    newest = store.events(2)
    assert [each.status for each in newest] == [4, 3]
    assert [each.status for each in store.events(10, before=newest[-1].id)] == [2, 1, 0]
    assert store.events(10, before=store.events(10)[-1].id) == [] == store.events(0)
    assert len({each.id for each in store.events(10)}) == 5


def test_an_event_keeps_what_is_known_of_it(store: Store) -> None:
    for given in (event(), event(user=None, address=None, detail=None), event(path="/é'/" + "x" * 5_000)):
        store.record(given)
        (kept,) = store.events(1)
        assert kept == event(id=kept.id, user=given.user, address=given.address, detail=given.detail, path=given.path)


def test_a_setting_is_kept_replaced_and_forgotten(store: Store) -> None:
    assert store.setting("colour") is None
    for value in ("blue", "", "grün\n"):
        store.change_setting("colour", value)
        assert store.setting("colour") == value
    store.change_setting("colour", None)
    store.change_setting("colour", None)
    assert store.setting("colour") is None


def session(secret: str, user: str = "ann", **changes: Any) -> Session:
    fields = {"secret_hash": secret.encode(), "user": user, "create_time": NOW, "expire_time": NOW + 10}
    return Session(**fields | changes)


def test_a_session_is_found_by_its_hash_until_it_expires(store: Store) -> None:
    store.create_user(user("ann"))
    store.create_session(session("a"))
    assert store.session(b"a", NOW + 9) == session("a")
    assert store.session(b"a", NOW + 10) is None and store.session(b"b", NOW) is None
    store.extend_session(b"a", NOW + 20)
    assert store.session(b"a", NOW + 19) == session("a", expire_time=NOW + 20)
    store.delete_session(b"a")
    store.extend_session(b"a", NOW + 30)
    assert store.session(b"a", NOW) is None


def test_a_session_needs_its_user(store: Store) -> None:
    with pytest.raises(UnknownName):
        store.create_session(session("a"))
    assert store.session(b"a", NOW) is None


def test_a_new_session_takes_away_those_that_have_expired(store: Store) -> None:
    store.create_user(user("ann"))
    store.create_session(session("a"))
    store.create_session(session("b", create_time=NOW + 10, expire_time=NOW + 20))
    assert store.session(b"a", NOW) is None and store.session(b"b", NOW) is not None


@pytest.mark.parametrize(
    "end",
    [
        lambda store: store.change_user("ann", password_hash="new"),
        lambda store: store.delete_user("ann"),
        lambda store: store.delete_sessions("ann"),
    ],
    ids=["another password", "no user any more", "logged out everywhere"],
)
def test_all_sessions_of_a_user_end_at_once_and_nobody_elses(store: Store, end: Any) -> None:
    for name in ("ann", "bob"):
        store.create_user(user(name))
        store.create_session(session(name, name))
    store.change_user("ann", roles=())
    assert store.session(b"ann", NOW) is not None
    end(store)
    assert store.session(b"ann", NOW) is None and store.session(b"bob", NOW) is not None
