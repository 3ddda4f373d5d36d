"""Nothing outlives its parent, and nothing that was accepted is lost with it."""

from __future__ import annotations

import os
import signal
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from headbox.worker.journal import HEADER
from tests.acceptance.worker.conftest import wait_for_end


def _run_a_bit_of_everything(floor: Any, shopfloor: Any) -> list[Any]:
    """A task of each kind in progress, one with a subprocess."""
    tasks = [shopfloor.start_subprocess.enqueue(), shopfloor.sleep.enqueue(), shopfloor.sleep_async.enqueue()]
    for task in tasks:
        floor.running(task)
    return tasks


@pytest.mark.parametrize("preloading", ["--preload", "--no-preload"])
def test_a_supervisor_that_is_killed_leaves_nobody_and_the_next_runs_what_it_had(
    floor: Any, shopfloor: Any, preloading: str
) -> None:
    work = floor.start(preloading, "--concurrency", "2")
    tasks = _run_a_bit_of_everything(floor, shopfloor)
    pids = work.pids()
    assert len(pids) == 6  # supervisor, forkserver, two sync children, an async one, a subprocess
    work.process.kill()
    assert work.wait() == -signal.SIGKILL
    for pid in pids:
        wait_for_end(pid)

    floor.start("--concurrency", "2")
    for task in tasks:
        floor.running_again(task, run=2)
        (lost,) = task.history()
        assert (
            lost.state == "reset"
            and f"worker {lost.worker} on host" in lost.exception
            and " lost at " in lost.exception
        )


def test_a_forkserver_that_is_killed_is_replaced_and_its_runs_run_again(floor: Any, shopfloor: Any) -> None:
    work = floor.start("--concurrency", "2", grace=0)
    tasks = _run_a_bit_of_everything(floor, shopfloor)
    pids = [pid for pid in work.pids() if pid != work.pid]
    os.kill(work.forkserver, signal.SIGKILL)
    for pid in pids:
        wait_for_end(pid)
    for task in tasks:
        floor.running_again(task, run=2)
    assert work.row.pid == work.pid
    assert work.stop() == 0


def test_a_forkserver_that_is_killed_again_and_again_does_not_end_the_tasks_in_error(
    floor: Any, shopfloor: Any
) -> None:
    work = floor.start("--concurrency", "1")
    task = shopfloor.sleep.enqueue()
    for run in range(1, 5):
        floor.running_again(task, run)
        os.kill(work.forkserver, signal.SIGKILL)
    floor.running_again(task, run=5)


def test_a_serve_that_is_killed_leaves_nobody(floor: Any, shopfloor: Any) -> None:
    options = ["--app", "shopfloor:queue", "--port", "0", "--concurrency", "2"]
    serve = floor.launch(["serve", *options]).started()
    _run_a_bit_of_everything(floor, shopfloor)
    floor.until(lambda: "answers at" in serve.log)
    assert len(serve.pids()) == 8  # serve and api besides
    serve.process.kill()
    assert serve.wait() == -signal.SIGKILL


@pytest.mark.parametrize("part", ["work", "api"])
def test_a_serve_replaces_a_part_that_is_killed(floor: Any, shopfloor: Any, part: str) -> None:
    options = ["--app", "shopfloor:queue", "--port", "0", "--concurrency", "1"]
    serve = floor.launch(["serve", *options]).started()
    floor.until(lambda: "answers at" in serve.log)
    os.kill(serve.find_pid(f"headbox\0{part}"), signal.SIGKILL)
    task = shopfloor.add.enqueue(1, 2)
    assert task.wait(30) == 3
    floor.until(lambda: serve.log.count("answers at") == (2 if part == "api" else 1))
    assert serve.stop() == 0


