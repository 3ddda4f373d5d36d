"""What no well-meaning client sends: every answer is a problem document, and nothing is changed or told."""

from __future__ import annotations

import json
import socket
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from headbox.web.server import MAX_HEAD

BIG = b'{"method_name": "pack", "args": ["' + b"x" * 1024 * 1024 + b'"]}'


def problem(response: Any, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert body["title"]
    assert "Traceback" not in response.text
    return body


def post(mill: Any, content: bytes, content_type: str | None = "application/json", **headers: str) -> Any:
    if content_type is not None:
        headers["Content-Type"] = content_type
    return mill.admin.post("/tasks/", content=content, headers=headers)


def speak(mill: Any, raw: bytes, *, is_all: bool = True) -> bytes:
    """Whatever the server says to these bytes, until it hangs up; `is_all` tells it that no more will come."""
    place = urlsplit(mill.url)
    with socket.create_connection((place.hostname, place.port), timeout=30) as connection:
        connection.sendall(raw)
        if is_all:
            connection.shutdown(socket.SHUT_WR)
        said = b""
        while part := connection.recv(65536):
            said += part
    return said


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"nonsense", b"[]", b"null", b'"text"', b"7", b"{}{}", b'{"method_name": "pack",}',
        b'{"method_name": "\xff"}', b'{"method_name": "pack", "args": [NaN]}',
        b'{"method_name": "pack", "args": [1e999]}',
        b'{"method_name": "\\ud800"}', b'{"method_name": "pa\\u0000ck"}', b"\x00", b"\xef\xbb\xbf{}",
        b'{"method_name": "pack", "args": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"method_name": "pack", "args": [' + b'{"a":' * 5_000 + b"1" + b"}" * 5_000 + b"]}",
        b'{"method_name": "pack", "weight": 1' + b"0" * 5_000 + b"}",
    ],
)  # fmt: skip
def test_a_malformed_body_is_a_400(mill: Any, content: bytes) -> None:
    problem(post(mill, content), 400)


@pytest.mark.parametrize(
    "half", [r"\ud800", r"\ud800 and on", r"\udc00", r"\ud800\ud800", r"\\\udfff", r"\uDBFFx\uDFFF"]
)
def test_half_of_a_surrogate_pair_is_named(mill: Any, half: str) -> None:
    response = post(mill, b'{"method_name": "pack", "args": ["%s"]}' % half.encode())
    assert "half of a surrogate pair" in problem(response, 400)["detail"]


def test_whole_surrogate_pairs_and_escaped_backslashes_are_not_blamed(mill: Any) -> None:
    whole = rb'{"method_name": "pack", "args": ["\ud83d\ude00", "\\ud800"]'
    assert post(mill, whole + b"}").status_code == 202
    assert "surrogate" not in problem(post(mill, whole + b",}"), 400)["detail"]


def test_a_body_that_a_decoder_just_follows_is_taken_or_refused(mill: Any) -> None:
    for depth in (50, 200, 400, 800, 950, 990):
        body = b'{"method_name": "pack", "args": ' + b"[" * depth + b"]" * depth + b"}"
        response = post(mill, body)
        assert response.status_code in (202, 400), (depth, response.text)
    assert mill.admin.get("/tasks/").status_code == 200


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1"]
)
def test_a_body_that_is_not_json_by_its_type_is_a_415(mill: Any, content_type: str | None) -> None:
    problem(post(mill, b'{"method_name": "pack"}', content_type), 415)


@pytest.mark.parametrize(
    "content_type", ["Application/JSON", "application/json; charset=UTF-8", 'application/json;charset="utf-8"']
)
def test_json_may_say_its_charset(mill: Any, content_type: str) -> None:
    assert post(mill, b'{"method_name": "pack"}', content_type).status_code == 202


def test_a_compressed_body_is_a_415(mill: Any) -> None:
    problem(post(mill, b"\x1f\x8b", **{"Content-Encoding": "gzip"}), 415)


def test_a_body_over_one_mebibyte_is_a_413_also_in_chunks(mill: Any) -> None:
    problem(post(mill, BIG), 413)
    chunked = mill.admin.post(
        "/tasks/", content=iter([BIG[:700_000], BIG[700_000:]]), headers={"Content-Type": "application/json"}
    )
    problem(chunked, 413)
    assert post(mill, b'{"method_name": "pack", "args": ["' + b"x" * 1_000_000 + b'"]}').status_code == 202


def test_a_call_without_a_body_needs_no_content_type_and_refuses_one_that_says_something(mill: Any) -> None:
    task = mill.task()
    path = f"/tasks/{task.id}/suspend/"
    problem(mill.admin.post(path, content=b"now"), 415)
    problem(mill.admin.post(path, json={"when": "now"}), 400)
    assert mill.admin.post(path, json={}).status_code == 202
    assert mill.admin.post(f"/tasks/{task.id}/resume/").status_code == 202


@pytest.mark.parametrize(
    "path",
    [
        "/tasks", "/task/", "/tasks//", "/tasks/a/b/", "/TASKS/", "/tasks/x", "/tasks/x/cancel", "/openapi.json/",
        "/docs", "/health/live/", "/users", "/../tasks/", "/ui2/", "/metrics/", "/tasks/events/x/", "//tasks/",
    ],
)  # fmt: skip
def test_unknown_paths_are_a_404(mill: Any, path: str) -> None:
    said = speak(mill, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    assert said.startswith(b"HTTP/1.1 404 "), said
    assert b"application/problem+json" in said


@pytest.mark.parametrize(
    "path",
    ["/tasks/%zz/", "/tasks/%/", "/tasks/%ff/", "/tasks/%00/", "/tasks/%0A", "/tasks/a%0d%0ab/", "/jobs/%c3%28/"],
)
def test_paths_that_are_not_utf_8_or_have_control_characters_are_a_400(mill: Any, path: str) -> None:
    said = speak(mill, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    assert said.startswith(b"HTTP/1.1 400 "), said
    assert b"application/problem+json" in said


@pytest.mark.parametrize("id", ["' OR 1=1 --", "*", "é", "a" * 5000, "%2F", "-1", "null", "$(id)", "<b>"])
def test_ids_of_any_other_kind_are_a_404(mill: Any, id: str) -> None:
    mill.task()
    for path in (f"/tasks/{quote(id)}/", f"/tasks/{quote(id)}/runs/", f"/jobs/{quote(id)}/", f"/tokens/{quote(id)}/"):
        problem(mill.admin.get(path), 404)
    problem(mill.admin.get("/tasks/", params={"id": id}), 404)


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", "/tasks/", "GET, HEAD, POST"),
        ("PUT", "/tasks/x/", "DELETE, GET, HEAD"),
        ("GET", "/tasks/x/cancel/", "POST"),
        ("POST", "/tasks/snapshots/", "GET, HEAD"),
        ("GET", "/tasks/cancel/", "POST"),
        ("POST", "/openapi.json", "GET, HEAD"),
        ("OPTIONS", "/tasks/", "GET, HEAD, POST"),
        ("TRACE", "/tasks/", "GET, HEAD, POST"),
        ("PATCH", "/jobs/j/", "GET, HEAD"),
    ],
)
def test_other_methods_are_a_405_that_names_those_allowed(mill: Any, method: str, path: str, allow: str) -> None:
    response = mill.admin.request(method, path)
    problem(response, 405)
    assert response.headers["allow"] == allow


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200), ("LOCALHOST:8000", 200), ("127.0.0.1:99", 200), ("[::1]:8000", 200), ("evil.example", 421),
        ("localhost.evil.example", 421), ("10.0.0.1", 421), ("", 400), ("local host", 400), ("localhost:http", 400),
        ("user@localhost", 400),
    ],
)  # fmt: skip
def test_the_host_must_be_one_of_ours(mill: Any, host: str, status: int) -> None:
    response = mill.admin.get("/tasks/", headers={"Host": host})
    assert response.status_code == status
    if status != 200:
        problem(response, status)


def test_two_hosts_or_none_are_a_400(mill: Any) -> None:
    for hosts in (b"", b"Host: localhost\r\nHost: localhost\r\n"):
        said = speak(mill, b"GET /tasks/ HTTP/1.1\r\n" + hosts + b"Connection: close\r\n\r\n")
        assert said.startswith(b"HTTP/1.1 400 "), said


