"""A timeout and a cancel end anything, in time, and leave the neighbours alone. The one place where a test holds a
time: the cancel grace and a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import pytest

from headbox import StateConflict, Task, TaskCanceled, TaskTimedOut
from tests.acceptance.worker.conftest import wait_for_end

GRACE = 1  # seconds
STUCK = [
    "sleep", "loop", "read_socket", "match_regex", "swallow_everything", "hold_the_interpreter", "sleep_async",
    "block_the_loop",
]  # fmt: skip
AT_ONCE = ["sleep", "loop", "read_socket", "match_regex"]


class Ended(NamedTuple):
    """Tasks that were stuck, by name, how long each went on after it should have ended, and their neighbours."""

    tasks: dict[str, Task]
    seconds: dict[str, float]
    neighbours: list[Task]


@pytest.fixture(scope="module")
def floor(make_floor: Callable[[], Any], shopfloor: Any) -> Iterator[Any]:
    """A worker that has room for all of them at once."""
    floor = make_floor()
    floor.start("--concurrency", "8", cancel_grace=GRACE)
    with shopfloor.queue.using(floor.queue.store):
        yield floor
    floor.close()


@pytest.fixture(scope="module")
def timed_out(floor: Any, shopfloor: Any) -> Ended:
    neighbours = [shopfloor.last.enqueue(2.5, str(floor.journal_path)) for _ in range(2)]
    tasks = {name: getattr(shopfloor, name).options(timeout=0.5).enqueue() for name in STUCK}
    floor.ended(*tasks.values(), *neighbours)
    seconds = {name: _seconds(task.finish_time - task.start_time) - 0.5 for name, task in tasks.items()}
    return Ended(tasks, seconds, neighbours)


@pytest.fixture(scope="module")
def canceled(floor: Any, shopfloor: Any) -> Ended:
    neighbours = [shopfloor.last.enqueue(2.5, str(floor.journal_path)) for _ in range(2)]
    tasks = {name: getattr(shopfloor, name).enqueue() for name in STUCK}
    for task in tasks.values():
        floor.running(task)
    asked = floor.queue.clock.now()
    for task in tasks.values():
        task.cancel()
    floor.ended(*tasks.values(), *neighbours)
    seconds = {name: (task.record.finish_time - asked) / 1e6 for name, task in tasks.items()}
    return Ended(tasks, seconds, neighbours)


def _seconds(span: Any) -> float:
    return float(span.total_seconds())


@pytest.mark.parametrize("name", STUCK)
def test_a_timeout_ends_anything(timed_out: Ended, name: str) -> None:
    task = timed_out.tasks[name]
    assert task.state == "timed_out"
    assert task.exception == "the run lasted longer than its timeout of PT0.5S"
    assert 0 <= timed_out.seconds[name] < GRACE + 1
    assert [run.state for run in task.history()] == ["timed_out"]
    with pytest.raises(TaskTimedOut):
        task.wait(0)


@pytest.mark.parametrize("name", STUCK)
def test_a_cancel_ends_anything(canceled: Ended, name: str) -> None:
    task = canceled.tasks[name]
    assert task.state == "canceled" and task.cancel_attempts == 1
    assert canceled.seconds[name] < GRACE + 1
    assert [run.state for run in task.history()] == ["canceled"]
    with pytest.raises(TaskCanceled):
        task.wait(0)


@pytest.mark.parametrize("name", AT_ONCE)
def test_what_lets_itself_be_interrupted_is_so_at_once(canceled: Ended, timed_out: Ended, name: str) -> None:
    assert canceled.seconds[name] < GRACE
    assert timed_out.seconds[name] < GRACE


def test_the_traceback_of_a_timeout_shows_where_the_task_was(timed_out: Ended) -> None:
    assert "time.sleep(seconds)" in timed_out.tasks["sleep"].traceback


@pytest.mark.parametrize("ended", ["timed_out", "canceled"])
def test_neighbours_are_not_disturbed(request: pytest.FixtureRequest, floor: Any, ended: str) -> None:
    for neighbour in request.getfixturevalue(ended).neighbours:
        assert [(run.state, run.run) for run in neighbour.history()] == [("finished", 1)]
        assert [line[1] for line in floor.lines_of(neighbour)] == ["start", "end"]


@pytest.mark.parametrize("way", ["timeout", "cancel"])
def test_an_async_task_is_interrupted_at_once_and_shows_where_it_was(floor: Any, shopfloor: Any, way: str) -> None:
    task = shopfloor.sleep_async.options(timeout=0.2 if way == "timeout" else None).enqueue()
    neighbour = shopfloor.last_async.enqueue(0.5, str(floor.journal_path))
    floor.running(neighbour)
    if way == "cancel":
        floor.running(task)
        task.cancel()
    floor.ended(task, neighbour)
    assert _seconds(task.finish_time - task.start_time) < GRACE
    if way == "timeout":
        assert "await asyncio.sleep(seconds)" in task.traceback
    assert [(run.state, run.run) for run in neighbour.history()] == [("finished", 1)]


def test_a_neighbour_on_a_blocked_event_loop_runs_again_and_is_not_blamed(floor: Any, shopfloor: Any) -> None:
    neighbour, blocker = shopfloor.last_async.enqueue(0.1, str(floor.journal_path)), shopfloor.block_the_loop.enqueue()
    floor.running(blocker)
    blocker.cancel()
    floor.ended(blocker, neighbour)
    if neighbour.run == 1:  # it came to run on another turn of the loop, or ended before
        assert [line[1] for line in floor.lines_of(neighbour)] == ["start", "end"]
    else:
        lost = neighbour.history()[1]
        assert lost.state == "reset" and "a neighbour on its event loop could not be interrupted" in lost.exception
        assert lost.record.losses == 0


def test_a_task_may_clean_up_when_it_is_canceled(floor: Any, shopfloor: Any) -> None:
    task = shopfloor.clean_up_when_interrupted.enqueue(str(floor.journal_path))
    floor.running(task)
    task.cancel()
    floor.ended(task)
    assert task.state == "canceled"
    assert floor.lines_of(task) == [["1", "cleaned", "up"]]


def test_a_canceled_run_that_waits_behind_another_never_starts(floor: Any, shopfloor: Any) -> None:
    """It was measured to be quick, so it travels ahead; then one before it is not."""
    path = str(floor.journal_path)
    floor.ended(*shopfloor.queue.enqueue_many(shopfloor.wait_a_bit.call(0, path) for _ in range(200)))
    calls = [shopfloor.wait_a_bit.call(1000, path), shopfloor.wait_a_bit.call(0, path)] * 8
    tasks = shopfloor.queue.enqueue_many(calls)
    for task in tasks:
        with suppress(StateConflict):  # a quick one may have ended
            task.cancel()
    floor.ended(*tasks)
    for task in tasks:
        lines = floor.lines_of(task)
        assert len(lines) <= 1
        assert task.state == "canceled" or (task.state == "finished" and lines)


def test_subprocesses_of_a_killed_task_are_killed_with_it(floor: Any, shopfloor: Any) -> None:
    work = floor.works[0]
    task = shopfloor.start_subprocess_and_swallow.enqueue()
    floor.running(task)
    (pid,) = [pid for pid in work.pids() if b"sleep\x001000" in _command(pid)]
    asked = floor.queue.clock.now()
    task.cancel()
    floor.ended(task)
    assert task.state == "canceled" and (task.record.finish_time - asked) / 1e6 < GRACE + 1
    wait_for_end(pid)


def _command(pid: int) -> bytes:
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read()
