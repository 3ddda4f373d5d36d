"""A schedule that began in the past: what was missed is skipped, and how much is logged."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from headbox import IntervalScheduler, TaskQueue
from headbox.testing import FakeClock


def hourly(clock: FakeClock, ago: timedelta) -> IntervalScheduler:
    return IntervalScheduler(timedelta(hours=1), start_time=clock.time - ago)


@pytest.mark.parametrize("how", ["enqueue", "reschedule"])
def test_the_number_of_missed_occurrences_is_logged(how: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    clock = FakeClock()
    queue = TaskQueue(f"sqlite:///{tmp_path}/headbox.db", clock=clock)
    scheduler = hourly(clock, timedelta(hours=2, minutes=30))
    if how == "enqueue":
        task = queue.enqueue(timedelta, scheduler=scheduler)
    else:
        task = queue.reschedule(queue.enqueue(timedelta, delay=60).id, scheduler)
    assert task.scheduled_time == clock.time + timedelta(minutes=30)
    assert "3 occurrences" in caplog.text
    queue.close()


def test_nothing_is_said_of_a_schedule_that_begins_now_or_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    clock = FakeClock()
    queue = TaskQueue(f"sqlite:///{tmp_path}/headbox.db", clock=clock)
    queue.enqueue(timedelta, scheduler=hourly(clock, timedelta()))
    queue.schedule("a grid", timedelta, schedule=hourly(clock, timedelta(days=365)))
    assert "missed" not in caplog.text
    queue.close()
