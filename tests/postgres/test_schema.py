from __future__ import annotations

import os
import re
import secrets
import subprocess
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from starlette.testclient import TestClient

from headbox import TaskQueue
from headbox.cli.db import db
from headbox.domain.errors import StorageError
from headbox.domain.outcomes import Outcome
from headbox.domain.task import HOUR
from headbox.storage import migrate
from headbox.storage.postgres import migrate as postgres_migrate
from headbox.storage.postgres import store as postgres_store
from headbox.storage.postgres.store import PostgresStore
from headbox.storage.records import ClaimRequest, Event, Filter, Report, Token, User
from headbox.web import asgi_app
from servers.postgres import binaries
from tests import postgres_server
from tests.postgres.conftest import NOON, a_task, a_worker

NOTE = "CREATE TABLE headbox_note (x int);"
DROP = "-- oldest compatible: 3\nALTER TABLE headbox_note DROP COLUMN x;"


@pytest.fixture
def url(empty: str) -> str:
    """The tables themselves are changed."""
    return empty


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Makes this code one that brings further migrations, in a folder of the test's."""
    first = migrate.migrations("postgres")

    def release(further: dict[int, str]) -> None:
        folder = tmp_path / f"migrations-{secrets.token_hex(4)}"
        folder.mkdir()
        for number, sql in {**first, **further}.items():
            (folder / f"{number:04}_made_up.sql").write_text(sql)
        monkeypatch.setattr(migrate, "folder", lambda dialect: folder)
        postgres_migrate.afterwards.cache_clear()

    yield release
    postgres_migrate.afterwards.cache_clear()


def test_many_that_start_on_an_empty_database_at_once_initialise_it_once(url: str) -> None:
    together = threading.Barrier(8)
    errors: list[BaseException] = []

    def start() -> None:
        store = PostgresStore(url, HOUR)
        try:
            together.wait(10)
            store.initialise(NOON)
        except BaseException as error:
            errors.append(error)
        finally:
            store.close()

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    store = PostgresStore(url, HOUR)
    assert errors == [] and len(list(store.stream(Filter(), NOON))) == 2
    store.close()


def test_an_existing_schema_is_upgraded_by_command_alone(store: PostgresStore, release: Any) -> None:
    release({2: NOTE})
    assert store.status()["pending_migrations"] == [2]
    with pytest.raises(StorageError, match="of schema 1, this Headbox needs 2; run `headbox db upgrade` first"):
        store.initialise(NOON)
    store.upgrade(NOON)
    store.initialise(NOON)
    status = store.status()
    assert (status["schema_version"], status["pending_migrations"]) == (2, [])
    store.upgrade(NOON)


def test_the_version_before_works_on_until_the_last_migrations_and_then_is_refused(
    store: PostgresStore, release: Any
) -> None:
    release({2: NOTE, 3: DROP})
    store.upgrade(NOON)
    status = store.status()
    assert (status["schema_version"], status["pending_migrations"]) == (2, [])
    assert status["pending_final_migrations"] == [3]
    store.initialise(NOON)
    release({})
    store.initialise(NOON)
    assert store.enqueue([a_task()], NOON)
    release({2: NOTE, 3: DROP})
    store.upgrade(NOON, finish=True)
    assert store.status()["pending_final_migrations"] == []
    store.initialise(NOON)
    release({2: NOTE})
    with pytest.raises(StorageError, match="needs a Headbox of schema 3 or later, this one is of 2"):
        store.initialise(NOON)
    with pytest.raises(StorageError, match="install a newer Headbox"):
        store.upgrade(NOON)


def test_an_empty_database_gets_all_migrations(url: str, release: Any) -> None:
    release({2: NOTE, 3: DROP})
    store = PostgresStore(url, HOUR)
    store.initialise(NOON)
    status = store.status()
    assert status["pending_migrations"] == status["pending_final_migrations"] == []
    store.close()


def test_the_command_says_what_is_left_for_later_and_finishes(store: PostgresStore, release: Any) -> None:
    def run(*arguments: str) -> str:
        done = CliRunner().invoke(db, [*arguments, "--database", store.url])
        assert done.exit_code == 0, done.output
        return done.output

    release({2: NOTE, 3: DROP})
    assert re.search(r"pending migrations\W+2\W+pending final migrations\W+3", run("status"))
    said = run("upgrade")
    assert "is up to date" in said and "Left for later: 3" in said and "headbox db upgrade --finish" in said
    assert re.search(r"pending migrations\W+none\W+pending final migrations\W+3", run("status"))
    assert "Left for later" not in run("upgrade", "--finish")
    assert re.search(r"pending migrations\W+none\W+pending final migrations\W+none", run("status"))


