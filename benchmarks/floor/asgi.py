"""`python -m benchmarks.floor.asgi`: an ASGI application that does nothing, under uvicorn as the API runs it."""

from __future__ import annotations

import socket
from typing import Any

import uvicorn

HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"2")]


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    """Answers `{}`."""
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": b"{}"})


def main() -> None:
    """Serves on a free port, which it prints."""
    options: dict[str, Any] = {"http": "httptools", "ws": "none", "loop": "uvloop", "lifespan": "off"}
    config = uvicorn.Config(nothing, **options, log_level="error", access_log=False, server_header=False)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
