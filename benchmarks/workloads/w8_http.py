"""W8: calls over HTTP with a token, beside an application that does nothing on the same server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from benchmarks.client import Client
from benchmarks.figures import FLOOR, Measured
from benchmarks.process_tree import memory
from benchmarks.scene import Scene, Site
from benchmarks.sizes import Sizes
from benchmarks.tables import numbered_id
from benchmarks.workloads import tasks_page
from headbox.domain.task import DAY
from headbox.web.accounts import ensure_admin, issue_local_token

CONNECTIONS = 16
LIST_CONNECTIONS = 2
LIVE = "headbox_tasks"
NEW_TASK = json.dumps({"method_name": "nothing"}).encode()


def measure(site: Site, sizes: Sizes) -> Iterator[Measured]:
    """Calls a second; megabytes that a long list adds to the process."""
    with site.scene() as scene:
        with scene.worker():  # which publishes what a POST may name
            pass
        task = scene.application.nothing.enqueue().id
        with api(scene) as (client, pid):
            yield Measured("w8.get", client.rate("GET", f"/tasks/{task}/", sizes.http_seconds, CONNECTIONS))
            with empty_application() as (bare, _):
                yield Measured("w8.get", bare.rate("GET", "/", sizes.http_seconds, CONNECTIONS), FLOOR)
            if client.exists("/statistics/"):
                yield Measured("w8.statistics", client.rate("GET", "/statistics/", sizes.http_seconds, CONNECTIONS))
            yield Measured("w8.list", list_rate(scene, client, task, sizes))
            yield Measured("w8.growth", list_growth(scene, client, pid, task, sizes))
            yield from pages(scene, client, task, sizes)
            yield Measured("w8.post", client.rate("POST", "/tasks/", sizes.http_seconds, CONNECTIONS, NEW_TASK))


def list_rate(scene: Scene, client: Client, task: str, sizes: Sizes) -> float:
    """Lists a second of so many waiting tasks."""
    scene.tables.multiply(LIVE, task, sizes.listed, id=numbered_id("listed"))
    return client.rate("GET", "/tasks/", sizes.http_seconds, LIST_CONNECTIONS)


def list_growth(scene: Scene, client: Client, pid: int, task: str, sizes: Sizes) -> float:
    """What the server keeps of a longer list that was asked for a few times."""
    client.rate("GET", "/tasks/", 0, 1)
    before = memory(pid)
    scene.tables.multiply(LIVE, task, sizes.listed_many - sizes.listed, id=numbered_id("more"))
    for _ in range(3):
        client.rate("GET", "/tasks/", 0, 1)
    return memory(pid) - before


def pages(scene: Scene, client: Client, task: str, sizes: Sizes) -> Iterator[Measured]:
    """The dashboard before as many tasks that wait as that list had, and as many runs that have ended."""
    scene.tables.rows(f"DELETE FROM {LIVE} WHERE queue = 'default' AND id <> '{task}'")
    tasks_page.fill(scene, task, sizes.listed_many)
    with tasks_page.browser(scene, client.port) as browser:
        yield Measured("w8.page", tasks_page.slowest(browser, ended=False))
        yield Measured("w8.ended_page", tasks_page.slowest(browser, ended=True))
    scene.tables.rows(f"DELETE FROM {LIVE} WHERE queue <> 'default' AND id LIKE 'page-%'")


@contextmanager
def api(scene: Scene) -> Iterator[tuple[Client, int]]:
    """`headbox api`, a client with a super user's token, and the process."""
    ensure_admin(scene.queue, "a password for benchmarks")
    token = issue_local_token(scene.queue, DAY)
    assert token is not None
    with scene.process("api", "--port", "0", "--database", scene.url) as process:
        port = urlsplit(process.report["url"]).port  # type: ignore[attr-defined]
        assert port is not None
        yield Client(port, f"Bearer {token[1]}"), process.pid


@contextmanager
def empty_application() -> Iterator[tuple[Client, int]]:
    """The same server, without the project."""
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.floor.asgi"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield Client(int(process.stdout.readline()), "Bearer none"), process.pid
    finally:
        process.terminate()
        process.wait()
