"""SIGTERM and Ctrl-C drain; a second one ends at once. Either way nothing is lost and the exit is clean."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopping_worker_lets_runs_end_and_leaves_the_rest_waiting(floor: Any, shopfloor: Any, number: int) -> None:
    path = str(floor.journal_path)
    work = floor.start("--concurrency", "2")
    running = [shopfloor.last.enqueue(0.5, path), shopfloor.last_async.enqueue(0.5, path)]
    for task in running:
        floor.running(task)
    waiting = [shopfloor.last.enqueue(0.1, path) for _ in range(3)]
    floor.running(waiting[0])
    work.signal(number)
    assert work.wait() == 0
    assert "finishing 3 runs; again to stop at once" in work.log
    assert [task.refresh().state for task in running + waiting] == ["finished"] * 3 + ["waiting"] * 2
    assert [task.snapshot_id for task in waiting] == [None] * 3
    assert floor.queue.store.workers() == []
    assert len(floor.journal) == 6


def test_ctrl_c_in_a_terminal_reaches_every_process_and_only_drains(floor: Any, shopfloor: Any) -> None:
    work = floor.start("--concurrency", "2")
    tasks = [shopfloor.last.enqueue(0.3, str(floor.journal_path)), shopfloor.sleep_async.enqueue(0.3)]
    for task in tasks:
        floor.running(task)
    for pid in work.pids():
        os.kill(pid, signal.SIGINT)
    assert work.wait() == 0
    assert [(task.refresh().state, task.run) for task in tasks] == [("finished", 1)] * 2


def test_an_idle_worker_stops_at_once_and_leaves_no_file(floor: Any) -> None:
    work = floor.start()
    assert work.stop() == 0
    assert floor.queue.store.workers() == []
    assert [path.name for path in floor.folder.glob("headbox.db.worker-*")] == []


def test_runs_longer_than_the_grace_are_reset_and_run_again_uncounted(floor: Any, shopfloor: Any) -> None:
    names = ["sleep", "swallow_everything", "sleep_async"]
    work = floor.start("--concurrency", "2", grace=0.3, cancel_grace=0.3)
    tasks = [getattr(shopfloor, name).enqueue() for name in names]
    for task in tasks:
        floor.running(task)
    assert work.stop() == 0
    for task in tasks:
        assert (task.refresh().state, task.run, task.record.losses) == ("reset", 2, 0)
        (lost,) = task.history()
        assert lost.state == "reset" and "was shut down before the run ended" in lost.exception
    floor.start("--concurrency", "2")
    for task in tasks:
        floor.running_again(task, run=2)


def test_a_second_signal_ends_at_once(floor: Any, shopfloor: Any) -> None:
    work = floor.start("--concurrency", "2", grace=1000, cancel_grace=1000)
    tasks = [shopfloor.sleep.enqueue(), shopfloor.swallow_everything.enqueue(), shopfloor.sleep_async.enqueue()]
    for task in tasks:
        floor.running(task)
    work.signal(signal.SIGTERM)
    floor.until(lambda: "again to stop at once" in work.log)
    work.signal(signal.SIGTERM)
    assert work.wait() == 0
    assert [(task.refresh().state, task.run, task.record.losses) for task in tasks] == [("reset", 2, 0)] * 3


def test_a_cancel_and_a_timeout_still_come_through_while_it_drains(floor: Any, shopfloor: Any) -> None:
    work = floor.start("--concurrency", "2", grace=1000)
    canceled, timed_out = shopfloor.sleep.enqueue(), shopfloor.sleep.options(timeout=1).enqueue()
    for task in (canceled, timed_out):
        floor.running(task)
    work.signal(signal.SIGTERM)
    floor.until(lambda: "again to stop at once" in work.log)
    canceled.cancel()
    assert work.wait() == 0
    assert [task.refresh().state for task in (canceled, timed_out)] == ["canceled", "timed_out"]


def test_what_a_run_enqueues_while_it_drains_waits_for_the_next_worker(floor: Any, shopfloor: Any) -> None:
    work = floor.start("--concurrency", "1")
    task = shopfloor.enqueue_after.enqueue(0.3, str(floor.journal_path))
    floor.running(task)
    assert work.stop() == 0
    assert floor.queue.get(task.refresh().result).state == "waiting"


def test_a_worker_that_is_stopped_while_it_starts_leaves_nobody(floor: Any) -> None:
    work = floor.launch(["work", "--app", "shopfloor:queue"])
    floor.until(lambda: len(work.pids()) > 1)  # the forkserver imports the application
    work.signal(signal.SIGTERM)
    assert work.wait() in (0, -signal.SIGTERM)
    floor.queue.store.rescue(floor.queue.clock.now())
    assert floor.queue.store.workers() == []


def test_many_short_runs_are_drained_without_losing_one(floor: Any, shopfloor: Any) -> None:
    path = str(floor.journal_path)
    work = floor.start("--concurrency", "2")
    tasks = shopfloor.queue.enqueue_many(shopfloor.write_line.call(path) for _ in range(3000))
    floor.until(lambda: len(floor.journal) > 100)
    assert work.stop() == 0
    ran = {id for id, *_ in floor.journal}
    assert len(ran) == len(floor.journal)
    assert {task.id for task in floor.queue.find(state="finished")} == ran
    assert floor.queue.count(state="waiting") == len(tasks) - len(ran) + 2  # the housekeeping's two
    assert floor.queue.count(state="running") == 0
