"""The client against servers that answer as they should, and against whatever else may stand at a URL."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import click
import pytest

from headbox.cli.client import Client, Refused, next_page, segment, with_query

Answer = tuple[int, dict[str, str], bytes]


class Server(ThreadingHTTPServer):
    """Answers every request as `answer` says, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.connections = 0
        self.answer: Callable[[str], Answer] = lambda path: json_answer(200, {})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.command, self.path, dict(self.headers), body))
        status, headers, content = self.server.answer(self.path)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def json_answer(status: int, value: Any, **headers: str) -> Answer:
    kind = "application/problem+json" if status >= 400 else "application/json"
    return status, {"Content-Type": kind, **headers}, json.dumps(value).encode()


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with closing(Client(server.url, "Bearer abc")) as client:
        yield client


def test_it_asks_as_somebody_and_takes_json(server: Server, client: Client) -> None:
    server.answer = lambda path: json_answer(200, {"id": "1"})
    assert client.get("tasks/1/", {"fields": "all", "none": None, "many": ["a", "b"]}) == {"id": "1"}
    method, path, headers, _ = server.asked[0]
    assert (method, path) == ("GET", "/tasks/1/?fields=all&many=a&many=b")
    assert headers["Authorization"] == "Bearer abc" and "application/json" in headers["Accept"]


def test_a_change_carries_json_over_a_connection_of_its_own(server: Server, client: Client) -> None:
    client.get("tasks/")
    client.get("tasks/")
    assert server.connections == 1
    client.post("tasks/", {"method_name": "é"})
    assert server.connections == 2
    method, _, headers, body = server.asked[-1]
    assert method == "POST" and headers["Content-Type"] == "application/json"
    assert json.loads(body) == {"method_name": "é"}


def test_a_change_without_a_body_has_no_content_type(server: Server, client: Client) -> None:
    client.delete("tasks/1/")
    assert server.asked[0][0] == "DELETE" and "Content-Type" not in server.asked[0][2]


def test_the_prefix_of_the_url_is_kept(server: Server) -> None:
    Client(f"{server.url}/pulp/api/").get("tasks/")
    Client(f"{server.url}/pulp/api").get("tasks/")
    assert [path for _, path, _, _ in server.asked] == ["/pulp/api/tasks/", "/pulp/api/tasks/"]


def test_a_list_goes_on_where_its_link_says(server: Server, client: Client) -> None:
    pages = {
        "/tasks/?limit=500&state=error": ([{"id": 1}, {"id": 2}], '</tasks/?cursor=x>; rel="next"'),
        "/tasks/?cursor=x": ([{"id": 3}], ""),
    }
    server.answer = lambda path: json_answer(200, pages[path][0], Link=pages[path][1])
    assert [task["id"] for task in client.pages("tasks/", {"state": ("error",)})] == [1, 2, 3]


def test_a_link_to_another_host_is_followed_on_this_one(server: Server, client: Client) -> None:
    server.answer = lambda path: json_answer(200, [], Link="" if "x" in path else '<http://evil/x>; rel="next"')
    assert list(client.pages("tasks/")) == []
    assert [path for _, path, _, _ in server.asked] == ["/tasks/?limit=500", "/x"]


def test_the_first_elements_say_whether_there_are_more(server: Server, client: Client) -> None:
    server.answer = lambda path: json_answer(200, [1], Link='<x>; rel="next"')
    assert client.first("tasks/", {}, 1) == ([1], True)


