"""Tasks that treat their process badly: they harm their own run, and nobody else's."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest


def test_large_arguments_and_results_pass_through_in_large_numbers(shared: Any, shopfloor: Any) -> None:
    texts = [f"{number}" * 900_000 for number in range(8)]
    tasks = shopfloor.queue.enqueue_many(shopfloor.add.call(text, "!") for text in texts)
    shared.ended(*tasks)
    assert [task.result == text + "!" for task, text in zip(tasks, texts, strict=True)] == [True] * 8


@pytest.mark.parametrize("how", ["ignore", "block", "replace", "leave_group", "raise_in_handler"])
def test_a_task_that_shields_itself_from_signals_is_killed_after_the_grace(
    shared: Any, shopfloor: Any, how: str
) -> None:
    task = shopfloor.shield.enqueue(how)
    shared.running(task)
    asked = shared.queue.clock.now()
    task.cancel()
    shared.ended(task)
    assert task.state == "canceled" and (task.record.finish_time - asked) / 1e6 < 2


def test_a_stopped_child_is_killed_at_its_timeout(shared: Any, shopfloor: Any) -> None:
    task = shopfloor.sleep.options(timeout=0.3).enqueue()
    os.kill(shared.running(task), signal.SIGSTOP)
    shared.ended(task)
    assert task.state == "timed_out"


@pytest.mark.parametrize("how", ["close_descriptors", "write_garbage", "write_frame", "exit_in_a_thread"])
def test_a_task_that_cuts_its_child_off_is_lost_and_ends_in_error(shared: Any, shopfloor: Any, how: str) -> None:
    task = shopfloor.cut_off.enqueue(how)
    shared.ended(task)
    assert task.state == "error" and "lost 3 times in a row" in task.exception
    assert shopfloor.add.enqueue(1, 2).wait(30) == 3


def test_a_task_that_exits_or_recurses_without_end_fails_by_itself(shared: Any, shopfloor: Any) -> None:
    tasks = [shopfloor.misbehave.enqueue(how) for how in ("exit", "recurse", "generator_exit", "interrupt_itself")]
    shared.ended(*tasks)
    assert [(task.state, len(task.history())) for task in tasks] == [("error", 1)] * 4
    assert all(task.exception for task in tasks)


def test_a_daemon_that_a_task_leaves_behind_does_not_keep_its_child_from_being_replaced(
    shared: Any, shopfloor: Any
) -> None:
    task = shopfloor.leave_daemon.enqueue()
    daemon = shared.running(task)
    try:
        task.cancel()
        shared.ended(task)
        assert task.state == "canceled"
        assert shopfloor.add.enqueue(1, 2).wait(30) == 3
        assert Path(f"/proc/{daemon}").exists(), "it called setsid: it is exempt"
    finally:
        os.kill(daemon, signal.SIGKILL)


def test_a_task_that_writes_much_to_stdout_disturbs_nobody(shared: Any, shopfloor: Any) -> None:
    task = shopfloor.shout.enqueue(200_000)
    shared.ended(task)
    assert task.state == "finished"
    shared.until(lambda: shared.works[0].log.count("shout\n") == 200_000)
