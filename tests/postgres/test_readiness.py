"""An API says soon that it is not ready: who asks has little patience."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from headbox import TaskQueue
from headbox.storage.postgres import connections
from headbox.storage.postgres.store import PostgresStore
from headbox.web import asgi_app
from headbox.web.routes import system
from tests.tcp_proxy import Proxy


@pytest.fixture
def client(proxy: tuple[Proxy, str], store: PostgresStore) -> Iterator[TestClient]:
    with TestClient(asgi_app(TaskQueue(proxy[1]))) as client:
        assert client.get("/health/ready").status_code == 200
        yield client


def test_a_database_that_refuses_is_told_at_once_and_not_waited_for(
    client: TestClient, proxy: tuple[Proxy, str]
) -> None:
    proxy[0].refuses = True
    proxy[0].cut()
    begun = time.monotonic()
    answer = client.get("/health/ready")
    assert time.monotonic() - begun < 4, "other calls wait five seconds"
    assert answer.status_code == 503 and answer.headers["retry-after"] == "1"
    assert "not ready: postgresql://127.0.0.1" in answer.json()["detail"]
    proxy[0].refuses = False
    assert client.get("/health/ready").json() == {"status": "ready"}


def test_a_database_that_does_not_answer_is_not_waited_for(
    client: TestClient, proxy: tuple[Proxy, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert system.READY_SECONDS < 1 and connections.ANSWER_SECONDS > 10
    monkeypatch.setattr(system, "READY_SECONDS", 0.2)
    proxy[0].fall_silent()
    begun = time.monotonic()
    answer = client.get("/health/ready")
    assert time.monotonic() - begun < 4, "a lost answer is waited for longer"
    assert answer.status_code == 503
    assert "the database has not answered within 0.2 s" in answer.json()["detail"]
    proxy[0].speak()
    proxy[0].cut()
    assert client.get("/health/live").status_code == 200
