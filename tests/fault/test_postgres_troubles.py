"""What a server of PostgreSQL suffers while workers and an API run on it: each says what is wrong, nobody gives up,
what has ended meanwhile is recorded afterwards, and it goes on as if nothing had been."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from headbox import Task, TaskQueue
from headbox.storage.store import Store, open_store
from servers.postgres import PASSWORD, ROLE, Server
from tests.fault.chaos import workload
from tests.fault.chaos.house import API, Process, free_port, until
from tests.fault.chaos.journal import Journal

KEY = "a key for these tests alone"
SECRET = "as good as any"
END_OTHERS = """SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND application_name <> 'somebody else'"""


class Site:
    """A server, a worker, an API, and somebody else who may do everything."""

    def __init__(self, server: Server, disk: Path | None, folder: Path, lease: int) -> None:
        self.server = server
        self.disk = disk
        self.journal = Journal(folder / "journal")
        self.store: Store = open_store(server.url)
        self.store.initialise(self.store.clock().now())
        environment = {
            "HEADBOX_DATABASE": server.url, "HEADBOX_LEASE": str(lease), "HEADBOX_SECRET_KEYS": KEY,
            "HEADBOX_ADMIN_PASSWORD": SECRET, "CHAOS_JOURNAL": str(self.journal.path),
        }  # fmt: skip
        self.work = Process("work", ["work", "--app", "tests.fault.chaos.workload:queue"], folder, environment)
        self.api = API(free_port(), folder, environment)
        until(lambda: self.store.workers() and self.api.is_ready(), "worker and API to come up")

    @contextmanager
    def admin(self) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(self.server.url, autocommit=True, application_name="somebody else") as connection:
            yield connection

    def post(self) -> tuple[int, str | None, str]:
        """A task over HTTP: the answer's status, its Retry-After, and its detail."""
        connection = http.client.HTTPConnection("127.0.0.1", self.api.port, timeout=60)
        credentials = base64.b64encode(f"admin:{SECRET}".encode()).decode()
        headers = {"Content-Type": "application/json", "Authorization": f"Basic {credentials}"}
        body = json.dumps({"method_name": "nothing", "args": ["http"]})
        connection.request("POST", "/tasks/", body, headers)
        answer = connection.getresponse()
        said = json.loads(answer.read())
        connection.close()
        return answer.status, answer.getheader("Retry-After"), said.get("detail", "")

    def close(self) -> None:
        self.work.close()
        self.api.close()
        self.store.close()


@contextmanager
def change_password(site: Site) -> Iterator[None]:
    with site.admin() as admin:
        admin.execute(f"ALTER ROLE {ROLE} PASSWORD 'another'")
        admin.execute(END_OTHERS)
        yield
        admin.execute(f"ALTER ROLE {ROLE} PASSWORD '{PASSWORD}'")


@contextmanager
def use_up_connections(site: Site) -> Iterator[None]:
    with ExitStack() as stack:
        admin = stack.enter_context(site.admin())
        while admin.execute(END_OTHERS).rowcount:  # they come again as long as there is room
            with suppress(psycopg.OperationalError):
                while True:
                    stack.enter_context(site.admin())
        yield


@contextmanager
def fill_disk(site: Site) -> Iterator[None]:
    """The server may well end by it: it is started again when there is space."""
    assert site.disk is not None
    filler = site.disk / "filler"
    subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=64k"], capture_output=True)
    with suppress(psycopg.Error), site.admin() as admin:
        while True:  # until the log finds no more room
            admin.execute("SELECT pg_logical_emit_message(false, 'padding', repeat('x', 4000000))")
    yield
    filler.unlink()
    if not site.server.is_running:
        site.server.start()


@contextmanager
def small_disk() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="headbox-disk-"))
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=150m", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("only root may mount a small disk")
    os.chmod(folder, 0o755)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
        folder.rmdir()


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """On a server with few connections, and for a full disk on a small one."""
    with ExitStack() as stack:
        disk = stack.enter_context(small_disk()) if request.param is fill_disk else None
        server = Server(disk, max_connections=20, min_wal_size="32MB", max_wal_size="64MB")
        stack.callback(server.remove)
        lease = 3 if request.param is make_transactions_read_only else 600  # s: nobody is taken for dead by mistake
        site = Site(server, disk, tmp_path, lease)
        stack.callback(site.close)
        stack.enter_context(workload.queue.using(site.store, site.store.clock()))
        yield site


@contextmanager
def make_transactions_read_only(site: Site) -> Iterator[None]:
    with site.admin() as admin:
        for setting in ("on", "off"):
            admin.execute("SET default_transaction_read_only = off")
            admin.execute(f"ALTER SYSTEM SET default_transaction_read_only = {setting}")
            admin.execute("SELECT pg_reload_conf()")
            if setting == "on":
                until(lambda: _is_read_only(site), "the server to read its settings")
                yield


def _is_read_only(site: Site) -> bool:
    with site.admin() as connection:
        return connection.execute("SHOW transaction_read_only").fetchone() == ("on",)


Trouble = Callable[[Site], AbstractContextManager[None]]


@pytest.mark.parametrize(
    ("site", "trouble", "said"),
    [
        (change_password, change_password, "it refuses this user or password"),
        (use_up_connections, use_up_connections, "it has no connection left; raise max_connections"),
        (fill_disk, fill_disk, "disk is full|check that the server runs there|starting up|in recovery"),
    ],
    indirect=["site"],
)
def test_a_trouble_of_the_server_is_named_and_outlived(site: Site, trouble: Trouble, said: str) -> None:
    pid = site.work.pid
    task = workload.queue.enqueue(workload.nap, ["long", 1500])
    until(lambda: any(line.token == "long" for line in site.journal.lines()), "the task to begin")
    with ThreadPoolExecutor(1) as client, trouble(site):
        answer = client.submit(site.post)
        until(lambda: site.journal.ended() == 1, "the task to end")
        until(lambda: _says(said, site.work.log), "the worker to say what is wrong")
        status, after, detail = answer.result()
        assert (status, after) == (503, "5") and _says(said, detail), detail
    until(lambda: _state(task) == "finished", "the end to be recorded")
    assert task.run == 1
    until(site.api.is_ready, "the API to be ready again")
    assert site.post()[0] == 202
    until(lambda: site.journal.ended() == 2, "the next task to run")
    assert site.work.pid == pid and site.work.process.poll() is None
    assert "Traceback" not in site.work.log + site.api.log


@pytest.mark.parametrize("site", [make_transactions_read_only], indirect=True)
def test_a_server_on_which_transactions_are_read_only_by_default_makes_no_difference(site: Site) -> None:
    """As operators have it before a failover, or on a server that is mostly read: whoever writes says so."""
    with make_transactions_read_only(site):
        beat = site.store.workers()[0].heartbeat_time
        assert workload.queue.enqueue(workload.nothing, ["python"]).wait(30)
        assert site.post()[0] == 202
        until(lambda: site.journal.ended() == 2, "both tasks to run")
        until(lambda: site.store.workers()[0].heartbeat_time > beat, "a lease to be renewed")
        site.store.rescue(site.store.clock().now())
        new = TaskQueue(site.server.url)
        assert new.count(state="incomplete") == 2  # the housekeeping's
        new.close()
    assert "read-only" not in site.work.log + site.api.log


def _says(said: str, text: str) -> bool:
    return re.search(said, text) is not None


def _state(task: Task) -> str:
    return task.refresh().state
