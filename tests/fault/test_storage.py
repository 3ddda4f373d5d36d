"""The database fills up, is locked, is moved, holds what nobody has written: a sentence, and the worker goes on."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from headbox import IntervalScheduler, StorageError, StorageUnavailable, TaskQueue
from headbox.storage.sqlite import database as sqlite_database
from headbox.web import asgi_app
from headbox.web.routes import system
from tests.acceptance.worker.conftest import Floor


def _connect(floor: Any) -> closing[sqlite3.Connection]:
    """Somebody else's connection."""
    return closing(sqlite3.connect(floor.folder / "headbox.db", timeout=30, isolation_level=None))


@pytest.fixture
def small_floor(tmp_path: Path, shopfloor: Any) -> Iterator[Floor]:
    """A floor on a disk of its own, of 6 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        floor = Floor(disk, logs=tmp_path)
        with shopfloor.queue.using(floor.queue.store):
            yield floor
        floor.close()
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)  # a dying process may still hold it


def test_a_full_disk_is_one_sentence_and_outcomes_wait_until_there_is_space(
    small_floor: Any, shopfloor: Any, tmp_path: Path
) -> None:
    floor, pipe, filler = small_floor, tmp_path / "pipe", small_floor.folder / "filler"
    os.mkfifo(pipe)
    work = floor.start("--concurrency", "1")
    task = shopfloor.give_when_told.enqueue(str(pipe), 900_000)
    floor.running(task)
    _fill(filler)
    with pytest.raises(StorageError, match="the disk is full; free some space and try again"):
        shopfloor.add.enqueue(1, "x" * 1_000_000)
    pipe.write_text("go on")
    floor.until(lambda: "the disk is full" in work.log)
    assert task.refresh().state == "running"
    filler.unlink()
    assert len(task.wait(30)) == 900_000
    assert task.run == 1
    assert shopfloor.add.enqueue(1, 2).wait(30) == 3
    assert "Traceback" not in work.log
    assert floor.queue.store.check() == []


def test_what_was_committed_is_not_refused_because_the_disk_is_too_full_for_a_checkpoint(
    small_floor: Any, shopfloor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log has room that was used before; the database itself would have to grow."""
    large, filler = "x" * 900_000, small_floor.folder / "filler"
    shopfloor.add.enqueue(1, large)
    small_floor.queue.store.checkpoint()
    shopfloor.add.enqueue(2, large[:500_000])
    _fill(filler)
    monkeypatch.setattr("headbox.storage.sqlite.database.CHECKPOINT_BYTES", 0)
    with pytest.raises(StorageError, match="the disk is full"):
        small_floor.queue.store.checkpoint()
    task = shopfloor.add.enqueue(3, 4)
    assert task.refresh().state == "waiting"
    filler.unlink()
    assert small_floor.queue.store.check() == []


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_a_database_locked_by_others_is_one_sentence_and_outcomes_wait(
    floor: Any, shopfloor: Any, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    work = floor.start("--concurrency", "1")
    task = shopfloor.wait_for.enqueue(str(pipe))
    floor.running(task)
    with _connect(floor) as connection:
        connection.execute("BEGIN IMMEDIATE")
        pipe.write_text("done")
        with pytest.raises(StorageUnavailable, match="try again"):
            shopfloor.add.enqueue(1, 2)
        floor.until(lambda: "trying again" in work.log)
        connection.execute("ROLLBACK")
    assert task.wait(30) == "done"
    assert [(run.state, run.run) for run in task.history()] == [("finished", 1)]
    assert shopfloor.add.enqueue(1, 2).wait(30) == 3
    assert "Traceback" not in work.log


def test_an_api_says_soon_that_its_database_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert system.READY_SECONDS < 1 < sqlite_database.BUSY_TIMEOUT  # a probe's patience, and that of a call
    monkeypatch.setattr(sqlite_database, "BUSY_TIMEOUT", 30.0)
    queue = TaskQueue(f"sqlite:///{tmp_path}/headbox.db")
    queue.count()
    queue.close()
    with TestClient(asgi_app(queue)) as client, closing(sqlite3.connect(tmp_path / "headbox.db")) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        answer = client.get("/health/ready")
        assert answer.status_code == 503 and "locked by others" in answer.json()["detail"]
        other.execute("ROLLBACK")
        other.close()
        assert client.get("/health/ready").status_code == 200


def test_what_ended_while_the_database_was_away_is_recorded_though_the_worker_is_killed(
    floor: Any, shopfloor: Any
) -> None:
    work = floor.start("--concurrency", "1")
    path = str(floor.journal_path)
    task = shopfloor.last.enqueue(0.3, path)
    floor.running(task)
    with _connect(floor) as other:
        other.execute("BEGIN IMMEDIATE")
        floor.until(lambda: [what[1] for what in floor.lines_of(task)] == ["start", "end"])
        work.kill_all()
        other.execute("ROLLBACK")
    second = floor.start("--concurrency", "1")
    floor.ended(task)
    assert [(run.state, run.run) for run in task.history()] == [("finished", 1)]
    assert "recorded 1 run that had ended when worker" in second.log


@pytest.mark.parametrize("fault", ["foreign", "ours"])
def test_a_commit_that_rings_no_bell_wakes_the_worker_all_the_same(floor: Any, shopfloor: Any, fault: str) -> None:
    floor.start("--concurrency", "1")
    assert shopfloor.add.enqueue(1, 2).wait(30) == 3
    with _connect(floor) as connection:
        connection.execute("BEGIN")
        task = shopfloor.queue.enqueue(shopfloor.sleep, connection=connection)
        connection.execute("COMMIT")
        floor.running(task)
        if fault == "foreign":
            connection.execute("UPDATE headbox_tasks SET cancel_asked = 1 WHERE id = ?", [task.id])
        else:
            task.cancel()
    floor.ended(task)
    assert task.state == "canceled"


WITHOUT_INOTIFY = ["unshare", "-U", "-r", "sh", "-c", 'echo 0 > /proc/sys/user/max_inotify_instances && exec "$@"', ""]


def test_where_no_inotify_is_to_be_had_the_worker_polls_and_says_so(floor: Any, shopfloor: Any) -> None:
    if subprocess.run([*WITHOUT_INOTIFY, "true"], capture_output=True).returncode:
        pytest.skip("this system allows no user namespaces")
    command = ["work", "--app", "shopfloor:queue", "--concurrency", "1"]
    work = floor.launch(command, prefix=WITHOUT_INOTIFY).started()
    assert shopfloor.add.enqueue(1, 2).wait(30) == 3
    task = shopfloor.sleep.enqueue()
    floor.running(task)
    task.cancel()
    floor.ended(task)
    assert task.state == "canceled"
    assert "inotify" in work.log and "Traceback" not in work.log


def test_a_tampered_payload_is_refused_and_its_task_ends_in_error(shared: Any, shopfloor: Any) -> None:
    task = shopfloor.add.options(delay=3600).enqueue((1,), (2,))
    stored = task.record.args
    _spoil(shared, task, "args = ?", stored[:-1] + bytes([stored[-1] ^ 1]))
    shared.ended(task)
    assert task.state == "error" and "signature" in task.exception


def _spoil(floor: Any, task: Any, change: str, *values: object) -> None:
    """Changes a task as no code of ours would, and makes it due."""
    with _connect(floor) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute(f"UPDATE headbox_tasks SET {change}, due_time = 0 WHERE id = ?", [*values, task.id])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("args", b"\xff\x00garbage"),
        ("args", b"{}"),
        ("kwargs", b"[1]"),
        ("args", b"\x80HB1short"),
        ("callable_payload", b"\x80HB1" + b"x" * 100),
        ("progress_callback", b"nonsense"),
    ],
)
def test_a_corrupt_value_ends_in_a_visible_state_and_the_worker_goes_on(
    shared: Any, shopfloor: Any, field: str, value: object
) -> None:
    progress_arg = "path" if field == "progress_callback" else None
    task = shopfloor.write_line.options(delay=3600, progress_arg=progress_arg).enqueue(str(shared.journal_path))
    _spoil(shared, task, f"{field} = ?", value)
    shared.ended(task)
    assert task.state == "error" and task.exception
    assert shopfloor.add.enqueue(1, 2).wait(30) == 3
    assert "Traceback" not in shared.works[0].log


