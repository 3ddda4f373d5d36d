"""The dashboard's Tasks page before very many tasks that wait, and as many runs that have ended: how long the slowest
of its searches takes, among them ones that find everything, something and nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlencode

from benchmarks.client import Client
from benchmarks.scene import Scene
from benchmarks.tables import numbered_id
from headbox.domain.task import DAY, SECOND
from headbox.storage.records import Session
from headbox.web.accounts import ADMIN, new_secret
from headbox.web.auth import secret_hash
from headbox.web.ui.session import SESSION

LIVE, ENDED = "headbox_tasks", "headbox_task_history"
TIMES = 5  # that each search is asked; the fastest counts: what it costs, and not what else the machine has to do
SEARCHES: tuple[dict[str, str], ...] = (
    {},
    {"method": "press"},
    {"method": "nowhere"},
    {"queue": "queue-3"},
    {"job": "job-7"},
    {"text": "mirror"},
    {"text": "os/1000"},
    {"text": "nowhere"},
    {"text": "NOWHERE", "method": "press", "queue": "queue-3"},
)
OF_LIVE = ({"state": "waiting"}, {"state": "suspended"})
OF_ENDED = ({"state": "error"}, {"state": "finished", "text": "nowhere"}, {"since": "PT1H", "text": "nowhere"})


def slowest(client: Client, *, ended: bool) -> float:
    """Milliseconds from the request to the end of the page, of the search that takes longest."""
    searches = [{"ended": "1"} | search for search in (*SEARCHES, *OF_ENDED)] if ended else [*SEARCHES, *OF_LIVE]
    paths = [f"/ui/tasks/?{urlencode(search)}" for search in searches]
    return max(1000 / max(client.rate("GET", path, 0, 1) for _ in range(TIMES)) for path in paths)


def fill(scene: Scene, template: str, count: int) -> None:
    """So many tasks that wait and so many runs that have ended in the last minutes, of several methods and queues."""
    tables, now = scene.tables, scene.queue.clock.now()
    method = "CASE n % 3 WHEN 0 THEN 'press' WHEN 1 THEN 'sync' ELSE 'publish' END"
    args = "'[\"https://mirror.example.org/releases/x86_64/os/' || CAST(n AS text) || '\"]'"
    tables.multiply(
        LIVE, template, count, id=numbered_id("page"), method_name=method,
        callable=f"'repository_sync.tasks:' || {method}", queue="'queue-' || CAST(n % 7 AS text)",
        job_id="'job-' || CAST(n / 100 AS text)",
        args=f"convert_to({args}, 'UTF8')" if tables.is_postgres else f"CAST({args} AS BLOB)",
    )  # fmt: skip
    tables.copy(
        LIVE, ENDED, "id LIKE 'page-%'", state="CASE WHEN id LIKE '%7' THEN 'error' ELSE 'finished' END",
        start_time=f"{now - SECOND}", finish_time=f"{now}", final="TRUE",
        exception="CASE WHEN id LIKE '%7' THEN 'ConnectionError: the mirror does not answer' END",
    )  # fmt: skip
    tables.analyze()


@contextmanager
def browser(scene: Scene, port: int) -> Iterator[Client]:
    """A client with the session of somebody who is logged in."""
    secret, now = new_secret(), scene.queue.clock.now()
    session = Session(secret_hash=secret_hash(secret), user=ADMIN, create_time=now, expire_time=now + DAY)
    scene.queue.store.create_session(session)
    yield Client(port, "", f"{SESSION}_{port}={secret}")
    scene.queue.store.delete_session(session.secret_hash)
