"""A proxy between a client and a TCP server of the tests, which loses what it is told to lose."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

ENCRYPTIONS = [(80877103).to_bytes(4, "big"), (80877104).to_bytes(4, "big")]  # that a client of PostgreSQL asks for
Pair = tuple[socket.socket, socket.socket]  # a client's connection and ours to the server


class Loss(NamedTuple):
    """What is to be lost: a client's message with `word` in it, or its answer; on a connection that said `after`."""

    word: bytes
    is_answer: bool
    after: bytes = b""


class Proxy:
    """Relays between its own port on the loopback and a server, one thread for each direction."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._pairs: list[Pair] = []
        self._unheard: set[socket.socket] = set()  # servers whose next answer is lost
        self._losses: list[Loss] = []
        self._ripe: set[socket.socket] = set()  # clients that have said what the next loss comes after
        self._silent = threading.Event()
        self.lost = 0  # how often something was lost as asked
        self.refuses = False
        self.refuses_after_loss = False
        self.starts_up = False  # PostgreSQL answers for it that it takes nobody yet
        self.broken = threading.Event()  # something was lost
        threading.Thread(target=self._accept, daemon=True).start()

    # what it may be told

    def lose_answer_to(self, word: bytes, times: int = 1, *, after: bytes = b"") -> None:
        """The next message of a client with `word` in it (behind one with `after`) reaches the server; its answer is
        lost, and the connection."""
        self._losses += [Loss(word, True, after)] * times

    def lose(self, word: bytes, times: int = 1) -> None:
        """The next message of a client with `word` in it is lost, and the connection with it."""
        self._losses += [Loss(word, False)] * times

    def fall_silent(self) -> None:
        """Takes everything and passes nothing on, in either direction: a network that has become a black hole."""
        self._silent.set()

    def speak(self) -> None:
        """Passes on again what comes from now on."""
        self._silent.clear()

    def cut(self) -> None:
        """Breaks every connection."""
        for pair in self._pairs:
            _break(pair)
        self._pairs.clear()

    def close(self) -> None:
        """Breaks every connection and takes no more."""
        self.refuses = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    # how it does it

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except ConnectionAbortedError:  # it has hung up already
                continue
            except OSError:  # the listener is closed
                return
            self._connect(client)

    def _connect(self, client: socket.socket) -> None:
        """Begins to relay for a client, unless it has hung up already."""
        try:
            if self.refuses:
                raise ConnectionRefusedError
            if self.starts_up:
                _turn_away(client)
                return
            server = socket.create_connection(self._server)
        except OSError:
            client.close()
            return
        pair = (client, server)
        self._pairs.append(pair)
        try:
            for end in pair:
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            _break(pair)
            return
        for source, sink in (pair, pair[::-1]):
            threading.Thread(target=self._relay, args=(pair, source, sink), daemon=True).start()

    def _relay(self, pair: Pair, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if self._silent.is_set():
                    continue
                if source in self._unheard:
                    self._note_loss()
                    break
                loss = self._next_loss(source, data) if source is pair[0] else None
                if loss is not None:
                    if not loss.is_answer:
                        self._note_loss()
                        break
                    self._unheard.add(sink)
                sink.sendall(data)
        _break(pair)

    def _next_loss(self, client: socket.socket, data: bytes) -> Loss | None:
        """The loss that this message of a client has coming."""
        if not self._losses:
            return None
        loss = self._losses[0]
        if loss.after in data:
            self._ripe.add(client)
        if client not in self._ripe or loss.word not in data:
            return None
        self._ripe.clear()
        return self._losses.pop(0)

    def _note_loss(self) -> None:
        self.lost += 1
        self.refuses |= self.refuses_after_loss
        self.broken.set()


def _turn_away(client: socket.socket) -> None:
    """As a PostgreSQL does that is not up yet (its documentation, 55.7: Message Formats)."""
    with client, suppress(OSError):
        while client.recv(1024)[4:8] in ENCRYPTIONS:
            client.sendall(b"N")
        said = b"SFATAL\0C57P03\0Mthe database system is starting up\0\0"
        client.sendall(b"E" + (len(said) + 4).to_bytes(4, "big") + said)


def _break(pair: Pair) -> None:
    for end in pair:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()


@contextmanager
def proxied(url: str) -> Iterator[tuple[Proxy, str]]:
    """A proxy in front of the server of a URL, and the URL that leads through it."""
    parts = urlsplit(url)
    proxy = Proxy(parts.hostname or "127.0.0.1", parts.port or 5432)
    where = f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{proxy.port}"
    try:
        yield proxy, urlunsplit(parts._replace(netloc=where))
    finally:
        proxy.close()