@pytest.mark.parametrize("whom", ["serve", "every process"])
def test_a_serve_that_is_stopped_lets_runs_end(floor: Any, shopfloor: Any, whom: str) -> None:
    """A service manager may well send SIGTERM to all that it finds."""
    options = ["--app", "shopfloor:queue", "--port", "0", "--concurrency", "1"]
    serve = floor.launch(["serve", *options]).started()
    task = shopfloor.last.enqueue(0.5, str(floor.journal_path))
    floor.running(task)
    for pid in serve.pids() if whom == "every process" else [serve.pid]:
        with suppress(ProcessLookupError):  # one that has ended by itself
            os.kill(pid, signal.SIGTERM)
    assert serve.wait() == 0
    assert (task.refresh().state, task.run) == ("finished", 1)
    assert floor.queue.store.workers() == []


def test_a_second_signal_ends_a_serve_at_once(floor: Any, shopfloor: Any) -> None:
    options = ["--app", "shopfloor:queue", "--port", "0", "--concurrency", "1"]
    serve = floor.launch(["serve", *options], grace=1000).started()
    task = shopfloor.sleep.enqueue()
    floor.running(task)
    serve.signal(signal.SIGTERM)
    floor.until(lambda: "again to stop at once" in serve.log)
    serve.signal(signal.SIGTERM)
    assert serve.wait() == 0
    assert (task.refresh().state, task.run, task.record.losses) == ("reset", 2, 0)


def test_a_supervisor_that_is_stopped_for_a_while_goes_on_where_it_was(floor: Any, shopfloor: Any) -> None:
    path = str(floor.journal_path)
    work = floor.start("--concurrency", "2")
    running = shopfloor.last.enqueue(0.3, path)
    floor.running(running)
    work.freeze()
    shopfloor.queue.enqueue_many(shopfloor.write_line.call(path) for _ in range(10))
    floor.until(lambda: ["1", "end"] in [line[:2] for line in floor.lines_of(running)])
    assert running.refresh().state == "running"
    work.signal(signal.SIGCONT)
    floor.until(lambda: floor.queue.count(state="finished") == 11)
    assert running.refresh().run == 1
    assert set(Counter(id for id, *_ in floor.journal).values()) == {1, 2}


def test_a_child_that_dies_while_its_supervisor_is_stopped_is_noticed_afterwards(floor: Any, shopfloor: Any) -> None:
    work = floor.start("--concurrency", "2")
    task = shopfloor.sleep.enqueue()
    pid = floor.running(task)
    work.freeze()
    os.kill(pid, signal.SIGKILL)
    work.signal(signal.SIGCONT)
    floor.running_again(task, run=2)
    assert task.history()[0].state == "reset"


def test_a_run_that_has_ended_and_is_not_recorded_is_recorded_by_the_next_worker(floor: Any, shopfloor: Any) -> None:
    """The supervisor dies between a task's end and its recording."""
    work = floor.start("--concurrency", "1")
    task = shopfloor.stop_supervisor.enqueue()
    floor.until(lambda: _is_stopped(work.pid) and any(map(_has_end, floor.folder.glob("headbox.db.ends/*"))))
    os.kill(work.forkserver, signal.SIGKILL)
    work.process.kill()
    work.wait()
    assert task.refresh().state == "running"
    floor.start("--concurrency", "1")
    floor.ended(task)
    assert [(run.state, run.run) for run in task.history()] == [("finished", 1)]


def _has_end(journal: Path) -> bool:
    """Whether a child has noted one."""
    return any(journal.read_bytes()[HEADER:])


def _is_stopped(pid: int) -> bool:
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] == "T"


def test_a_worker_that_has_claimed_and_not_handed_out_loses_nothing(floor: Any, shopfloor: Any) -> None:
    """The child is stopped, so what it is given never starts; the supervisor dies with all of it claimed."""
    path = str(floor.journal_path)
    work = floor.start("--concurrency", "1")
    first = shopfloor.describe.enqueue()
    os.kill(first.wait(30)["pid"], signal.SIGSTOP)
    tasks = [shopfloor.write_line.enqueue(path) for _ in range(3)]
    floor.until(lambda: floor.queue.count(state="running") >= 1)
    work.kill_all()
    assert floor.journal == []
    floor.start("--concurrency", "1")
    floor.ended(*tasks)
    assert Counter(id for id, *_ in floor.journal) == {task.id: 1 for task in tasks}
