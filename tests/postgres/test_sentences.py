from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from headbox.domain.errors import ConfigError, StorageError, StorageUnavailable, UnknownTask
from headbox.domain.outcomes import Outcome
from headbox.domain.task import HOUR
from headbox.storage.postgres import connections as postgres_connections
from headbox.storage.postgres.store import PostgresStore
from headbox.storage.records import ClaimRequest, Report
from headbox.storage.store import open_store
from servers.postgres import PASSWORD, in_database
from tests.postgres.conftest import NOON, a_task, a_worker, with_wrong_password


def refusal(url: str, kind: type[StorageError] = StorageError) -> str:
    store = PostgresStore(url, HOUR)
    store.patience = 0.0
    with pytest.raises(kind) as refused:
        store.workers()
    assert type(refused.value) is kind or kind is StorageUnavailable
    store.close()
    sentence = str(refused.value)
    assert "\n" not in sentence and PASSWORD not in sentence
    return sentence


@pytest.fixture
def url(empty: str) -> str:
    """Some look at a database without tables, some take rights away."""
    return empty


@pytest.fixture
def stranger(admin: psycopg.Connection[Any], url: str) -> Iterator[str]:
    """The URL of a role that has no rights."""
    admin.execute("CREATE ROLE stranger LOGIN PASSWORD 'x'")
    parts = urlsplit(url)
    yield f"postgresql://stranger:x@{parts.hostname}:{parts.port}{parts.path}"
    admin.execute("DROP OWNED BY stranger")
    admin.execute("DROP ROLE stranger")


def test_a_wrong_password_or_user(url: str) -> None:
    assert "refuses this user or password; check both in the URL" in refusal(with_wrong_password(url))
    assert "refuses this user or password" in refusal(
        url.replace(f"://{urlsplit(url).username}:", "://nobody_of_this_name:")
    )


def test_a_database_that_does_not_exist(url: str) -> None:
    assert "there is no such database; make it with `createdb`" in refusal(in_database(url, "nowhere"))


def test_a_server_that_does_not_run() -> None:
    assert "refused; check that the server runs there" in refusal("postgresql://127.0.0.1:1/x", StorageUnavailable)


def test_a_host_that_does_not_exist() -> None:
    assert "no.such.host.invalid" in refusal("postgresql://no.such.host.invalid/x", StorageUnavailable)


def test_a_database_without_tables(url: str) -> None:
    assert "it has no Headbox tables; run `headbox db upgrade` on it first" in refusal(url)


def test_a_user_without_rights(store: PostgresStore, stranger: str) -> None:
    assert "permission denied for table headbox_workers" in refusal(stranger)


def test_a_user_who_may_not_create_the_tables(stranger: str) -> None:
    store = PostgresStore(stranger, HOUR)
    with pytest.raises(StorageError, match="permission denied for schema public; the user may not do that there"):
        store.initialise(NOON)


def test_a_server_that_is_too_old(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_connections, "OLDEST", 99)
    assert "Headbox needs 99 or later" in refusal(url)


def test_a_database_that_takes_no_changes(store: PostgresStore, admin: psycopg.Connection[Any]) -> None:
    """As a primary that has become a standby since the connection was made."""
    store.patience = 0.0

    def write(tx: Any) -> None:
        with store._server.reading() as reading:
            reading.change("change_setting", name="x", value="y")

    with pytest.raises(StorageUnavailable, match="it is a standby, which takes no changes; name the primary"):
        store._server.write(write)


def test_too_many_connections(url: str, stranger: str, admin: psycopg.Connection[Any]) -> None:
    admin.execute("ALTER ROLE stranger CONNECTION LIMIT 0")
    assert "it has no connection left; raise max_connections" in refusal(stranger, StorageUnavailable)


@pytest.mark.parametrize("url", ["postgresql://u:secret@h/d?nonsense=1", "postgresql://u:secret@[::1/d"])
def test_a_url_that_cannot_be_read_is_refused_and_its_password_not_told(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        open_store(url)
    assert "use postgresql://" in str(refused.value) and "secret" not in str(refused.value)


def test_a_missing_driver_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("headbox.storage.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigError, match=r"pip install 'headbox\[postgres\]'"):
        open_store("postgresql://h/d")


def test_both_schemes_lead_to_postgresql(url: str) -> None:
    for spelled in (url, url.replace("postgresql://", "postgres://")):
        store = open_store(spelled)
        store.initialise(NOON)
        assert store.status()["kind"].startswith("PostgreSQL")
        assert PASSWORD not in store.status()["url"]
        store.close()


def test_text_that_postgresql_cannot_hold_is_kept_as_far_as_it_can(store: PostgresStore) -> None:
    """A task's exception must not keep its end from being recorded."""
    store.register(a_worker("w"), [], [], NOON)
    task = store.enqueue([a_task(job_id="nul \0")], NOON)[0]
    store.exchange("w", Report(), ClaimRequest(queues=(), limit=1), NOON)
    odd = Outcome(task.id, 1, "fail", NOON, exception="nul \0 half \ud800 é", traceback="\0")
    assert store.exchange("w", Report(outcomes=[odd]), None, NOON).superseded == []
    ended = store.get(task.id)
    assert (ended.state, ended.exception, ended.traceback, ended.job_id) == ("error", "nul ? half ? é", "?", "nul ?")
    with pytest.raises(UnknownTask):
        store.get("\0")


def test_a_value_that_is_too_long_for_an_index_says_so(store: PostgresStore) -> None:
    import secrets

    with pytest.raises(StorageError, match="give a shorter one"):
        store.enqueue([a_task(queue=secrets.token_hex(20_000))], NOON)
