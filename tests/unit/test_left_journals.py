"""What a dead worker's journals hold is recorded before its tasks are reset, but only where it can be trusted."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from headbox import TaskQueue
from headbox.config import Settings
from headbox.domain.task import SECOND
from headbox.storage.records import ClaimRequest, Report, Worker
from headbox.task_queue.running import Ending, Work
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
    journals = Journals(folder_of(store.url, store.beside))
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
    Upkeep(queue.store, Settings(), "another").rescue(queue.clock.now())
    assert queue.store.get(id).state == state
    assert not [*folder_of(queue.store.url, queue.store.beside).iterdir()]
