from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import urlsplit

import httpx2 as httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from headbox.config import Settings
from headbox.domain.task import SECOND
from headbox.web import asgi_app, events, replies
from headbox.web.routes import events as routes
from headbox.web.server import make_server

Event = dict[str, str]


def wait_until(condition: Callable[[], bool]) -> None:
    """Asks again and again, for half a minute at most."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


class Stream:
    """A stream that is read by a thread, event by event. `None` is its end."""

    def __init__(self, client: Any, path: str, **headers: str) -> None:
        self._events: SimpleQueue[Event | None] = SimpleQueue()
        connection = HTTPConnection(client.base_url.host, client.base_url.port, timeout=60)
        connection.connect()
        self._socket = connection.sock
        credentials = {"Authorization": client.headers["authorization"]}
        connection.request("GET", path, headers=credentials | headers)
        self.response = connection.getresponse()
        assert self.response.status == 200
        self.last_id = ""
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        event: Event = {}
        try:
            while line := self.response.readline().decode():
                name, _, value = line.rstrip("\n").partition(": ")
                if name:
                    event[name] = value
                elif event:
                    self._events.put(event)
                    event = {}
        except (OSError, HTTPException):
            pass  # how a connection may end
        self._events.put(None)

    def next(self, name: str | None = None) -> Any:
        """The data of the next event (of that name); None at the end of the stream."""
        while (event := self._events.get(timeout=30)) is not None:
            self.last_id = event.get("id", self.last_id)
            if "event" in event and name in (None, event["event"]):
                return json.loads(event["data"])
        return None

    def is_quiet(self) -> bool:
        """Whether nothing has been told that was not asked for."""
        try:
            while (event := self._events.get(timeout=0.6)) is not None:
                if "event" in event:
                    return False
        except Empty:
            return True
        return True

    def begin(self) -> Stream:
        """Once it has begun: from then on nothing is missed."""
        self.last_id = self._events.get(timeout=30)["id"]  # type: ignore[index]
        return self

    def close(self) -> None:
        with suppress(OSError):  # it has ended already
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(30)
        self.response.close()
        self._socket.close()


@pytest.fixture
def listen() -> Iterator[Callable[..., Stream]]:
    streams: list[Stream] = []

    def listen(client: Any, query: str = "", **headers: str) -> Stream:
        streams.append(Stream(client, f"/tasks/events/{query}", **headers))
        return streams[-1].begin()

    yield listen
    for stream in streams:
        stream.close()


def test_a_task_is_told_as_it_changes(mill: Any, listen: Callable[..., Stream]) -> None:
    stream = listen(mill.admin)
    assert stream.response.getheader("content-type") == "text/event-stream"
    task = mill.task()
    told = stream.next("task")
    assert (told["id"], told["state"]) == (task.id, "waiting") and len(told) == 15
    mill.claim()
    assert stream.next("task")["state"] == "running"
    mill.progress(task, '{"done": 3}')
    assert stream.next("task")["progress"] == {"done": 3}
    mill.store.suspend(mill.hourly().id, mill.clock.time)
    assert stream.next("task")["state"] == "suspended"
    mill.finish(task)
    assert stream.next("task")["state"] == "finished"


def test_only_what_is_asked_for_is_told_and_how_it_is_at_once(mill: Any, listen: Callable[..., Stream]) -> None:
    one, other = mill.task(queue="a"), mill.task(queue="b")
    by_id = listen(mill.admin, f"?id={one.id}&fields=id,state")
    by_queue = listen(mill.admin, "?queue=b&state=canceled&fields=id")
    assert by_id.next("task") == {"id": one.id, "state": "waiting"}
    mill.store.suspend(other.id, mill.clock.time)
    mill.store.cancel(other.id, mill.clock.time)
    mill.store.cancel(one.id, mill.clock.time)
    assert by_id.next("task") == {"id": one.id, "state": "canceled"}
    assert by_queue.next("task") == {"id": other.id}
    assert by_queue.is_quiet()


def test_who_comes_back_is_told_what_was_missed(mill: Any, listen: Callable[..., Stream]) -> None:
    first = listen(mill.admin)
    mill.task()
    first.next("task")
    missed = [mill.task() for _ in range(2)]
    for _ in missed:
        first.next("task")
    prefix, _, number = first.last_id.partition("-")
    again = listen(mill.admin, **{"Last-Event-ID": f"{prefix}-{int(number) - 2}"})
    assert {again.next("task")["id"] for _ in missed} == {task.id for task in missed}
    for unknown in ("0-0", f"{prefix}-99999", "nonsense", f"{prefix}-"):
        assert "not known" in listen(mill.admin, **{"Last-Event-ID": unknown}).next()["reason"]


def test_more_than_is_told_one_by_one_asks_to_read_anew(
    mill: Any, listen: Callable[..., Stream], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headbox.storage.feed.TOLD", 2)
    stream = listen(mill.admin)
    now = mill.clock.time
    mill.store.change_each("suspend", [mill.task().id for _ in range(3)], now)
    assert "one by one" in stream.next("refresh")["reason"]


def test_figures_are_told_at_once_and_when_they_have_changed(mill: Any, listen: Callable[..., Stream]) -> None:
    stream = listen(mill.admin, "?events=statistics,workers")
    first = stream.next("statistics")
    assert first["states"]["waiting"] == 2 and len(first["minutes"]) == 2 and len(first["days"]) == 1
    (worker,) = stream.next("workers")
    assert (worker["id"], worker["running"], worker["weight"]) == ("a", 0, 0)
    mill.running(weight=3)
    while stream.next("statistics")["states"]["running"] != 1:
        pass
    later = listen(mill.admin, "?events=workers")
    assert later.next("workers") == [worker | {"running": 1, "weight": 3}] == mill.admin.get("/workers/").json()


def test_without_the_permission_to_read_one_hears_of_ones_own_tasks(mill: Any, listen: Callable[..., Stream]) -> None:
    owner = mill.client(name="owner")
    stream = listen(owner)
    mill.task()
    own = mill.task(owner="owner")
    assert stream.next("task")["id"] == own.id and stream.is_quiet()
    for kind in ("statistics", "task,workers"):
        assert owner.get(f"/tasks/events/?events={kind}").status_code == 403


@pytest.mark.parametrize("query", ["events=all", "state=nowhere", "nonsense=1", "fields=nonsense"])
def test_what_cannot_be_listened_for_is_refused(mill: Any, query: str) -> None:
    assert mill.admin.get(f"/tasks/events/?{query}").status_code == 400
    assert mill.anonymous().get("/tasks/events/").status_code == 401


def test_head_says_what_would_come(mill: Any) -> None:
    for _ in range(events.PER_USER + 1):
        assert mill.admin.head("/tasks/events/").headers["content-type"] == "text/event-stream"


def test_a_user_may_have_so_many_streams(
    mill: Any, listen: Callable[..., Stream], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "PER_USER", 2)
    first, _ = listen(mill.admin), listen(mill.admin)
    assert mill.admin.get("/tasks/events/").status_code == 429
    assert mill.client("readers").head("/tasks/events/").status_code == 200
    first.close()
    wait_until(lambda: mill.admin.head("/tasks/events/").status_code == 200)


def test_who_loses_the_right_to_see_is_told_no_more(
    mill: Any, listen: Callable[..., Stream], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "RECHECK", 0.0)
    monkeypatch.setattr(routes, "HEARTBEAT", 0.1)
    gone, demoted = listen(mill.client("readers", name="gone")), listen(mill.client("readers", name="demoted"))
    mill.store.delete_user("gone")
    assert gone.next() is None
    mill.store.change_user("demoted", roles=())
    own = mill.task(owner="demoted")
    while demoted.next("task")["id"] != own.id:
        pass
    mill.task()
    assert demoted.is_quiet()


def service_of(stage: tuple[Any, str]) -> Any:
    return stage[0].app.service


def test_nothing_is_looked_at_while_nobody_listens(
    mill: Any, stage: tuple[Any, str], listen: Callable[..., Stream], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "LINGER", 0.0)
    service = service_of(stage)
    assert service.events._looking is None
    listen(mill.admin).close()
    wait_until(lambda: service.events._looking.done() and not service.events._listeners)
    wait_until(lambda: service.waiting._watch is None)
    task = mill.task()
    stream = listen(mill.admin)
    mill.store.cancel(task.id, mill.clock.time)
    assert stream.next("task")["state"] == "canceled"


def test_a_heartbeat_keeps_the_connection(mill: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "HEARTBEAT", 0.05)
    with mill.admin.stream("GET", "/tasks/events/") as response:
        lines = response.iter_lines()
        assert sum(1 for line in (next(lines) for _ in range(12)) if line == ": heartbeat") >= 3


def test_who_does_not_read_is_cut_and_nobody_waits_for_it(
    mill: Any, stage: tuple[Any, str], listen: Callable[..., Stream], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replies, "SEND_TIME", 1.0)
    with raw_stream(mill) as silent:
        quick = listen(mill.admin, "?fields=progress")
        task = mill.running(args=json.dumps(["x" * 1_000_000]).encode())
        rounds = 0
        while len(service_of(stage).events._listeners) > 1:
            rounds += 1
            mill.progress(task, str(rounds))
            while quick.next("task")["progress"] != rounds:
                pass
            assert rounds < 1000
        silent.settimeout(30)
        with suppress(ConnectionResetError):  # it comes to its end either way
            while silent.recv(1 << 20):
                pass


@contextmanager
def raw_stream(mill: Any) -> Iterator[socket.socket]:
    """A client that listens and never reads."""
    address = urlsplit(mill.url)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((address.hostname, address.port))
        token = mill.admin.headers["authorization"]
        head = f"GET /tasks/events/?fields=args HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: {token}\r\n\r\n"
        client.sendall(head.encode())
        yield client


def test_streams_end_at_once_when_the_server_stops(mill: Any, queue: Any) -> None:
    addresses: SimpleQueue[str] = SimpleQueue()
    server = make_server(queue, Settings(port=0), addresses.put)
    thread = threading.Thread(target=server.run_on_socket)
    thread.start()
    headers = {"Authorization": mill.admin.headers["authorization"]}
    with httpx.Client(base_url=addresses.get(timeout=30), headers=headers, timeout=30, trust_env=False) as client:
        stream = Stream(client, "/tasks/events/").begin()
        began = time.monotonic()
        server.stop()
        assert stream.next() is None
        thread.join(30)
        assert time.monotonic() - began < Settings().grace / SECOND / 2  # no stream is waited for
        stream.close()


def test_streams_work_in_another_application(
    mill: Any, stage: tuple[Any, str], queue: Any, listen: Callable[..., Stream]
) -> None:
    stage[0].app = Starlette(routes=[Mount("/pulp/api", app=asgi_app(queue, settings=Settings()))])
    stream = Stream(mill.admin, "/pulp/api/tasks/events/").begin()
    task = mill.task()
    assert stream.next("task")["id"] == task.id
    stream.close()
