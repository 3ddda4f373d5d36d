"""Runs the API under uvicorn: its socket, its stop, and what the protocol says before any call is reached."""

from __future__ import annotations

import errno
import re
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import current_thread, main_thread
from types import FrameType
from typing import Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from headbox.config import Settings
from headbox.domain.errors import ConfigError
from headbox.domain.task import SECOND
from headbox.task_queue.queue import TaskQueue
from headbox.web.app import build, with_health_at_root
from headbox.web.metrics import with_metrics_apart
from headbox.web.problems import CONTENT_TYPE, Problem
from headbox.web.replies import CUT
from headbox.web.service import Service

MAX_HEAD: Final = 64 * 1024  # bytes of request line and headers
BACKLOG: Final = 2048
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
METHOD: Final = re.compile(rb"[!#-'*+.^_`|~0-9A-Za-z-]{1,40}(?= /)")  # a request line begins with one (RFC 9110, 9.1)
KNOWN: Final = (b"DELETE", b"GET", b"HEAD", b"OPTIONS", b"PATCH", b"POST", b"PUT")
NEVER_TAKEN: Final = b"PROPFIND"


class Protocol(HttpToolsProtocol):
    """Bounds the head of a request, and says in problem documents what is wrong with one."""

    _head = 0
    _in_head = True
    _at_start = True

    def data_received(self, data: bytes) -> None:
        super().data_received(with_known_method(data) if self._at_start else data)
        self._head += len(data)
        if self._in_head and self._head > MAX_HEAD:
            self._refuse(Problem(431, f"the headers take more than {MAX_HEAD // 1024} KiB; send fewer"))

    def on_message_begin(self) -> None:
        self._in_head, self._head, self._at_start = True, 0, False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self.scope.setdefault("extensions", {})[CUT] = {"cut": self.transport.abort}
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._at_start = True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(Problem(400, "this is not a request as HTTP/1.1 has it"))

    def _refuse(self, problem: Problem) -> None:
        body = problem.document()
        head = b"content-type: %s\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % (CONTENT_TYPE, len(body))
        self.transport.write(STATUS_LINE[problem.status] + head + body)
        self.transport.close()


def with_known_method(data: bytes) -> bytes:
    """The begin of a request. In place of a method that the parser may not know, which it would take for no HTTP at
    all, stands one that no path takes: so the path answers, 405 with what it does take. (In a request that came in one
    piece with the end of another it is not looked for, since only the parser knows where that ends: a 400.)"""
    method = METHOD.match(data)
    return data if method is None or method[0] in KNOWN else NEVER_TAKEN + data[method.end() :]


class Server(uvicorn.Server):
    """Stops as the rest of Headbox does: a drained stop is a success, and whoever waits for a task is answered."""

    def __init__(self, config: uvicorn.Config, service: Service, announce: Callable[[], object]) -> None:
        super().__init__(config)
        self._service = service
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._service.stop_waiting()
        await super().shutdown(sockets)
        self._service.close()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn does, but a stop that was asked for does not end the process by the signal in the end."""
        if current_thread() is not main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A second signal stops at once."""
        self.force_exit = self.should_exit
        self.should_exit = True


def serve_api(queue: TaskQueue, settings: Settings, announce: Callable[[str], object]) -> None:
    """Serves the API until SIGTERM or SIGINT, then lets calls end within the grace period.

    `announce` is called with the API's address once it accepts calls. ConfigError if it cannot listen there.
    """
    make_server(queue, settings, announce).run_on_socket()


class Running:
    """A server and the sockets it is bound to: its own, and one for metrics alone."""

    def __init__(self, server: Server, listener: socket.socket, *others: socket.socket) -> None:
        self.server = server
        self.listener = listener
        self._others = others

    def run_on_socket(self) -> None:
        """Serves until it is told to stop."""
        with ExitStack() as open_sockets:
            sockets = [open_sockets.enter_context(each) for each in (self.listener, *self._others)]
            self.server.run(sockets=sockets)

    def stop(self) -> None:
        """Asks it to stop; from any thread."""
        self.server.should_exit = True


def make_server(queue: TaskQueue, settings: Settings, announce: Callable[[str], object]) -> Running:
    """The server, bound but not running yet."""
    listener = listen(settings.host, settings.port)
    address = url(settings, listener)
    api = build(queue, settings)
    app = api if settings.prefix == "/" else with_health_at_root(api, settings.prefix)
    others = []
    if settings.metrics_port is not None:
        others.append(listen(settings.host, settings.metrics_port, "--metrics-port"))
        app = with_metrics_apart(app, api.service, settings.metrics_port)
    server = Server(configuration(app, settings), api.service, lambda: announce(address))
    return Running(server, listener, *others)


def configuration(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    """How uvicorn is to run the application."""
    return uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        loop="uvloop",
        lifespan="off",
        log_config=None,
        log_level="error",  # what clients do wrong they are told themselves
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        backlog=BACKLOG,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=max(1, settings.grace // SECOND),
    )


def listen(host: str, port: int, option: str = "--port") -> socket.socket:
    """A socket bound to that address; 0 is any free port. ConfigError, naming the option, where that cannot be."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as error:
        raise ConfigError(f"the host {host} cannot be found ({error.strerror}); give another with --host") from None
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(BACKLOG)
    except PermissionError:
        listener.close()
        raise ConfigError(f"this user may not listen on port {port}; choose one from 1024 up with {option}") from None
    except OSError as error:
        listener.close()
        raise ConfigError(_why_not(host, port, error, option)) from None
    listener.setblocking(False)
    return listener


def _why_not(host: str, port: int, error: OSError, option: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is taken by another process; choose another with {option}"
    return f"cannot listen on {host} ({error.strerror}); give an address of this machine with --host"


def url(settings: Settings, listener: socket.socket) -> str:
    """Where the API is reached from this machine, with its trailing slash."""
    host, port = listener.getsockname()[:2]
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - the unspecified addresses
    shown = f"[{reachable}]" if ":" in reachable else reachable
    return f"http://{shown}:{port}{'' if settings.prefix == '/' else settings.prefix}/"
