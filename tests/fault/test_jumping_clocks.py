"""Clocks jump under load: the wall clock of a machine, and the clock of the database that many machines share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headbox.storage.store import open_store
from tests.fault.chaos import workload
from tests.fault.chaos.engine import Plan, run, tidy
from tests.fault.chaos.evidence import skips_in
from tests.fault.chaos.house import Process, until
from tests.fault.chaos.journal import Journal
from tests.fault.chaos.wall_clock import WallClock

HOUR = 3600.0


@pytest.mark.parametrize(("database", "seed"), [("sqlite", 6), ("postgres", 7)])
def test_nothing_is_lost_or_doubled_and_no_occurrence_skipped_untold_while_clocks_jump(
    database: str, seed: int
) -> None:
    outcome = run(Plan(database=database, seconds=4, tasks=400, seed=seed, only=("clock",)))
    try:
        assert outcome.verdict.violations == []
        assert outcome.verdict.figures["tasks accepted"] >= 400
        assert outcome.periods
    finally:
        tidy(outcome)


class Machine:
    """One worker with one child on an SQLite file, on a machine whose clock can be set."""

    def __init__(self, folder: Path) -> None:
        self.clock = WallClock(folder / "clock")
        self.journal = Journal(folder / "journal")
        self.store = open_store(f"sqlite:///{folder}/headbox.db")
        self.store.initialise(self.clock.now())
        environment = {"HEADBOX_DATABASE": self.store.url, "CHAOS_JOURNAL": str(self.journal.path)}
        command = ["work", "--app", "tests.fault.chaos.workload:queue", "--concurrency", "1"]
        self.work = Process("work", command, folder, environment | self.clock.environment)
        until(self.store.workers, "the worker to come up")

    def begun(self) -> list[str]:
        """The tokens of what has begun, in that order."""
        return [line.token for line in self.journal.lines() if line.what == "start"]

    def processor_seconds(self) -> float:
        """What the worker's supervisor has used so far."""
        fields = Path(f"/proc/{self.work.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def close(self) -> None:
        self.work.close()
        self.store.close()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    with workload.queue.using(machine.store, machine.clock):
        yield machine
    machine.close()


def test_what_waits_when_the_clock_is_set_back_by_an_hour_runs_all_the_same(machine: Machine) -> None:
    (worker,) = machine.store.workers()
    long = workload.queue.enqueue(workload.nap, ["long", 1500])
    until(lambda: machine.begun() == ["long"], "the long one to begin")
    waiting = workload.queue.enqueue_many(workload.nothing.call(f"waiting-{number}") for number in range(20))
    machine.clock.set(-HOUR)
    later = workload.queue.enqueue(workload.nothing, ["later"])
    tasks = [long, *waiting, later]
    until(lambda: all(task.refresh().state == "finished" for task in tasks), "all to run", 30)
    assert all(task.run == 1 for task in tasks)
    assert [found.id for found in machine.store.workers()] == [worker.id]
    assert "20 tasks were accepted later than it is: the clock was set back" in machine.work.log


def test_no_timeout_is_cut_short_and_no_lateness_invented_when_the_clock_is_set_forward_by_an_hour(
    machine: Machine,
) -> None:
    long = workload.queue.enqueue(workload.nap, ["long", 1500], timeout=60)
    tick = workload.queue.schedule("tick", workload.tick, ["tick"], schedule="PT1S")
    until(lambda: len(tick.history()) >= 1 and "long" in machine.begun(), "both to begin")
    machine.clock.set(HOUR)
    until(lambda: long.refresh().state == "finished", "the long one to end", 30)
    before = len(tick.history())
    until(lambda: len(tick.history()) >= before + 2, "the schedule to go on", 30)
    times = [run.record.scheduled_time for run in reversed(tick.history())]
    missed = (times[-1] - times[0]) // 1_000_000 - (len(times) - 1)
    assert sorted(set(times)) == times
    assert missed >= HOUR - 10
    until(lambda: skips_in([machine.work.log])[tick.id] >= missed, "the log to tell of what is skipped")


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_an_idle_worker_stays_idle_when_the_clock_jumps(machine: Machine, jump: float) -> None:
    workload.queue.enqueue(workload.nothing, ["first"]).wait(30)
    workload.queue.enqueue(workload.nothing, ["in two hours"], delay=2 * HOUR)
    used = machine.processor_seconds()
    machine.clock.set(jump)
    workload.queue.enqueue(workload.nap, ["second", 700]).wait(30)
    workload.queue.enqueue(workload.nap, ["third", 700]).wait(30)
    assert machine.processor_seconds() - used < 0.4  # of 1.4 seconds and more: a busy loop would use all of them
    assert machine.begun() == ["first", "second", "third"]
