"""The server itself: prefixes, mounting, its socket, its stop, and what it says while the database is away."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from headbox.config import Settings
from headbox.domain.errors import ConfigError, OutcomeUnknown, StorageUnavailable
from headbox.storage.lookups import Lookup
from headbox.storage.sqlite import database as sqlite_database
from headbox.task_queue.queue import TaskQueue
from headbox.web import asgi_app
from headbox.web.request import Request
from headbox.web.server import make_server


def test_under_a_prefix_links_lead_back_and_health_answers_at_the_root_too(mill: Any, serve: Any) -> None:
    url = serve(prefix="/pulp/api")
    assert url.endswith("/pulp/api/")
    client = mill.client("super-users", name="ann")
    client.base_url = url
    root = url.removesuffix("/pulp/api/")
    made = client.post("tasks/", json={"method_name": "pack"})
    assert made.headers["location"] == f"/pulp/api/tasks/{made.json()['id']}/"
    page = client.get("tasks/?limit=1")
    assert page.links["next"]["url"].startswith("/pulp/api/tasks/?limit=1&cursor=")
    assert client.get(f"{root}{page.links['next']['url']}").status_code == 200
    for path in ("health/live", "health/ready"):
        assert client.get(path).status_code == client.get(f"{root}/{path}").status_code == 200
    assert client.get(f"{root}/tasks/").status_code == 404
    assert client.get(f"{root}/pulp/api").status_code == 404
    assert client.get(f"{root}/pulp/apitasks/").status_code == 404
    for path in (f"{root}/", url):
        assert client.get(path).headers["location"] == "/pulp/api/ui/"
    assert client.get("docs/").status_code == 200


def test_it_mounts_in_another_application(mill: Any, stage: Any, queue: Any) -> None:
    def home(request: Any) -> PlainTextResponse:
        return PlainTextResponse("home")

    stage[0].app = Starlette(routes=[Route("/", home), Mount("/queue", asgi_app(queue))])
    assert mill.admin.get("/").text == "home"
    made = mill.admin.post("/queue/tasks/", json={"method_name": "pack"})
    assert made.headers["location"] == f"/queue/tasks/{made.json()['id']}/"
    assert mill.admin.get(made.headers["location"]).json() == made.json()
    page = mill.admin.get("/queue/tasks/?limit=2")
    assert len(mill.admin.get(page.links["next"]["url"]).json()) == 1
    assert mill.admin.get("/queue/").headers["location"] == "/queue/ui/"
    assert mill.admin.get("/queue/tasks").status_code == 404


def test_a_mounted_application_opens_its_database_beside_the_event_loop(
    stage: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_database, "BUSY_TIMEOUT", 30.0)

    def home(request: Any) -> PlainTextResponse:
        return PlainTextResponse("home")

    first = TaskQueue(f"sqlite:///{tmp_path}/other.db")
    first.count()
    first.close()
    queue = TaskQueue(f"sqlite:///{tmp_path}/other.db")
    stage[0].app = Starlette(routes=[Route("/", home), Mount("/queue", asgi_app(queue))])
    with closing(sqlite3.connect(tmp_path / "other.db", isolation_level=None)) as other, ThreadPoolExecutor() as pool:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        waiting = [pool.submit(httpx.get, f"{stage[1]}queue/tasks/", trust_env=False, timeout=60) for _ in range(2)]
        for path in ("", "queue/health/live"):
            assert httpx.get(f"{stage[1]}{path}", trust_env=False, timeout=20).status_code == 200
        assert not any(call.done() for call in waiting)
        other.execute("ROLLBACK")
        other.close()
        assert [call.result().status_code for call in waiting] == [401, 401]
    queue.close()


def test_further_hosts_are_those_given(mill: Any, serve: Any) -> None:
    url = serve(allowed_hosts=("queue.example.org", "*.mill.example"))
    hosts = ("queue.example.org", "a.mill.example:80", "mill.example", "evil.example")
    statuses = [httpx.get(f"{url}health/live", headers={"Host": host}, trust_env=False).status_code for host in hosts]
    assert statuses == [200, 200, 421, 421]


def test_a_taken_port_is_one_sentence_that_names_the_option(queue: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} .* --port"):
            make_server(queue, Settings(port=port), print)


def test_an_address_of_another_machine_is_one_sentence_that_names_the_option(queue: Any) -> None:
    for host in ("192.0.2.1", "no-such-host.invalid"):
        with pytest.raises(ConfigError, match="--host"):
            make_server(queue, Settings(host=host, port=0), print)


SERVER = """
import sys
from headbox.config import Settings
from headbox.task_queue.queue import TaskQueue
from headbox.web.server import serve_api
settings = Settings(database=sys.argv[1], port=0)
queue = TaskQueue(settings=settings)
serve_api(queue, settings, lambda url: print(url, flush=True))
print("drained", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_ends_well(tmp_path: Any, number: int) -> None:
    command = [sys.executable, "-c", SERVER, f"sqlite:///{tmp_path}/headbox.db"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        assert httpx.get(f"{url}health/ready", trust_env=False).json() == {"status": "ready"}
        os.kill(server.pid, number)
        said, errors = server.communicate(timeout=30)
    assert (server.returncode, said, errors) == (0, "drained\n", "")


def test_whoever_waits_is_answered_when_the_server_stops(
    mill: Any, queue: Any, in_background: Any, monkeypatch: Any
) -> None:
    task = mill.task()
    is_waiting, is_up = threading.Event(), threading.Event()
    watch = queue.store.watch

    def watched() -> Any:
        is_waiting.set()
        return watch()

    monkeypatch.setattr(queue.store, "watch", watched)
    addresses: list[str] = []
    server = make_server(queue, Settings(port=0), lambda url: (addresses.append(url), is_up.set()))
    thread = threading.Thread(target=server.run_on_socket)
    thread.start()
    assert is_up.wait(30)
    client = mill.client("readers", name="ann")
    client.base_url = addresses[0]
    result = in_background(lambda: client.get(f"tasks/{task.id}/?wait=60"))
    assert is_waiting.wait(30)
    server.stop()
    assert result().json()["state"] == "waiting"
    thread.join(30)
    assert not thread.is_alive()


@pytest.fixture
def lookups_away(mill: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The lookups that fail a number of times because the database is away: on the event loop, then in threads."""

    def lookups_away(statement: str, times: int) -> list[str]:
        calls: list[str] = []
        look_up, look_up_on_loop = mill.store.look_up, mill.store.look_up_on_loop

        def fail(lookup: Lookup[Any]) -> None:
            if statement in lookup.names:
                calls.append(threading.current_thread().name)
                if len(calls) <= times:
                    raise StorageUnavailable("the database is locked by another program; end it")

        def fail_in_thread(lookup: Lookup[Any]) -> Any:
            fail(lookup)
            return look_up(lookup)

        async def fail_on_loop(lookup: Lookup[Any]) -> Any:
            fail(lookup)
            return await look_up_on_loop(lookup)

        monkeypatch.setattr(mill.store, "look_up", fail_in_thread)
        monkeypatch.setattr(mill.store, "look_up_on_loop", fail_on_loop)
        return calls

    return lookups_away


@pytest.mark.parametrize("statement", ["live", "holder"])
def test_a_database_that_comes_back_soon_is_waited_for_in_a_thread(
    mill: Any, lookups_away: Any, statement: str
) -> None:
    task = mill.task()
    calls = lookups_away(statement, 3)
    assert mill.admin.get(f"/tasks/{task.id}/").status_code == 200
    assert len(calls) >= 4
    assert [name.startswith("headbox-api") for name in calls[:4]] == [False, True, True, True]


@pytest.mark.parametrize("statement", ["live", "holder"])
def test_a_database_that_stays_away_is_a_503_that_says_when_to_try_again(
    mill: Any, lookups_away: Any, statement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headbox.web.request.RETRY_TIME", 0.2)
    calls = lookups_away(statement, 1000)
    response = mill.admin.get("/tasks/x/")
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert int(response.headers["retry-after"]) > 0
    assert 2 <= len(calls) < 10


def test_a_store_that_has_waited_by_itself_is_not_asked_again(mill: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def wait_in_vain(id: str) -> Any:
        calls.append(id)
        threading.Event().wait(0.15)
        raise StorageUnavailable("it stays away")

    monkeypatch.setattr("headbox.web.request.RETRY_TIME", 0.2)
    monkeypatch.setattr(mill.store, "cancel", lambda id, _now: wait_in_vain(id))
    task = mill.task()
    assert mill.admin.post(f"/tasks/{task.id}/cancel/").status_code == 503
    assert calls == [task.id]


def test_a_change_that_may_have_been_done_is_not_asked_for_again(mill: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def cancel(id: str, _now: int) -> Any:
        calls.append(id)
        raise OutcomeUnknown("what was asked may have been done or not: look before you ask again")

    monkeypatch.setattr(mill.store, "cancel", cancel)
    task = mill.task()
    answer = mill.admin.post(f"/tasks/{task.id}/cancel/")
    assert answer.status_code == 503 and "may have been done or not" in answer.json()["detail"]
    assert calls == [task.id]


def test_who_is_calling_and_the_task_are_looked_up_without_a_thread(mill: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    task = mill.task()
    assert mill.admin.get(f"/tasks/{task.id}/").status_code == 200  # and the database is open
    monkeypatch.setattr(Request, "run", None)
    assert mill.admin.get(f"/tasks/{task.id}/").json()["id"] == task.id
    assert mill.admin.get("/tasks/nobody/").status_code == 404


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_database_that_another_program_holds_can_be_read_and_a_change_is_a_503(
    mill: Any, queue: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headbox.web.request.RETRY_TIME", 0.2)
    monkeypatch.setattr("headbox.storage.sqlite.database.BUSY_TIMEOUT", 0.05)
    task = mill.task()
    mill.store.close()  # what opens it afresh waits only so long
    with closing(sqlite3.connect(mill.store.url.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        response = mill.admin.post(f"/tasks/{task.id}/cancel/")
        assert response.status_code == 503, response.text
        assert response.headers["retry-after"]
        assert mill.admin.get(f"/tasks/{task.id}/").json()["state"] == "waiting"
    assert mill.admin.post(f"/tasks/{task.id}/cancel/").json()["state"] == "canceled"


def test_readiness_says_why_not(mill: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert mill.anonymous().get("/health/ready").json() == {"status": "ready"}

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise StorageUnavailable("the database is locked by another program; end it")

    monkeypatch.setattr(mill.store, "status", fail)
    response = mill.anonymous().get("/health/ready")
    assert response.status_code == 503
    assert "locked by another program" in response.json()["detail"]
    assert mill.anonymous().get("/health/live").status_code == 200


def test_the_documents_need_no_credentials_no_script_and_no_other_host(mill: Any) -> None:
    anonymous = mill.anonymous()
    page = anonymous.get("/docs/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert "<script" not in page.text and " style=" not in page.text
    assert "http://" not in page.text and "https://" not in page.text
    assert "/tasks/{id}/cancel/" in page.text
    assert anonymous.get("/docs/docs.css").headers["content-type"] == "text/css; charset=utf-8"
    assert "shop:pack" not in anonymous.get("/openapi.json").text
