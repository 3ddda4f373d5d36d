"""The feed of a repository whose files arrive when the test lets them, so that a sync is as slow as a test needs."""

from __future__ import annotations

import json
import random
import threading
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

HALF: Final = 1 << 16  # as much as the example copies at a time
MANY: Final = 1000
PATIENCE: Final = 120.0  # seconds


class Feed:
    """A project's page of a simple index (PEP 691) with files of 128 KiB. Half of each arrives at once, and the rest
    when `release` lets it."""

    def __init__(self, files: int = 2) -> None:
        content = random.Random(files)
        self._files = {f"part{number}-1.0-py3-none-any.whl": content.randbytes(2 * HALF) for number in range(files)}
        self._released = threading.Semaphore(0)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/simple/parts/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def release(self, files: int = MANY) -> None:
        """Lets so many more files arrive; all, unless that is said."""
        self._released.release(files)

    def close(self) -> None:
        self.release()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _page(self) -> bytes:
        files = [
            {"filename": name, "url": name, "hashes": {"sha256": sha256(content).hexdigest()}, "size": len(content)}
            for name, content in self._files.items()
        ]
        return json.dumps({"meta": {"api-version": "1.1"}, "name": "parts", "files": files}).encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        feed = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.rpartition("/")[2]
                kind = "application/octet-stream" if name else "application/vnd.pypi.simple.v1+json"
                body = feed._files[name] if name else feed._page()
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[:HALF])
                if name:
                    feed._released.acquire(timeout=PATIENCE)
                self.wfile.write(body[HALF:])

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler
