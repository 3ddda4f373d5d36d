"""What a dead worker's journals hold is recorded before its tasks are reset, but only where it can be trusted."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from headbox import TaskQueue
from headbox.config import Settings
from headbox.domain.task import SECOND, Work
from headbox.storage.records import ClaimRequest, Report, Worker
from headbox.task_queue.running import Ending
from headbox.worker.journal import Journal, Journals, folder_of
from headbox.worker.process import boot_id
from headbox.worker.protocol import Ended
from headbox.worker.upkeep import Upkeep

NOW = time.time_ns() // 1000
ANOTHER_BOOT = "9d1c7a4e-0000-4000-8000-000000000000/1"


def leave_behind(queue: TaskQueue, boot: str) -> str:
    """A task that has ended in a worker that died before it could say so; its id."""
    store = queue.store
    task = queue.enqueue(print)
    store.register(
        Worker(
            id="w", host=socket.gethostname(), boot_id=boot, pid=2**22 + 1, process_start=1, app=None, queues=(),
            concurrency=1, start_time=NOW, heartbeat_time=NOW, lease=20 * SECOND, names=(), declares=(),
        ),
        [], [], NOW,
    )  # fmt: skip
    assert store.exchange("w", Report(), ClaimRequest(queues=(), limit=1), queue.clock.now()).claims
    journals = Journals(folder_of(store.beside, store.identity))
    file = journals.open("w", 1)
    child = Journal(file.descriptor)
    at = time.monotonic_ns()
    child.note(Work(task.id, 1, "print"), Ended(1, at, at, False, Ending("succeed", b"null")))
    child.close()
    os.close(file.descriptor)
    file.close()
    store._database.discharge("w")  # type: ignore[attr-defined]  # what the kernel does when its process has died
    return task.id


@pytest.mark.parametrize(("boot", "state"), [(boot_id(), "finished"), (ANOTHER_BOOT, "reset")])
def test_a_journal_from_before_the_machine_was_started_anew_is_not_believed(
    tmp_path: Path, boot: str, state: str
) -> None:
    """Of what was written before the power went, pages may be missing or old; so it runs again."""
    queue = TaskQueue(f"sqlite:///{tmp_path}/headbox.db")
    id = leave_behind(queue, boot)
    upkeep = Upkeep(queue.store, Settings(), "another")
    upkeep.rescue(queue.clock.now())
    assert queue.store.get(id).state == state
    assert not [*upkeep.journals.iterdir()]


@pytest.fixture
def stopped(tmp_path: Path) -> Iterator[int]:
    """Another who is about the journals and has been stopped: his lock."""
    folder = tmp_path / "headbox.db.ends"
    folder.mkdir()
    lock = os.open(folder, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    yield lock
    os.close(lock)


def test_a_worker_that_is_stopped_over_the_journals_holds_up_nobody(tmp_path: Path, stopped: int) -> None:
    queue = TaskQueue(f"sqlite:///{tmp_path}/headbox.db")
    id, upkeep = leave_behind(queue, boot_id()), Upkeep(queue.store, Settings(), "another")
    now = queue.clock.now()
    for later in (0, Settings().lease - 1):
        assert upkeep.rescue(now + later) == []
        assert queue.store.get(id).state == "running"  # whoever goes on first records its end
    fcntl.flock(stopped, fcntl.LOCK_UN)
    upkeep.rescue(now + Settings().lease)
    assert queue.store.get(id).state == "finished"


def test_one_that_stays_stopped_is_waited_for_no_longer_than_a_lease(tmp_path: Path, stopped: int) -> None:
    queue = TaskQueue(f"sqlite:///{tmp_path}/headbox.db")
    id, upkeep = leave_behind(queue, boot_id()), Upkeep(queue.store, Settings(), "another")
    now = queue.clock.now()
    upkeep.rescue(now)
    upkeep.rescue(now + Settings().lease)
    assert queue.store.get(id).state == "reset" and not queue.store.workers()
