"""Everything is killed under load, again and again: what was accepted ends exactly once, and whatever ran twice is
explained by a lost run."""

from __future__ import annotations

import os
import signal
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import pytest

TASKS = 2000
KILLS = 4


def _kill_everything(work: Any) -> None:
    work.kill_all()


def _kill_supervisor(work: Any) -> None:
    work.process.kill()
    work.wait()


@pytest.mark.parametrize("kill", [_kill_everything, _kill_supervisor])
def test_killing_the_worker_under_load_loses_nothing(floor: Any, shopfloor: Any, kill: Callable[[Any], None]) -> None:
    path = str(floor.journal_path)
    tasks = []
    for _ in range(KILLS):
        tasks += _enqueue(shopfloor, path, TASKS)  # more than can end before the kill: what has ended stays so
        work = floor.start("--concurrency", "2")
        before = len(floor.journal)
        floor.until(lambda before=before: len(floor.journal) > before + 50)
        kill(work)
    floor.start("--concurrency", "2")
    floor.until(lambda: floor.queue.count(state="incomplete") == 2)  # the housekeeping's
    _judge(floor, tasks)
    lost = {
        (run.id, run.run)
        for run in floor.queue.find(state="archived", method_name="write_line")
        if run.state == "reset"
    }
    again = lost & {(id, int(run)) for id, run, *_ in floor.journal}
    assert len(again) <= 2 * KILLS, "more ran again than was in progress"
    assert len({path.name for path in (floor.folder / "headbox.db.ends").iterdir()}) <= 3, (
        "journals of the dead are left"
    )


def test_killing_children_and_forkservers_under_load_loses_nothing(floor: Any, shopfloor: Any) -> None:
    path = str(floor.journal_path)
    tasks = _enqueue(shopfloor, path, TASKS)
    work = floor.start("--concurrency", "2")
    for kill in range(8):
        tasks += _enqueue(shopfloor, path, 300)
        before = len(floor.journal)
        floor.until(lambda before=before: len(floor.journal) > before + 50)
        children = [pid for pid in work.pids() if pid not in (work.pid, work.forkserver)]
        os.kill(work.forkserver if kill % 4 == 3 or not children else children[kill % len(children)], signal.SIGKILL)
    floor.until(lambda: floor.queue.count(state="incomplete") == 2)
    _judge(floor, tasks)
    assert floor.queue.store.workers()[0].pid == work.pid


def test_draining_and_starting_under_load_runs_everything_once(floor: Any, shopfloor: Any) -> None:
    path = str(floor.journal_path)
    tasks = _enqueue(shopfloor, path, TASKS)
    for _ in range(3):
        work = floor.start("--concurrency", "2")
        before = len(floor.journal)
        floor.until(lambda before=before: len(floor.journal) > before + 50)
        assert work.stop() == 0
    floor.start("--concurrency", "2")
    floor.until(lambda: floor.queue.count(state="incomplete") == 2)
    _judge(floor, tasks)
    assert {run.state for run in floor.queue.find(state="archived")} == {"finished"}


def test_two_workers_on_one_database_share_it_and_one_that_dies_is_rescued_by_the_other(
    floor: Any, shopfloor: Any
) -> None:
    path = str(floor.journal_path)
    first, second = floor.start("--concurrency", "1"), floor.start("--concurrency", "1")
    tasks = _enqueue(shopfloor, path, TASKS)
    floor.until(lambda: {task.worker for task in floor.queue.find(state="running")} >= {first.row.id, second.row.id})
    stuck = shopfloor.sleep.options(priority=9).enqueue()
    victim = first if _parents(floor.running(stuck)) & {first.pid} else second
    victim.kill_all()
    floor.until(lambda: stuck.refresh().run == 2 and stuck.state == "running" and stuck.progress)
    stuck.cancel()
    floor.until(lambda: floor.queue.count(state="incomplete") == 2)
    assert stuck.history()[-1].state == "reset"
    _judge(floor, tasks)


def _parents(pid: int) -> set[int]:
    found = set()
    while pid > 1:
        with open(f"/proc/{pid}/stat") as stat:
            pid = int(stat.read().rpartition(")")[2].split()[1])
        found.add(pid)
    return found


def _enqueue(shopfloor: Any, path: str, count: int) -> list[Any]:
    """Short tasks, most of them synchronous."""
    calls = [shopfloor.write_line.call(path) for _ in range(count)]
    calls[::20] = [shopfloor.last_async.call(0, path) for _ in calls[::20]]
    return list(shopfloor.queue.enqueue_many(calls))


def _judge(floor: Any, tasks: list[Any]) -> None:
    runs = defaultdict(dict)
    for run in floor.queue.find(state="archived"):
        assert run.run not in runs[run.id], "archived twice"
        runs[run.id][run.run] = run.state
    assert floor.queue.count(state="running") == 0 and floor.queue.store.snapshots() == []
    for task in tasks:
        ends = runs[task.id]
        assert sorted(ends) == list(range(1, len(ends) + 1))
        assert [ends[run] for run in sorted(ends)] == ["reset"] * (len(ends) - 1) + ["finished"]
    started = Counter((id, int(run)) for id, run, *what in floor.journal if what != ["end"])
    assert set(started.values()) == {1}, "a run ran twice"
    ended = {(id, int(run)) for id, run, *what in floor.journal if what != ["start"]}
    unrun = {(task.id, len(runs[task.id])) for task in tasks} - ended
    assert not unrun, f"finished runs did not run: {[floor.queue.history(id)[0] for id, _ in unrun]}"
