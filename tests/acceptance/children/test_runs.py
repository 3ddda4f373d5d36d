"""What children do with the runs that they are given."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

from headbox.domain.task import Work
from headbox.worker.protocol import ChildFailed, Ended, Progressed, Reason, Unknown


def test_a_chunk_runs_in_order_and_each_end_is_reported(family: Any, work: Any) -> None:
    child = family.child()
    before = time.monotonic_ns()
    seqs = child.hand([work.add(number, 1) for number in range(5)])
    ends = [family.ended(child) for _ in seqs]
    assert [end.seq for end in ends] == [*seqs]
    assert [json.loads(end.ending.result) for end in ends] == [1, 2, 3, 4, 5]
    times = [time for end in ends for time in (end.started_at, end.ended_at)]
    assert times == sorted(times) and before <= times[0] and times[-1] <= time.monotonic_ns()
    assert not any(end.interrupted for end in ends)


def test_a_failure_is_an_ending_and_the_next_run_goes_on(family: Any, work: Any) -> None:
    child = family.child()
    child.hand([work.fail(), work.add(1, 1)])
    assert family.ended(child).ending.exception == "no such feed"
    assert family.ended(child).ending.event == "succeed"


def test_a_callable_that_the_application_lacks_is_reported_as_unknown(family: Any, work: Any) -> None:
    child = family.child()
    first, second = child.hand([work.no_such_task(), work.nothing()])
    assert family.hear(child, Unknown) == Unknown(first)
    assert family.ended(child).seq == second
    assert family.until(lambda: child.slot.in_progress() is None)


def test_a_task_runs_in_the_main_thread_of_a_process_that_leads_its_group(family: Any, work: Any) -> None:
    child = family.child()
    child.hand([work.describe_process()])
    process = json.loads(family.ended(child).ending.result)
    assert process["main_thread"]
    assert process["pid"] == process["group"] == child.pid
    assert process["parent"] == family.nursery.pid
    assert process["started_with"] == [child.pid]


def test_progress_arrives_from_the_task_and_from_its_threads(family: Any, work: Any) -> None:
    child = family.child()
    first, second = child.hand([work.count_to(1000), work.report_from_a_thread()])
    family.until(lambda: sum(isinstance(message, Ended) for message in family.heard[child.number]) == 2)
    progress = [message for message in family.heard[child.number] if isinstance(message, Progressed)]
    assert progress[0] == Progressed(first, '{"done":1}')
    assert Progressed(first, '{"done":1000}') in progress
    assert progress[-1] == Progressed(second, '{"from":"a thread"}')


def test_a_large_chunk_and_a_large_result_pass_through(family: Any, work: Any) -> None:
    child = family.child()
    text = "x" * 400_000
    child.hand([work.add(text, text) for _ in range(6)])
    ends = [family.ended(child) for _ in range(6)]
    assert [len(end.ending.result) for end in ends] == [800_002] * 6


def test_a_process_that_falls_out_of_a_task_as_a_fork_reports_nothing(family: Any, work: Any) -> None:
    child = family.child()
    child.hand([work.fork_and_fall_out(), work.nothing()])
    assert json.loads(family.ended(child).ending.result) != 0
    family.ended(child)
    child.stop()
    family.exited(child)
    assert not any(isinstance(message, Ended) for message in family.heard[child.number])


def test_stop_lets_the_given_runs_end(family: Any, work: Any) -> None:
    child = family.child()
    child.hand([work.nothing()] * 3)
    child.stop()
    assert family.exited(child).status == 0
    assert sum(isinstance(message, Ended) for message in family.heard[child.number]) == 3


def test_a_run_that_was_taken_back_never_runs_and_every_other_does(family: Any, work: Any) -> None:
    child = family.child()
    heard = family.heard[child.number]
    heard.clear()
    kept: list[int] = []
    for _ in range(3000):
        seqs = child.hand([work.nothing()] * 8)
        moment = child.last_seq - random.randrange(9)
        while child.slot.last_started < moment:
            pass
        last = child.take_back()
        kept.extend(seq for seq in seqs if seq <= last)
        family.until(lambda: len(heard) >= len(kept))
    child.stop()
    family.exited(child)
    assert [message.seq for message in heard] == kept
    assert 0 < len(kept) < 3000 * 8


def test_async_tasks_run_at_the_same_time_each_as_itself(family: Any, tmp_path: Path) -> None:
    child = family.child("async")
    args = json.dumps([str(tmp_path / "meeting"), 20]).encode()
    seqs = child.hand([Work(str(number), 1, "tasks:meet", args=args) for number in range(1, 21)])
    ends = {family.ended(child).seq for _ in seqs}
    assert ends == {*seqs}
    heard = family.heard[child.number]
    assert family.started(child) == [*seqs]
    reports = [message for message in heard if isinstance(message, Progressed)]
    assert sorted(reports, key=lambda report: report.seq) == [Progressed(seq, f'"{seq}"') for seq in seqs]


def test_an_async_child_has_no_more_runs_in_progress_than_it_may(family: Any, work: Any) -> None:
    child = family.child("async")
    child.limit(2)
    first, second, third, fourth = child.hand([work.sleep_async() for _ in range(4)])
    child.interrupt(first, Reason.CANCEL)
    assert family.ended(child).seq == first
    family.until(lambda: family.started(child) == [first, second, third])
    assert child.take_back() == third
    child.interrupt(second, Reason.CANCEL)
    child.interrupt(third, Reason.CANCEL)
    child.stop()
    assert family.exited(child).status == 0
    assert fourth not in family.started(child)


def test_an_async_run_is_canceled_alone(family: Any, work: Any) -> None:
    child = family.child("async")
    first, second = child.hand([work.sleep_async(), work.sleep_async(0.05)])
    child.interrupt(first, Reason.CANCEL)
    canceled, other = family.ended(child), family.ended(child)
    assert canceled.seq == first and canceled.interrupted and canceled.ending.event == "interrupted"
    assert "canceled" in canceled.ending.exception and "in sleep_async" in canceled.ending.traceback
    assert other.seq == second and not other.interrupted and other.ending.event == "succeed"


def test_an_async_child_lets_its_runs_end_before_it_stops(family: Any, work: Any) -> None:
    child = family.child("async")
    child.hand([work.add_async(1, 2), work.sleep_async(0.05), work.no_such_task()])
    child.stop()
    assert family.exited(child).status == 0
    heard = family.heard[child.number]
    assert {message.seq for message in heard if isinstance(message, Ended)} == {1, 2}
    assert Unknown(3) in heard


def test_signals_for_the_supervisor_do_nothing_to_children_and_forkserver(family: Any, work: Any) -> None:
    children = [family.child(), family.child("async")]
    for pid in (family.nursery.pid, *(child.pid for child in children)):
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(pid, number)
    for child, task in zip(children, [work.add(1, 1), work.add_async(1, 1)], strict=True):
        child.hand([task])
        assert family.ended(child).ending.result == b"2"
    assert family.child().ready


def test_a_hook_that_fails_fails_the_child_with_a_sentence(make_family: Any, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        "from headbox import TaskQueue\nqueue = TaskQueue()\n"
        "@queue.on_child_start\ndef connect():\n    raise OSError('no route')\n"
    )
    family = make_family("shop:queue", folder=tmp_path)
    family.start()
    child = family.newborn()
    message = family.hear(child, ChildFailed).message
    assert "connect" in message and "no route" in message and "\n" not in message
    assert family.exited(child).status == 1
