"""How a worker comes up, or says in one sentence why it cannot."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

THREADED = """
import threading
from headbox import TaskQueue
queue = TaskQueue()
threading.Thread(target=threading.Event().wait, daemon=True, name="metrics").start()
@queue.task
def parent() -> int:
    import os
    return [os.getpid(), os.getppid()]
"""


@pytest.mark.parametrize(
    ("source", "app", "option", "sentence"),
    [
        ("import no_such_module", "broken:queue", "--preload", "No module named 'no_such_module'"),
        ("import no_such_module", "broken:queue", "--no-preload", "No module named 'no_such_module'"),
        ("1 / 0", "broken:queue", "--preload", "division by zero"),
        ("def", "broken:queue", "--no-preload", "invalid syntax"),
        ("raise SystemExit(0)", "broken:queue", "--preload", "SystemExit"),
        ("", "broken:queue", "--preload", "has no attribute 'queue'"),
        ("queue = 1", "broken:queue", "--no-preload", "is not a TaskQueue but of type int"),
        ("import os; os._exit(7)", "broken:queue", "--preload", "exited with status 7"),
        ("", "no_such_module:queue", "--preload", "No module named 'no_such_module'"),
    ],
)
def test_an_application_that_cannot_be_imported_ends_work_with_one_sentence(
    floor: Any, tmp_path: Path, source: str, app: str, option: str, sentence: str
) -> None:
    (tmp_path / "broken.py").write_text(source)
    work = floor.launch(["work", "--app", app, option], tmp_path)
    assert work.wait() == 1
    assert sentence in work.log
    assert "Traceback" not in work.log and len(work.log.splitlines()) == 1


def test_without_an_application_it_does_the_housekeeping_only(floor: Any, shopfloor: Any) -> None:
    task = shopfloor.add.enqueue(1, 2)
    work = floor.start(app=None)
    assert floor.queue.store.workers()[0].app is None
    floor.until(lambda: work.pids() == [work.pid])  # no forkserver, no children
    assert work.stop() == 0
    assert task.refresh().state == "waiting"


@pytest.mark.parametrize("preloading", ["--preload", "--no-preload"])
def test_children_are_forked_from_the_preloaded_application_or_spawned(
    floor: Any, shopfloor: Any, preloading: str
) -> None:
    work = floor.start(preloading, "--concurrency", "1")
    process = shopfloor.describe.enqueue().wait(30)
    assert process["parent"] == work.forkserver
    command = Path(f"/proc/{process['pid']}/cmdline").read_text()
    assert ("headbox.worker.child" in command) == (preloading == "--no-preload")


def test_an_application_that_starts_threads_is_warned_of_and_its_children_are_spawned(
    floor: Any, tmp_path: Path
) -> None:
    (tmp_path / "threaded.py").write_text(THREADED)
    work = floor.start("--concurrency", "1", folder=tmp_path, app="threaded:queue")
    assert "importing the application started the thread 'metrics'" in work.log
    pid, parent = floor.call("threaded:parent").wait(30)
    assert parent == work.forkserver
    assert "headbox.worker.child" in Path(f"/proc/{pid}/cmdline").read_text()


def test_an_on_child_start_hook_that_fails_ends_work_with_its_sentence(floor: Any, tmp_path: Path) -> None:
    (tmp_path / "hooked.py").write_text(
        "from headbox import TaskQueue\nqueue = TaskQueue()\n"
        "@queue.on_child_start\ndef connect():\n    raise OSError('no route to the repository')\n"
    )
    work = floor.launch(["work", "--app", "hooked:queue", "--concurrency", "1"], tmp_path)
    assert work.wait() == 1
    assert "the on_child_start hook hooked:connect failed: OSError: no route to the repository" in work.log


def test_the_admin_password_is_kept_from_tasks(floor: Any, shopfloor: Any) -> None:
    work = floor.start("--concurrency", "1", admin_password="correct horse")
    pid = shopfloor.describe.enqueue().wait(30)["pid"]
    assert pid in work.pids()
    assert b"correct horse" not in Path(f"/proc/{pid}/environ").read_bytes()


@pytest.mark.parametrize(
    ("settings", "lines"), [({"child_runs": 2}, 3), ({"child_memory": "64M"}, 6)], ids=["runs", "memory"]
)
def test_children_are_replaced_after_their_runs_or_beyond_their_memory(
    floor: Any, shopfloor: Any, settings: dict[str, Any], lines: int
) -> None:
    floor.start("--concurrency", "1", **settings)
    mebibytes = 80 if "child_memory" in settings else 0
    tasks = [shopfloor.use_memory.enqueue(mebibytes) for _ in range(6)]
    floor.ended(*tasks)
    assert [len(task.history()) for task in tasks] == [1] * 6
    assert len({task.result for task in tasks}) == lines


def test_the_database_that_the_application_names_wins(floor: Any, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(f"from headbox import TaskQueue\nqueue = TaskQueue({floor.url!r})\n")
    environment = {"HEADBOX_DATABASE": f"sqlite:///{tmp_path}/other.db"}
    work = floor.launch(["work", "--app", "own:queue"], tmp_path, environment=environment).started()
    assert work.row.app == "own:queue"
    assert not os.path.exists(tmp_path / "other.db")


def test_a_database_on_the_command_line_that_the_application_contradicts_is_an_error(
    floor: Any, tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(f"from headbox import TaskQueue\nqueue = TaskQueue({floor.url!r})\n")
    command = ["work", "--app", "own:queue", "--database", f"sqlite:///{tmp_path}/other.db"]
    work = floor.launch(command, tmp_path)
    assert work.wait() == 1
    assert "leave one of them out" in work.log and len(work.log.splitlines()) == 1
