"""The HTTP API as an ASGI application, to serve or to mount in another."""

from __future__ import annotations

from starlette.types import ASGIApp

from headbox.config import Settings
from headbox.task_queue.queue import TaskQueue
from headbox.web.app import build

__all__ = ["asgi_app"]


def asgi_app(queue: TaskQueue, *, settings: Settings | None = None) -> ASGIApp:
    """The API of a queue, to mount in another ASGI application (its `root_path` is honoured) or to serve on its own.

    `settings` are the queue's own unless given; of them only `host` and `allowed_hosts` matter here.
    """
    return build(queue, settings or queue.settings)