@pytest.mark.parametrize(
    ("headers", "is_taken"),
    [
        ({"Origin": "{own}"}, True),
        ({"Origin": "https://{authority}"}, True),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "http://localhost:1"}, False),
        ({"Origin": "null"}, False),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://evil.example"}, False),
        ({}, True),
    ],
)
def test_another_sites_page_changes_nothing(mill: Any, headers: dict[str, str], is_taken: bool) -> None:
    own = mill.url.rstrip("/")
    given = {name: value.format(own=own, authority=own.removeprefix("http://")) for name, value in headers.items()}
    task = mill.task()
    response = mill.admin.post(f"/tasks/{task.id}/cancel/", headers=given)
    assert mill.admin.get("/tasks/", headers=given).status_code == 200
    if is_taken:
        assert response.status_code == 202
    else:
        problem(response, 403)
        assert mill.admin.get(f"/tasks/{task.id}/").json()["state"] == "waiting"


@pytest.mark.parametrize("method", ["FOO", "get", "X-FOO", "PROPFIND", "MKCALENDAR"])
def test_a_method_that_nobody_has_heard_of_is_a_405_too(mill: Any, method: str) -> None:
    connection = HTTPConnection(urlsplit(mill.url).netloc, timeout=30)
    for asked, expected in (method, 405), (method, 405), ("GET", 401):  # on one connection
        connection.request(asked, "/tasks/")
        response = connection.getresponse()
        body = json.loads(response.read())
        assert (response.status, body["status"]) == (expected, expected)
        assert expected == 401 or response.headers["Allow"] == "GET, HEAD, POST"
    connection.close()


def test_such_a_method_with_a_body_is_a_405_too(mill: Any) -> None:
    raw = b"FOO /tasks/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\nConnection: close\r\n\r\na body"
    said = speak(mill, raw).lower()
    assert said.startswith(b"http/1.1 405 ") and b"allow: get, head, post\r\n" in said, said


@pytest.mark.parametrize(
    "raw",
    [
        b"nonsense\r\n\r\n",
        b"GET /tasks/ HTTP/9.9\r\n\r\n",
        b"GET /tasks/ HTTP/1.1\r\nHost localhost\r\n\r\n",
        b"POST /tasks/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /tasks/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /tasks/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /tasks/\xff/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_what_is_no_http_is_a_400_in_a_problem_document(mill: Any, raw: bytes) -> None:
    said = speak(mill, raw)
    assert said.startswith(b"HTTP/1.1 40"), said
    assert b"application/problem+json" in said


def test_endless_headers_are_refused(mill: Any) -> None:
    begin = b"GET /tasks/ HTTP/1.1\r\nHost: localhost\r\nX-Pad: "
    said = speak(mill, begin.ljust(MAX_HEAD + 1, b"x"))
    assert said.startswith(b"HTTP/1.1 431 "), said
    assert b"application/problem+json" in said


def test_a_body_that_does_not_come_is_a_408(mill: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headbox.web.request.BODY_TIME", 0.05)
    secret = mill.admin.headers["authorization"]
    head = f"POST /tasks/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: {secret}\r\nContent-Length: 9\r\n"
    head += "Connection: close\r\n\r\n"
    said = speak(mill, head.encode() + b"{", is_all=False)
    assert said.startswith(b"HTTP/1.1 408 "), said


def test_a_long_body_does_not_count_as_headers(mill: Any) -> None:
    body = b'{"method_name": "pack", "args": ["' + b"x" * 500_000 + b'"]}'
    for _ in range(3):
        assert post(mill, body).status_code == 202


def test_an_error_that_nobody_foresaw_is_a_500_without_a_traceback(mill: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any) -> Any:
        raise RuntimeError("secret internals")

    monkeypatch.setattr(mill.store, "look_up_on_loop", fail)
    response = mill.admin.get("/tasks/x/")
    problem(response, 500)
    assert "secret" not in response.text


def test_every_answer_forbids_sniffing_and_caching(mill: Any) -> None:
    for path in ("/tasks/", "/nothing/", "/docs/", "/openapi.json", "/tasks/x/"):
        headers = mill.admin.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers
