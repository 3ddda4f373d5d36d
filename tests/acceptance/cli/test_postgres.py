"""The command line on PostgreSQL: its URL holds a password, which nobody is shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests import postgres_server
from tests.tcp_proxy import proxied

if TYPE_CHECKING:
    from tests.service import Home, Starter


@pytest.fixture
def url() -> Iterator[str]:
    with postgres_server.database() as url:
        yield url


def test_an_empty_database_is_made_checked_and_shown_without_its_password(home: Home, url: str) -> None:
    password, database = urlsplit(url).password, urlsplit(url).path
    assert password
    said = [home.ok("db", command, "--database", url) for command in ("upgrade", "upgrade", "check", "status")]
    assert said[0] == said[1] and said[0].endswith("is up to date\n") and said[2].endswith("is sound\n")
    for text in said:
        assert database in text and password not in text


def test_serve_waits_for_a_database_that_goes_before_its_api_is_there(home: Home, start: Starter, url: str) -> None:
    home.ok("db", "upgrade", "--database", url)
    with proxied(url) as (proxy, through):
        proxy.refuses_after_loss = True
        proxy.lose(b"headbox_users")  # of which the API alone asks
        serve = start(home, "--database", through)
        serve.err.until("headbox.assemble: .*; trying again until it is there")
        proxy.refuses = False
        serve.ready()
        assert serve.stop() == 0


def test_serve_runs_tasks_and_shows_no_password(home: Home, start: Starter, url: str) -> None:
    password = urlsplit(url).password
    assert password
    home.environ["HEADBOX_DATABASE"] = url
    serve = start(home, "--app", "app:queue")
    serve.ready()
    assert home.ok("task", "enqueue", "add", "2", "b=3", "--wait").splitlines()[-1] == "5"
    assert serve.stop() == 0
    assert password not in "\n".join(serve.out.lines + serve.err.lines)
    assert any("Tasks are kept in postgresql://" in line for line in serve.out.lines)