def test_an_api_is_ready_while_a_final_migration_is_pending_and_not_while_another_is(
    store: PostgresStore, release: Any
) -> None:
    def probe() -> tuple[int, Any]:
        with TestClient(asgi_app(TaskQueue(store.url))) as client:
            answer = client.get("/health/ready")
            return answer.status_code, answer.json()

    release({2: NOTE, 3: DROP})
    store.upgrade(NOON)
    assert probe() == (200, {"status": "ready"})
    with TestClient(asgi_app(TaskQueue(store.url))) as client:
        release({2: NOTE, 3: NOTE.replace("note", "other")})
        answer = client.get("/health/ready")
        assert answer.status_code == 503 and "run `headbox db upgrade`" in answer.json()["detail"]


def test_a_migration_that_fails_leaves_the_schema_as_it_was(store: PostgresStore, release: Any) -> None:
    release({2: f"{NOTE} SELECT 1 / 0;"})
    with pytest.raises(StorageError, match="division by zero"):
        store.upgrade(NOON)
    assert store.status()["schema_version"] == 1
    release({2: NOTE})
    store.upgrade(NOON)
    assert store.status()["schema_version"] == 2


def test_a_backup_restored_by_psql_is_the_same(store: PostgresStore, tmp_path: Path) -> None:
    store.register(a_worker("w"), [], [], NOON)
    store.enqueue([a_task(args=b"\x80\x00\xff", queue="tab\tnew\nline\\ é") for _ in range(3)], NOON)
    claims = store.exchange("w", Report(), ClaimRequest(queues=(), limit=1), NOON).claims
    assert claims is not None
    ended = Outcome(claims.tasks[0].id, 1, "fail", NOON, exception="\\N", traceback="\\.")
    store.exchange("w", Report(outcomes=[ended]), ClaimRequest(queues=(), limit=1), NOON)
    store.create_user(User(name="ann", password_hash="h", roles=("admin",), create_time=NOON))
    store.create_token(Token(id="t", user="ann", name="n", secret_hash=b"\x00\xff", create_time=NOON))
    for _ in range(2):
        store.record(Event(time=NOON, user=None, address=None, method="GET", path="/", status=200))
    file = tmp_path / "copy.sql"
    store.backup(str(file))
    with postgres_server.database() as elsewhere:
        psql = [str(binaries() / "psql"), "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1"]
        environment = {**os.environ, "PGOPTIONS": ""}
        done = subprocess.run([*psql, "-f", str(file), elsewhere], capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        copy = PostgresStore(elsewhere, HOUR)
        copy.initialise(NOON)
        everything = Filter(states=("current", "archived"))
        assert list(copy.stream(everything, NOON)) == list(store.stream(everything, NOON))
        assert (copy.users(), copy.tokens(), copy.workers()) == (store.users(), store.tokens(), store.workers())
        assert copy.events(9) == store.events(9)
        copy.record(Event(time=NOON, user=None, address=None, method="GET", path="/", status=200))
        assert [event.id for event in copy.events(9)] == [3, 2, 1]
        copy.close()


def test_every_table_is_in_a_backup(store: PostgresStore, admin: psycopg.Connection[Any]) -> None:
    rows = admin.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'headbox%'").fetchall()
    assert {name for (name,) in rows} == set(postgres_store.TABLES)


def test_the_check_finds_an_index_that_is_not_valid(store: PostgresStore, admin: psycopg.Connection[Any]) -> None:
    assert store.check() == []
    admin.execute("UPDATE pg_index SET indisvalid = FALSE WHERE indexrelid = 'headbox_tasks_job'::regclass")
    assert store.check() == ["the index headbox_tasks_job is not valid: run REINDEX INDEX headbox_tasks_job"]


def test_the_tables_may_live_in_a_schema_of_their_own(url: str, admin: psycopg.Connection[Any]) -> None:
    admin.execute("CREATE SCHEMA mill")
    store = PostgresStore(f"{url}?options=-csearch_path%3Dmill", HOUR)
    store.initialise(NOON)
    task = store.enqueue([a_task()], NOON)[0]
    assert admin.execute("SELECT id FROM mill.headbox_tasks WHERE queue = 'default'").fetchall() == [(task.id,)]
    assert store.status()["size"] > 0 and store.check() == []
    store.close()
    admin.execute("DROP SCHEMA mill CASCADE")
