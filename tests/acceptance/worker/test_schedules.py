"""Each kind of schedule on a real worker, what is declared, and the housekeeping."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from headbox import AtScheduler, CronScheduler, IntervalScheduler
from headbox.storage.records import Event

HOUR = 3_600_000_000  # microseconds


def _change(floor: Any, task: Any, **values: int) -> None:
    """Lets time pass for a task: its times are set back."""
    with closing(sqlite3.connect(floor.folder / "headbox.db", timeout=30, isolation_level=None)) as connection:
        changes = ", ".join(f"{name} = ?" for name in values)
        connection.execute(f"UPDATE headbox_tasks SET {changes} WHERE id = ?", [*values.values(), task.id])


def _next_run(floor: Any, task: Any) -> None:
    """Makes its next occurrence due, and waits until that has ended."""
    run = task.refresh().run
    _change(floor, task, due_time=0)
    floor.until(lambda: any(archived.run == run for archived in task.history()))


def test_an_interval_counts_from_the_scheduled_time_and_ends_after_its_runs(shared: Any, shopfloor: Any) -> None:
    task = shopfloor.nothing.options(schedule="R3/PT1S").enqueue()
    shared.until(lambda: len(task.history()) == 3)
    runs = task.history()[::-1]
    times = [run.scheduled_time for run in runs]
    assert [time - times[0] for time in times] == [timedelta(seconds=number) for number in range(3)]
    assert all(timedelta(0) <= run.start_time - run.scheduled_time < timedelta(seconds=1) for run in runs)
    assert [run.record.final for run in runs] == [False, False, True]
    assert task.refresh().state == "finished"


def test_missed_occurrences_are_skipped_and_their_number_is_logged(shared: Any, shopfloor: Any) -> None:
    task = shopfloor.nothing.options(schedule="R5/2020-01-01T00:30:00Z/PT1H").enqueue()
    scheduled = task.record.scheduled_time
    _change(shared, task, scheduled_time=scheduled - 10 * HOUR, due_time=0)
    shared.until(lambda: task.refresh().run == 2)
    assert task.record.scheduled_time == scheduled
    assert task.runs_left == 4
    shared.until(lambda: f"task {task.id}: 9 occurrences were missed and are skipped" in shared.works[0].log)
    task.remove()


def test_an_at_task_starts_at_its_time(shared: Any, shopfloor: Any) -> None:
    time = shopfloor.nothing.options(delay=0.3).enqueue().scheduled_time
    task = shopfloor.nothing.options(scheduler=AtScheduler(time)).enqueue()
    shared.ended(task)
    assert task.scheduled_time == time
    assert timedelta(0) <= task.start_time - time < timedelta(seconds=1)


def test_an_at_task_in_the_past_starts_now(shared: Any, shopfloor: Any) -> None:
    past = shopfloor.nothing.enqueue().enqueue_time - timedelta(days=1)
    task = shopfloor.nothing.options(scheduler=AtScheduler(past)).enqueue()
    shared.ended(task)
    assert task.state == "finished"


def test_a_cron_task_runs_at_its_minute_and_waits_for_the_next(shared: Any, shopfloor: Any) -> None:
    task = shopfloor.nothing.options(scheduler=CronScheduler("*/5 * * * *", timezone="Asia/Kathmandu")).enqueue()
    first = task.scheduled_time
    assert (first.second, first.microsecond, first.minute % 5) == (0, 0, 0)
    _next_run(shared, task)
    task.refresh()
    assert (task.state, task.scheduled_time) == ("waiting", first + timedelta(minutes=5))
    task.remove()


def test_a_schedule_that_reaches_its_failure_threshold_ends_in_error_and_can_be_reset(
    shared: Any, shopfloor: Any
) -> None:
    task = shopfloor.fail.options(schedule="PT1H", failure_threshold=2).enqueue()
    shared.until(lambda: task.refresh().run == 2)
    assert (task.state, task.consecutive_failures) == ("waiting", 1)
    _next_run(shared, task)
    assert (task.refresh().state, task.consecutive_failures) == ("error", 2)
    task.reset()
    shared.until(lambda: task.refresh().run == 4)
    assert (task.state, task.consecutive_failures) == ("waiting", 1)
    task.remove()


def test_a_late_start_is_logged(shared: Any, shopfloor: Any) -> None:
    late, in_time = (
        shopfloor.nothing.options(delay=HOUR // 1_000_000, schedule_threshold=threshold).enqueue()
        for threshold in (1800, 7200)
    )
    hour_ago = shared.queue.clock.now() - HOUR
    for task in (in_time, late):
        _change(shared, task, enqueue_time=hour_ago, scheduled_time=hour_ago, due_time=hour_ago)
        shared.ended(task)
    shared.until(lambda: f"task {late.id} (nothing) started PT1H" in shared.works[0].log)
    assert in_time.id not in shared.works[0].log


def test_a_rescheduled_task_follows_its_new_schedule(shared: Any, shopfloor: Any) -> None:
    task = shopfloor.nothing.options(schedule="2090-01-01T00:00:00Z/P1D").enqueue()
    task.reschedule(IntervalScheduler(timedelta(hours=1), runs=1))
    shared.ended(task)
    assert (task.state, task.run) == ("finished", 1)


# declared schedules

DECLARING = """
from headbox import TaskQueue
queue = TaskQueue()
@queue.task(schedule="2090-01-01T00:00:00Z/{interval}")
def nightly(): ...
"""


def test_exactly_one_task_is_declared_however_many_workers_do_and_it_changes_and_ends_with_them(
    floor: Any, tmp_path: Path
) -> None:
    def declared() -> list[Any]:
        return [task for task in floor.queue.find() if task.schedule_name == "declaring:queue:declaring:nightly"]

    module = tmp_path / "declaring.py"
    module.write_text(DECLARING.format(interval="P1D"))
    start = {"folder": tmp_path, "app": "declaring:queue"}
    first, second = floor.start("--concurrency", "1", **start), floor.start("--concurrency", "1", **start)
    (task,) = declared()
    assert task.schedule == "2090-01-01T00:00:00Z/P1D" and task.record.declared_by == "declaring:queue"

    # Longer than before: of a file of the same size and second Python would take the bytecode that it has kept.
    module.write_text(DECLARING.format(interval="P10D"))
    third = floor.start("--concurrency", "1", **start)
    (changed,) = declared()
    assert (changed.id, changed.schedule) == (task.id, "2090-01-01T00:00:00Z/P10D")

    module.write_text("from headbox import TaskQueue\nqueue = TaskQueue()\n")
    floor.start("--concurrency", "1", **start)
    assert [found.id for found in declared()] == [task.id]
    for work in (first, second, third):
        work.stop()
    floor.until(lambda: task.refresh().state == "canceled")


# the housekeeping


@pytest.mark.parametrize("app", ["shopfloor:queue", None])
def test_the_housekeeping_runs_on_any_worker_and_culls(floor: Any, shopfloor: Any, app: str | None) -> None:
    store, now = floor.queue.store, floor.queue.clock.now()
    old, recent = shopfloor.nothing.enqueue(), shopfloor.nothing.enqueue()
    for task in (old, recent):
        task.cancel()
    with closing(sqlite3.connect(floor.folder / "headbox.db", isolation_level=None)) as connection:
        connection.execute("UPDATE headbox_task_history SET finish_time = 0 WHERE id = ?", [old.id])
    for time in (0, now):
        store.record(Event(time=time, user=None, address=None, method="POST", path="/tasks/", status=202))
    housekeeping = [task for task in floor.queue.find() if task.queue == "headbox"]
    assert {task.method_name for task in housekeeping} == {"cull_history", "cull_audited_events"}
    for task in housekeeping:
        _change(floor, task, due_time=0)
    floor.start("--queues", "another", app=app)
    for task in housekeeping:
        floor.until(lambda task=task: [run.state for run in task.history()] == ["finished"])
        assert (task.refresh().state, task.run) == ("waiting", 2)
    assert {task.id for task in floor.queue.find(state="archived")} == {recent.id, *(task.id for task in housekeeping)}
    assert [event.time for event in store.events(10)] == [now]
