"""A child that dies costs its run in progress alone; nothing outlives its parent."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from headbox.worker.nursery import Gone, Nursery
from headbox.worker.protocol import Ended

PATIENCE = 20  # seconds


@pytest.mark.parametrize(
    ("name", "args", "status"),
    [("exit_process", [3], 3), ("kill_process", [], -signal.SIGKILL), ("crash_process", [], -signal.SIGSEGV)],
)
def test_a_run_that_kills_its_child_is_named_by_the_slot(
    family: Any, work: Any, name: str, args: list[int], status: int
) -> None:
    child = family.child()
    seqs = child.hand([work.nothing(), getattr(work, name)(*args), work.nothing()])
    assert family.exited(child).status == status
    assert [message.seq for message in family.heard[child.number] if isinstance(message, Ended)] == [seqs[0]]
    assert child.slot.in_progress().seq == seqs[1]
    assert child.take_back() == seqs[1]


def test_a_child_dies_with_the_subprocesses_of_its_tasks(family: Any, work: Any, tmp_path: Path) -> None:
    child = family.child()
    child.hand([work.start_subprocess(str(tmp_path / "pid"), "exit")])
    family.exited(child)
    _wait_for_end(int((tmp_path / "pid").read_text()))


def test_kill_reaches_the_subprocesses_of_tasks(family: Any, work: Any, tmp_path: Path) -> None:
    child = family.child()
    child.hand([work.start_subprocess(str(tmp_path / "pid"), "sleep")])
    pid = int(family.until(lambda: _read(tmp_path / "pid")))
    family.nursery.kill(child.number)
    assert family.exited(child).status == -signal.SIGKILL
    _wait_for_end(pid)


def test_a_child_that_is_killed_before_it_is_there_dies_as_well(family: Any) -> None:
    child = family.newborn()
    family.nursery.kill(child.number)
    assert family.exited(child).status == -signal.SIGKILL


def test_the_forkserver_killed_takes_all_with_it_and_another_can_be_started(
    family: Any, work: Any, tmp_path: Path
) -> None:
    children = [family.child(), family.child(), family.child("async")]
    children[0].hand([work.start_subprocess(str(tmp_path / "pid"), "sleep")])
    (seq,) = children[1].hand([work.sleep()])
    pid = int(family.until(lambda: _read(tmp_path / "pid")))
    family.in_progress(children[1], seq)
    os.kill(family.nursery.pid, signal.SIGKILL)
    assert family.hear(None, Gone) == Gone(-signal.SIGKILL)
    for process in (pid, *(child.pid for child in children)):
        _wait_for_end(process)
    family.until(lambda: all(child.closed for child in children))
    assert children[1].slot.in_progress().seq == seq

    family.start()
    child = family.child()
    child.hand([work.add(1, 1)])
    assert family.ended(child).ending.result == b"2"


@pytest.mark.parametrize("preload", ["fork", "spawn"])
def test_the_supervisor_killed_takes_all_with_it(tmp_path: Path, preload: str) -> None:
    script = Path(__file__).with_name("supervise.py")
    supervisor = subprocess.Popen(
        [sys.executable, str(script), preload, str(tmp_path / "pid")], cwd=script.parent, stdout=subprocess.PIPE
    )
    with supervisor:
        assert supervisor.stdout is not None
        descriptors = [os.pidfd_open(int(pid)) for pid in supervisor.stdout.readline().split()]
        supervisor.kill()
    assert len(descriptors) == 4  # forkserver, two children, a subprocess of a task
    for descriptor in descriptors:
        _wait_for(descriptor)


def test_the_supervisor_killed_takes_an_import_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shop.py").write_text(
        "import os, time\nopen('new', 'w').write(str(os.getpid()))\nos.rename('new', 'pid')\ntime.sleep(1000)\n"
    )
    monkeypatch.chdir(tmp_path)
    supervisor = os.fork()
    if supervisor == 0:
        Nursery("shop:queue").start()
        signal.pause()
    while not (tmp_path / "pid").exists():
        os.sched_yield()
    descriptor = os.pidfd_open(int((tmp_path / "pid").read_text()))
    os.kill(supervisor, signal.SIGKILL)
    os.waitpid(supervisor, 0)
    _wait_for(descriptor)


def test_stopping_the_nursery_leaves_nobody(family: Any, work: Any, tmp_path: Path) -> None:
    child = family.child()
    child.hand([work.start_subprocess(str(tmp_path / "pid"), "sleep")])
    pid = int(family.until(lambda: _read(tmp_path / "pid")))
    descriptors = [os.pidfd_open(process) for process in (pid, child.pid, family.nursery.pid)]
    family.nursery.stop()
    for descriptor in descriptors:
        _wait_for(descriptor)


def test_children_come_and_go_without_a_trace(family: Any, work: Any) -> None:
    family.child()
    before = _open_descriptors(os.getpid()), _open_descriptors(family.nursery.pid)
    for _ in range(20):
        child = family.child()
        child.hand([work.nothing()])
        child.stop()
        family.exited(child)
        family.forget(child)
    assert (_open_descriptors(os.getpid()), _open_descriptors(family.nursery.pid)) == before


def test_a_child_has_no_descriptors_of_the_forkserver_or_of_other_children(family: Any, work: Any) -> None:
    children = [family.newborn() for _ in range(3)]
    family.until(lambda: all(child.ready for child in children))
    for child in children:
        child.hand([work.describe_process()])
        _check_descriptors(json.loads(family.ended(child).ending.result)["descriptors"])


def _check_descriptors(descriptors: list[str]) -> None:
    assert sum(target.startswith("pipe:") for target in descriptors) == 2 + len(_own_pipes())
    assert not any(target.startswith("socket:") for target in descriptors)
    assert sum("headbox-slot" in target for target in descriptors) == 2  # one is the mapping's own
    assert not any("eventpoll" in target for target in descriptors)


def _own_pipes() -> list[str]:
    """The pipes among what is handed down to every process: the standard streams."""
    return [target for name in "012" if (target := os.readlink(f"/proc/self/fd/{name}")).startswith("pipe:")]


def _read(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


def _open_descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def _wait_for_end(pid: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    _wait_for(descriptor)


def _wait_for(descriptor: int) -> None:
    readable, _, _ = select.select([descriptor], [], [], PATIENCE)
    os.close(descriptor)
    assert readable, "the process still lives"