@pytest.mark.parametrize(
    "change",
    ["schedule = 'every day'", "schedule = NULL", "scheduler = 'lunar'", "scheduler = 'cron'", "runs_left = -5"],
)
@pytest.mark.parametrize("name", ["nothing", "fail"])
def test_a_corrupt_schedule_ends_in_a_visible_state_and_the_worker_goes_on(
    shared: Any, shopfloor: Any, change: str, name: str
) -> None:
    task = getattr(shopfloor, name).options(delay=3600).enqueue()
    task.reschedule(IntervalScheduler(timedelta(hours=1), runs=2, start_time=task.scheduled_time))
    _spoil(shared, task, change)
    (run,) = shared.until(task.history)
    assert run.state in ("finished", "error")
    assert shopfloor.add.enqueue(1, 2).wait(30) == 3
    assert "Traceback" not in shared.works[0].log


def test_a_database_that_is_moved_away_is_a_sentence_and_work_goes_on_when_it_is_back(
    floor: Any, shopfloor: Any, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    work = floor.start("--concurrency", "1")
    task = shopfloor.wait_for.enqueue(str(pipe))
    floor.running(task)
    database = floor.folder / "headbox.db"
    os.rename(database, tmp_path / "elsewhere.db")
    with pytest.raises(StorageError) as refusal:
        shopfloor.add.enqueue(1, 2)
    assert str(database) in str(refusal.value) and "moved" in str(refusal.value)
    pipe.write_text("done")
    floor.until(lambda: str(database) in work.log)
    os.rename(tmp_path / "elsewhere.db", database)
    assert task.wait(30) == "done"
    assert shopfloor.add.enqueue(1, 2).wait(30) == 3
    assert "Traceback" not in work.log


def test_a_fork_enqueues_on_connections_of_its_own(floor: Any, shopfloor: Any) -> None:
    floor.start("--concurrency", "1")
    tasks = [shopfloor.add.enqueue(1, 2)]
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(theirs, shopfloor.add.enqueue(3, 4).id.encode())
        finally:
            os._exit(0)
    os.close(theirs)
    tasks.append(shopfloor.add.enqueue(5, 6))
    tasks.append(floor.queue.get(os.read(ours, 100).decode()))
    os.close(ours)
    os.waitpid(pid, 0)
    assert sorted(task.wait(30) for task in tasks) == [3, 7, 11]
