"""A worker that was taken for lost cannot record anything, and comes again under a new id."""

from __future__ import annotations

import signal
from typing import Any

from headbox.storage.records import ClaimRequest, Report


def _rescue(floor: Any, worker: str) -> None:
    """What another host would do that has not heard of the worker for longer than its lease."""
    floor.queue.store.rescue(floor.queue.clock.now(), [worker])


def test_a_superseded_worker_kills_what_it_runs_and_starts_afresh(floor: Any, shopfloor: Any) -> None:
    work = floor.start("--concurrency", "2", lease=1)
    first = work.row.id
    tasks = [shopfloor.sleep.enqueue(), shopfloor.sleep_async.enqueue()]
    pids = {floor.running(task) for task in tasks}
    _rescue(floor, first)
    for task in tasks:
        assert floor.running_again(task, run=2) not in pids
        assert [(run.state, run.run) for run in task.history()] == [("reset", 1)]
    assert work.row.id != first and work.row.pid == work.pid
    assert "was taken for lost; starting afresh under a new id" in work.log
    assert not pids & set(work.pids())
    assert [path.name.rpartition("-")[0] for path in floor.folder.glob("headbox.db.worker-*")].__len__() == 1


def test_the_result_of_a_superseded_run_is_dropped(floor: Any, shopfloor: Any) -> None:
    path = str(floor.journal_path)
    first = floor.start("--concurrency", "1")
    task = shopfloor.last.enqueue(0.3, path)
    floor.running(task)
    first.freeze()
    floor.until(lambda: [line[:2] for line in floor.lines_of(task)] == [["1", "start"], ["1", "end"]])
    _rescue(floor, first.row.id)
    second = floor.start("--concurrency", "1")
    floor.ended(task)
    first.signal(signal.SIGCONT)
    floor.until(lambda: f"task {task.id}, run 1: superseded, its result was dropped" in first.log)
    assert [(run.state, run.run) for run in task.history()] == [("finished", 2), ("reset", 1)]
    assert task.worker == second.row.id
    assert shopfloor.add.enqueue(1, 2).wait(30) == 3


def test_a_claim_that_the_worker_never_heard_of_is_given_back_though_nothing_else_is_to_be_done(
    floor: Any, shopfloor: Any
) -> None:
    worker = floor.start("--queues", "known").row
    store = floor.queue.store
    floor.ended(floor.queue.enqueue(shopfloor.last, args=[0.1, str(floor.journal_path)], queue="known"))  # a review
    unheard = floor.queue.enqueue(shopfloor.add, args=[1, 2], queue="unheard")
    claims = store.exchange(worker.id, Report(), ClaimRequest(queues=("unheard",), limit=1), store.clock().now()).claims
    assert [task.id for task in claims.tasks] == [unheard.id]
    floor.ended(floor.queue.enqueue(shopfloor.add, args=[1, 2], queue="known"))
    floor.until(lambda: unheard.refresh().state == "waiting")
    assert f"task {unheard.id}, run 1: claimed and never started; releasing it" in floor.works[0].log
