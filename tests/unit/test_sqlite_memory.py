"""What SQLite frees and takes again, told by the page faults of a process of its own that has little else: another may
have freed enough for the C library to keep it anyway."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TURNS = 200
TAKE_TURNS = f"""
import sys, threading
from resource import RUSAGE_SELF, getrusage
from headbox.domain.task import Task
from headbox.storage.records import ClaimRequest, Report, Worker
from headbox.storage.store import open_store

store = open_store("sqlite:///" + sys.argv[1], 1)
store.initialise(1)
store.register(Worker(id="w", host="", boot_id="", pid=1, process_start=1, app=None, queues=(), concurrency=1,
                      start_time=1, heartbeat_time=1, lease=1), [], [], 1)

def turns(count):
    before = getrusage(RUSAGE_SELF).ru_minflt
    for _ in range(count):
        store.enqueue([Task(str(before + _), 1, "waiting", "default", 0, 1, "shop:pack", "pack", enqueue_time=1)], 1)
        assert store.exchange("w", Report(), ClaimRequest(queues=(), limit=1), 1).claims.tasks
    return getrusage(RUSAGE_SELF).ru_minflt - before

def work():
    turns(10)
    print(turns({TURNS}))

clerk = threading.Thread(target=work)
clerk.start()
clerk.join()
"""


def test_a_clerk_takes_no_memory_anew_in_each_turn(tmp_path: Path) -> None:
    """The tables that SQLite makes within a claim are 90 kB each: given back, they were some 70 faults a turn."""
    command = [sys.executable, "-c", TAKE_TURNS, str(tmp_path / "headbox.db")]
    assert int(subprocess.check_output(command)) < TURNS
