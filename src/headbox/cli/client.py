"""Talks to the HTTP API. The standard library's client: it loads in a third of the time of any other.

Whatever goes wrong on the way is a `Refused`, in one sentence.
"""

from __future__ import annotations

import json
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, RemoteDisconnected
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urljoin, urlsplit

import rich_click as click

PATIENCE = 30.0  # seconds that an answer may take, beside those that were asked for
SILENCE = 40.0  # seconds; a server that has nothing to tell says so each 15
EVENTS = "text/event-stream"
PAGE = 500
AWAY = (None, 429, 503)  # the statuses of a server that may be back soon
AS_TYPED = "surrogateescape"  # bytes that are no text go out as they were typed: the server says what is wrong
PAUSE = 0.3  # seconds between two attempts


class Refused(click.ClickException):
    """The server was not reached, or did not do what was asked; `status` is None where there was no answer."""

    exit_code = 1

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Reply(NamedTuple):
    """A good answer: its JSON, and where the next page is."""

    value: Any
    next: str | None


class Client:
    """The API at one URL, as one caller. Keeps its connection for reading; every change goes over a fresh one."""

    def __init__(self, url: str, authorization: str | None = None) -> None:
        self._secure, self._host, self._port = read_url(url)
        self.url = url.rstrip("/") + "/"
        self.patience = 0.0  # seconds for which a server that is away is asked again, where nothing is changed
        self.on_away: Callable[[Refused], None] = lambda error: None  # told of each attempt in vain
        self._authorization = authorization
        self._connection: HTTPConnection | None = None

    def get(self, path: str, query: Mapping[str, Any] | None = None, *, wait: float = 0) -> Any:
        """The JSON at `path`. The server may take `wait` seconds longer than usual."""
        return self._read(with_query(path, query), wait=wait).value

    def get_if_known(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        """The JSON at `path`; None where the server is older than that path."""
        try:
            return self.get(path, query)
        except Refused as error:
            if error.status == 404:
                return None
            raise

    def pages(self, path: str, query: Mapping[str, Any] | None = None) -> Iterator[Any]:
        """The elements of a list, fetched page by page as they are taken."""
        target: str | None = with_query(path, {"limit": PAGE, **(query or {})})
        while target is not None:
            reply = self._read(target)
            yield from listed(reply.value, self.url)
            target = reply.next

    def first(self, path: str, query: Mapping[str, Any], limit: int) -> tuple[list[Any], bool]:
        """At most `limit` elements of a list, and whether there are more."""
        reply = self._read(with_query(path, {**query, "limit": limit}))
        return listed(reply.value, self.url), reply.next is not None

    def post(self, path: str, body: Any = None, query: Mapping[str, Any] | None = None) -> Any:
        """Asks for a change."""
        return self._change("POST", with_query(path, query), body)

    def put(self, path: str, body: Any, query: Mapping[str, Any] | None = None) -> Any:
        """Replaces what is at `path`."""
        return self._change("PUT", with_query(path, query), body)

    def delete(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        """Removes what is at `path`."""
        return self._change("DELETE", with_query(path, query), None)

    def events(self, path: str, query: Mapping[str, Any] | None = None) -> Iterator[str]:
        """The names of the events that are told at `path` (Server-Sent Events), as they come, over a connection of its
        own. Ends with the connection, or when nothing has come for `SILENCE`; Refused if the server does not tell."""
        connection = self._open()
        connection.timeout = SILENCE
        try:
            headers = {**self._headers(None), "Accept": EVENTS}
            target = urljoin(self.url, with_query(path, query))
            connection.request("GET", target[len(origin(target)) :], headers=headers)
            response = connection.getresponse()
            if response.headers.get_content_type() != EVENTS:
                read_reply(self.url, response, response.read())
                raise Refused(f"{self.url} tells no events", 404)
            for line in response:
                if line.startswith(b"event: "):
                    yield line[7:].strip().decode(errors="replace")
        except (OSError, HTTPException):
            return
        finally:
            connection.close()

    def close(self) -> None:
        """Gives the connection up; the next call opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _read(self, target: str, *, wait: float = 0) -> Reply:
        deadline = time.monotonic() + self.patience
        while True:
            try:
                return self._ask("GET", target, wait=wait)
            except Refused as error:
                if error.status not in AWAY or time.monotonic() > deadline:
                    raise
                self.on_away(error)
            time.sleep(PAUSE)

    def _change(self, method: str, path: str, body: Any) -> Any:
        self.close()
        return self._ask(method, path, None if body is None else json.dumps(body).encode()).value

    def _ask(self, method: str, path: str, body: bytes | None = None, *, wait: float = 0) -> Reply:
        try:
            response, content = self._exchange(method, urljoin(self.url, path), body, PATIENCE + wait)
        except TimeoutError:
            self.close()
            raise Refused(f"{self.url} did not answer within {PATIENCE + wait:.0f} s") from None
        except ssl.SSLError as error:
            raise Refused(f"{self.url} cannot be reached safely: {error.reason or error}") from None
        except OSError as error:
            self.close()
            reason = error.strerror or str(error) or type(error).__name__
            raise Refused(f"{self.url} cannot be reached ({reason}): is `headbox serve` running there?") from None
        except HTTPException as error:
            self.close()
            raise Refused(f"{self.url} does not speak HTTP as it should ({type(error).__name__})") from None
        return read_reply(self.url, response, content)

    def _exchange(self, method: str, target: str, body: bytes | None, timeout: float) -> tuple[HTTPResponse, bytes]:
        reused = self._connection is not None
        connection = self._connection = self._connection or self._open()
        connection.timeout = timeout
        if connection.sock is not None:
            connection.sock.settimeout(timeout)
        try:
            connection.request(method, target[len(origin(target)) :], body, self._headers(body))
            response = connection.getresponse()
            return response, response.read()
        except (RemoteDisconnected, ConnectionError):
            self.close()
            if not reused:
                raise
            return self._exchange(method, target, body, timeout)  # it had closed the idle connection

    def _open(self) -> HTTPConnection:
        if self._secure:
            return HTTPSConnection(self._host, self._port, context=ssl.create_default_context())
        return HTTPConnection(self._host, self._port)

    def _headers(self, body: bytes | None) -> dict[str, str]:
        headers = {"Accept": "application/json, application/problem+json", "User-Agent": "headbox"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self._authorization is not None:
            headers["Authorization"] = self._authorization
        return headers


def read_url(url: str) -> tuple[bool, str, int | None]:
    """Whether the URL asks for TLS, its host and its port."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        valid = parts.scheme in ("http", "https") and bool(host) and not (parts.query or parts.fragment)
        valid = valid and parts.path.isascii() and parts.path.isprintable()
        (host or "").encode("idna")
    except ValueError:
        valid = False
    if not valid:
        raise click.UsageError(f"{url!r} is no URL of a Headbox: write one like http://127.0.0.1:8000/")
    if parts.username is not None:
        raise click.UsageError("credentials do not belong in a URL: give --user or --token")
    return parts.scheme == "https", host or "", port


def origin(url: str) -> str:
    """`https://host:port` of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def read_reply(url: str, response: HTTPResponse, content: bytes) -> Reply:
    """The answer's JSON; `Refused` where it is a refusal or no JSON at all."""
    if 300 <= response.status < 400:
        raise Refused(f"{url} has moved to {response.headers.get('Location', 'an unnamed place')}: name that in --url")
    try:
        value = json.loads(content) if content or response.status != 204 else None
    except (ValueError, RecursionError):
        kind = response.headers.get_content_type()
        raise Refused(
            f"{url} answered {response.status} with something that is not JSON ({kind}): is it a Headbox?",
            response.status,
        ) from None
    if response.status >= 400:
        raise Refused(explain(response.status, value), response.status)
    return Reply(value, next_page(response.headers.get("Link", "")))


def explain(status: int, problem: Any) -> str:
    """What a problem document (RFC 9457) says, and what to do about it."""
    problem = problem if isinstance(problem, dict) else {}
    detail = str(problem.get("detail") or problem.get("title") or "the server gave no reason")
    errors = problem.get("errors")
    if isinstance(errors, list) and errors and all(isinstance(error, dict) for error in errors):
        detail = "; ".join(f"{name_of(error)}{error.get('detail')}" for error in errors)
    if status == 401:
        detail = f"{detail.partition(';')[0]}; give --token, or --user and its password"
    return f"{detail.rstrip('.')} ({status})"


def name_of(error: Mapping[str, Any]) -> str:
    """What an error of a problem document is about: the parameter, or the body's member."""
    name = str(error.get("parameter") or error.get("pointer") or "").removeprefix("#/")
    return f"{name}: " if name else ""


def next_page(link: str) -> str | None:
    """Where a Link header (RFC 8288) says that the list goes on."""
    match = re.search(r'<([^>]*)>\s*;[^,]*\brel="?next\b', link)
    return match[1] if match else None


def listed(value: Any, url: str) -> list[Any]:
    """`value` if it is a list, as it must be."""
    if not isinstance(value, list):
        raise Refused(f"{url} answered with something else than a list: is it a Headbox?")
    return value


def with_query(path: str, query: Mapping[str, Any] | None) -> str:
    """The path with the parameters that have a value; a list gives one each."""
    given = {name: value for name, value in (query or {}).items() if value not in (None, (), [])}
    return f"{path}?{urlencode(given, doseq=True, errors=AS_TYPED)}" if given else path


def segment(text: str) -> str:
    """`text` as one segment of a path, whatever it holds."""
    return quote(text, safe="", errors=AS_TYPED) if text not in (".", "..") else text.replace(".", "%2E")
