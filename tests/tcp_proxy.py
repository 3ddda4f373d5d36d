"""A proxy between a client and a TCP server of the tests, which loses what it is told to lose."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit, urlunsplit

Pair = tuple[socket.socket, socket.socket]  # a client's connection and ours to the server


class Proxy:
    """Relays between its own port on the loopback and a server, one thread for each direction."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._pairs: list[Pair] = []
        self._unheard: set[socket.socket] = set()  # servers whose next answer is lost
        self._words: list[tuple[bytes, bool]] = []
        self._silent = threading.Event()
        self.lost = 0  # how often something was lost as asked
        self.refuses = False
        self.refuses_after_loss = False
        self.broken = threading.Event()  # something was lost
        threading.Thread(target=self._accept, daemon=True).start()

    # what it may be told

    def lose_answer_to(self, word: bytes, times: int = 1) -> None:
        """The next message of a client with `word` in it reaches the server; its answer is lost, and the connection."""
        self._words += [(word, True)] * times

    def lose(self, word: bytes, times: int = 1) -> None:
        """The next message of a client with `word` in it is lost, and the connection with it."""
        self._words += [(word, False)] * times

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
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.refuses:
                    client.close()
                    continue
                try:
                    server = socket.create_connection(self._server)
                except OSError:
                    client.close()
                    continue
                pair = (client, server)
                self._pairs.append(pair)
                for source, sink in (pair, pair[::-1]):
                    source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    threading.Thread(target=self._relay, args=(pair, source, sink), daemon=True).start()

    def _relay(self, pair: Pair, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if self._silent.is_set():
                    continue
                if source in self._unheard:
                    self._note_loss()
                    break
                if source is pair[0] and self._words and self._words[0][0] in data:
                    _, is_answer = self._words.pop(0)
                    if not is_answer:
                        self._note_loss()
                        break
                    self._unheard.add(sink)
                sink.sendall(data)
        _break(pair)

    def _note_loss(self) -> None:
        self.lost += 1
        self.refuses |= self.refuses_after_loss
        self.broken.set()


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