@pytest.mark.parametrize(
    ("status", "problem", "message"),
    [
        (404, {"detail": "no such task."}, "no such task (404)"),
        (409, {"title": "Conflict"}, "Conflict (409)"),
        (400, {"detail": "x", "errors": [{"pointer": "#/timeout", "detail": "too long"}]}, "timeout: too long (400)"),
        (400, {"errors": [{"parameter": "a", "detail": "b"}, {"detail": "c"}]}, "a: b; c (400)"),
        (401, {"detail": "wrong; send …"}, "wrong; give --token, or --user and its password (401)"),
        (500, [], "the server gave no reason (500)"),
        (500, {"errors": "none"}, "the server gave no reason (500)"),
    ],
)
def test_a_problem_is_one_sentence(server: Server, client: Client, status: int, problem: Any, message: str) -> None:
    server.answer = lambda path: json_answer(status, problem)
    with pytest.raises(Refused) as refused:
        client.get("tasks/")
    assert (refused.value.message, refused.value.status) == (message, status)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((200, {"Content-Type": "text/html"}, b"<html>hello"), r"200 with something that is not JSON \(text/html\)"),
        ((502, {"Content-Type": "text/html"}, b"<html>bad gateway"), "502 with something that is not JSON"),
        ((200, {"Content-Type": "application/json"}, b"[" * 100_000), "not JSON"),
        ((200, {"Content-Type": "application/json"}, b'"\xff"'), "not JSON"),
        ((200, {"Content-Type": "application/json"}, b""), "not JSON"),
        ((301, {"Location": "https://elsewhere/"}, b""), "has moved to https://elsewhere/: name that in --url"),
    ],
)
def test_what_is_no_answer_of_headbox_is_said(server: Server, client: Client, answer: Answer, message: str) -> None:
    server.answer = lambda path: answer
    with pytest.raises(Refused, match=message):
        client.get("tasks/")


def test_something_else_than_a_list_is_no_list(server: Server, client: Client) -> None:
    with pytest.raises(Refused, match="something else than a list"):
        list(client.pages("tasks/"))


def test_no_content_is_an_answer(server: Server, client: Client) -> None:
    server.answer = lambda path: (204, {}, b"")
    assert client.delete("tokens/1/") is None


def test_an_idle_connection_that_was_closed_is_opened_again(server: Server, client: Client) -> None:
    server.answer = lambda path: (200, {"Connection": "close"}, b"1")
    assert (client.get("a"), client.get("b")) == (1, 1)
    assert server.connections == 2


def test_nobody_there_is_one_sentence() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Refused, match=r"cannot be reached \(Connection refused\): is `headbox serve` running there\?"):
        Client(f"http://127.0.0.1:{port}/").get("tasks/")


def test_something_that_speaks_no_http_is_one_sentence() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def speak() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"220 mail.example ESMTP\r\n")

        thread = Thread(target=speak)
        thread.start()
        with pytest.raises(Refused, match="does not speak HTTP as it should"):
            Client(f"http://127.0.0.1:{listener.getsockname()[1]}/").get("tasks/")
        thread.join()


def test_a_server_without_tls_is_one_sentence(server: Server) -> None:
    with pytest.raises(Refused, match="cannot be reached safely"):
        Client(server.url.replace("http:", "https:")).get("tasks/")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:8000",
        "ftp://host/",
        "http://",
        "http://[::1",
        "http://h:99999/",
        "http://h/?a=b",
        f"http://{'a' * 70}/",
    ],
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(click.UsageError, match=r"no URL of a Headbox: write one like http://127\.0\.0\.1:8000/"):
        Client(url)


def test_credentials_in_a_url_are_refused() -> None:
    with pytest.raises(click.UsageError, match="--user or --token"):
        Client("http://ann:secret@host/")


def test_links_are_read_as_they_are_written() -> None:
    assert next_page('<a?x=1,2>; rel="prev", <b>; title="x"; rel=next') == "b"
    assert next_page("") is None


def test_an_id_cannot_leave_its_place_in_the_path() -> None:
    assert segment("a/b?c#d e%") == "a%2Fb%3Fc%23d%20e%25"
    assert (segment(".."), segment(".")) == ("%2E%2E", "%2E")
    assert with_query("tasks/", {"a": None, "b": (), "c": []}) == "tasks/"
