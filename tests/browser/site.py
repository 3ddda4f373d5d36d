"""The service that the browser visits: `headbox serve` with the example, its repositories, and a user of each kind."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2 as httpx
from msgspec.structs import replace

from headbox.domain.iso8601 import format_instant
from headbox.domain.task import DAY, Task
from headbox.identifiers import new_id
from headbox.storage.store import open_store
from tests.service import Home, Serve, Starter

ROOT: Final = Path(__file__).parents[2]
APP: Final = "examples.repository_sync:queue"
PASSWORD: Final = "correct horse"
FORM_TOKEN: Final = re.compile(r'name="form_token" value="([^"]+)"')
ROLES: Final = {"olga": ["operators"], "rita": ["readers"], "nora": []}  # users beside the super user `admin`


class Site:
    """A service in a folder of its own, for a file of tests. `url` is where the browser finds it, and `api` calls it
    as `admin`. `before` is given the URL of the database that is not there yet."""

    def __init__(self, folder: Path, before: Callable[[str], None] | None = None) -> None:
        self.home, self.feeds = Home(folder), folder / "feeds"
        self._cookies: dict[str, list[Any]] = {}
        self._start = Starter()
        self._environ = {
            "PYTHONPATH": f"{ROOT}:{ROOT}/src",
            "HEADBOX_ADMIN_PASSWORD": PASSWORD,
            "REPOSITORY_FEEDS": str(self.feeds),
            "REPOSITORY_MIRRORS": str(folder / "mirrors"),
        }
        self.feeds.mkdir()
        self.database = f"sqlite:///{folder}/headbox.db"
        if before is not None:
            before(self.database)
        self.url = self.start()
        self.api = httpx.Client(base_url=self.url, auth=("admin", PASSWORD), timeout=30, verify=False, trust_env=False)
        for name, roles in ROLES.items():
            self.post("/users/", {"name": name, "password": PASSWORD, "roles": roles})

    def start(self, *options: str) -> str:
        """Starts the service. Its URL."""
        self.service = self._start(self.home, "--app", APP, *options, **self._environ)
        return self.service.ready()

    def restart(self) -> None:
        """Ends the service and starts it again at the same place."""
        assert self.service.stop() == 0
        self.start("--port", str(urlsplit(self.url).port))

    def start_worker(self, *options: str) -> Serve:
        """Starts another worker."""
        return self._start(self.home, "--app", APP, *options, command="work", **self._environ)

    @contextmanager
    def another_worker(self) -> Iterator[None]:
        """A second worker, that is there for so long."""
        worker = self.start_worker()
        yield
        assert worker.stop() == 0

    def cookies(self, name: str) -> list[Any]:
        """What a browser holds once that user has logged in."""
        if name not in self._cookies:
            with httpx.Client(base_url=self.url, timeout=30, verify=False, trust_env=False) as client:
                (token,) = set(FORM_TOKEN.findall(client.get("/ui/login/").text))
                client.post("/ui/login/", data={"form_token": token, "name": name, "password": PASSWORD})
                self._cookies[name] = [
                    {"name": each.name, "value": each.value, "url": self.url} for each in client.cookies.jar
                ]
        return self._cookies[name]

    def post(self, path: str, body: Any = None) -> Any:
        """Calls what changes something, which must succeed."""
        response = self.api.post(path, json=body)
        assert response.is_success, response.text
        return response.json()

    def get(self, path: str) -> Any:
        response = self.api.get(path)
        assert response.is_success, response.text
        return response.json()

    def sync(self, repository: str, **kwargs: Any) -> str:
        """Enqueues a sync of the example. The task's id."""
        return str(self.post("/tasks/", {"method_name": "sync", "args": [repository], "kwargs": kwargs})["id"])

    def state(self, id: str) -> str:
        """The state of a task."""
        return str(self.get(f"/tasks/{id}/?fields=state")["state"])

    def fill(self, count: int, **changes: Any) -> list[Task]:
        """Accepts tasks that are due in years, all in one transaction."""
        now = time.time_ns() // 1000
        due = now + 1000 * DAY
        model = Task(
            "", 1, "waiting", "default", 0, due, "examples.repository_sync:sync", "sync",
            scheduler="at", schedule=format_instant(due), scheduled_time=due, enqueue_time=now,
        )  # fmt: skip
        args = ({"args": json.dumps([f"later-{number}"]).encode()} for number in range(count))
        tasks = [replace(model, id=new_id(), **{**each, **changes}) for each in args]
        with closing(open_store(self.database)) as store:
            return store.enqueue(tasks, now)

    def close(self) -> None:
        self.api.close()
        self._start.end()
