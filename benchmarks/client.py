"""A client that costs little beside the server that it measures: a few connections that each ask again as soon as they
are answered."""

from __future__ import annotations

import re
import selectors
import socket
import time

LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
END = b"\r\n\r\n"


class Client:
    """Calls one server on this machine. Whatever is no success is an error."""

    def __init__(self, port: int, authorization: str, cookie: str = "") -> None:
        self.port = port
        self._credentials = f"Cookie: {cookie}" if cookie else f"Authorization: {authorization}"

    def exists(self, path: str) -> bool:
        """Whether the path answers with a success."""
        with self._connect() as connection:
            connection.sendall(self._request("GET", path, b""))
            return connection.recv(12)[9:10] == b"2"

    def rate(self, method: str, path: str, seconds: float, connections: int, body: bytes = b"") -> float:
        """Answers a second, each whole."""
        request, selector = self._request(method, path, body), selectors.DefaultSelector()
        for _ in range(connections):
            selector.register(self._connect(), selectors.EVENT_READ, Answer())
        for key in selector.get_map().values():
            key.fileobj.sendall(request)  # type: ignore[union-attr]
        answers, began = 0, time.perf_counter()
        while selector.get_map():
            for key, _ in selector.select():
                connection, answer = key.fileobj, key.data
                assert isinstance(connection, socket.socket)
                if not answer.feed(connection.recv(1 << 20)):
                    continue
                answers += 1
                if time.perf_counter() - began < seconds:
                    connection.sendall(request)
                else:
                    selector.unregister(connection)
                    connection.close()
        return answers / (time.perf_counter() - began)

    def _connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _request(self, method: str, path: str, body: bytes) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", self._credentials]
        if body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return "\r\n".join(lines).encode() + END + body


class Answer:
    """What is still to come of an answer."""

    def __init__(self) -> None:
        self._head = b""
        self._left: int | None = None

    def feed(self, data: bytes) -> bool:
        """Whether the answer is complete with these bytes."""
        if not data:
            raise ConnectionError("the server has closed the connection")
        if self._left is None:
            self._head += data
            head, found, rest = self._head.partition(END)
            if not found:
                return False
            length = LENGTH.search(head)
            if head[9:10] != b"2" or length is None:
                raise RuntimeError(f"the server answered {self._head[:300]!r}")
            self._head, self._left, data = b"", int(length[1]), rest
        self._left -= len(data)
        if self._left > 0:
            return False
        self._left = None
        return True
