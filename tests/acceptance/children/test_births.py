"""What the forkserver tells of an application, and how children are started where a fork would not do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from headbox.domain.task import Work
from headbox.worker.nursery import Gone
from headbox.worker.protocol import ChildFailed, Failed, Ready

QUEUE = "from headbox import TaskQueue\nqueue = TaskQueue()\n@queue.task\ndef add(a, b):\n    return a + b\n"


def test_an_application_is_published_without_the_supervisor_importing_it(
    make_family: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEADBOX_DATABASE")
    (tmp_path / "shop.py").write_text(
        QUEUE + '@queue.task(schedule="R/2031-01-01T00:00:00Z/P1D", name="nightly")\ndef tidy():\n    "Tidies up."\n'
    )
    ready = make_family("shop:queue", folder=tmp_path).start()
    assert isinstance(ready, Ready)
    assert {callable.name for callable in ready.callables} == {"shop:add", "nightly"}
    assert ready.schedule_names == ["shop:queue:nightly"]
    assert [task.callable for task in ready.declarations] == ["nightly"]
    assert ready.preloaded and not ready.warnings
    assert ready.database_is_default


def test_a_queue_that_names_its_database_says_so_and_children_see_it_without_its_store(
    make_family: Any, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/own.db"
    (tmp_path / "shop.py").write_text(
        f"import os, sys\nfrom headbox import TaskQueue\nqueue = TaskQueue({url!r})\n@queue.task\ndef ask():\n"
        "    return [os.environ['HEADBOX_DATABASE'], 'headbox.storage.sqlite.store' in sys.modules]\n"
    )
    family = make_family("shop:queue", folder=tmp_path, database="sqlite:///other.db")
    ready = family.start()
    assert ready.database == url and not ready.database_is_default
    assert (tmp_path / "own.db.key").exists()  # read before there is a child: once for all of them
    child = family.child()
    child.hand([_work("shop:ask")])
    assert json.loads(family.ended(child).ending.result) == [url, False]


def test_children_see_the_given_database_and_no_password(
    make_family: Any, work: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADBOX_ADMIN_PASSWORD", "hunter2")
    family = make_family(database="sqlite:////tmp/given.db")
    assert family.start().database == "sqlite:////tmp/given.db"
    child = family.child()
    child.hand([work.describe_process()])
    environment = json.loads(family.ended(child).ending.result)["environment"]
    assert environment == {"HEADBOX_DATABASE": "sqlite:////tmp/given.db"}
    for pid in (family.nursery.pid, child.pid):
        assert b"hunter2" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_without_an_application_there_is_nothing_to_publish(make_family: Any) -> None:
    family = make_family(None)
    assert family.start() == Ready(None, True, [], [], [], [], True)
    child = family.newborn()
    assert "without an application" in family.hear(child, ChildFailed).message


@pytest.mark.parametrize(
    ("app", "source", "expected"),
    [
        ("shop:queue", None, "ModuleNotFoundError: No module named 'shop'"),
        ("shop:queue", "import missing_library\n", "No module named 'missing_library' ({folder}/shop.py, line 1)"),
        ("shop:queue", "\n1 / 0\n", "ZeroDivisionError: division by zero ({folder}/shop.py, line 2)"),
        ("shop:queue", "def f(:\n", "SyntaxError: invalid syntax ({folder}/shop.py, line 1)"),
        ("shop:queue", "raise SystemExit(4)\n", "SystemExit: 4"),
        ("shop:queue", "x = 1\n", "has no attribute 'queue'"),
        ("shop:queue", "queue = []\n", "is not a TaskQueue but of type list"),
        ("shop", "x = 1\n", "write it as module:queue"),
        (":queue", "x = 1\n", "write it as module:queue"),
    ],
)
def test_an_application_that_cannot_be_used_is_one_sentence(
    make_family: Any, tmp_path: Path, app: str, source: str | None, expected: str
) -> None:
    if source is not None:
        (tmp_path / "shop.py").write_text(source)
    family = make_family(app, folder=tmp_path)
    failed = family.start()
    assert isinstance(failed, Failed)
    assert expected.format(folder=tmp_path) in failed.message
    assert "\n" not in failed.message
    assert family.hear(None, Gone).status == 1


def test_an_import_that_ends_the_process_is_seen(make_family: Any, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("import os\nos._exit(7)\n")
    family = make_family("shop:queue", folder=tmp_path)
    family.nursery.start()
    assert family.hear(None, Gone) == Gone(7)


def test_an_import_that_does_not_end_can_be_stopped(
    make_family: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headbox.worker.nursery.STOP_SECONDS", 1000)
    (tmp_path / "shop.py").write_text("import time\nopen('importing', 'w').close()\ntime.sleep(1000)\n")
    family = make_family("shop:queue", folder=tmp_path)
    family.nursery.start()
    family.until((tmp_path / "importing").exists)
    family.nursery.stop()
    assert family.nursery.pid is None


def test_a_file_of_the_application_may_be_called_as_a_module_of_python(make_family: Any, tmp_path: Path) -> None:
    for name in ("asyncio", "logging", "queue", "selectors"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('this is not the one that was meant')\n")
    (tmp_path / "shop.py").write_text(QUEUE)
    for preload in (True, False):
        family = make_family("shop:queue", folder=tmp_path, preload=preload)
        assert isinstance(family.start(), Ready)
        assert family.child().ready


@pytest.mark.parametrize(
    ("opening", "named"),
    [
        ("threading.Thread(target=threading.Event().wait, daemon=True, name='ticker').start()", "the thread 'ticker'"),
        ("ends = socket.socketpair()", "a socket (AF_UNIX)"),
        ("server = socket.create_server(('127.0.0.1', 0))", "a socket (AF_INET) at ('127.0.0.1', "),
    ],
)
def test_what_a_fork_would_break_is_named_and_children_are_spawned(
    make_family: Any, tmp_path: Path, opening: str, named: str
) -> None:
    (tmp_path / "shop.py").write_text(f"import socket, threading\n{opening}\n{QUEUE}")
    family = make_family("shop:queue", folder=tmp_path)
    ready = family.start()
    assert not ready.preloaded
    assert any(named in warning for warning in ready.warnings), ready.warnings
    child = family.child()
    child.hand([_work("shop:add", 1, 2)])
    assert family.ended(child).ending.result == b"3"


def test_without_preload_children_are_interpreters_of_their_own(make_family: Any, work: Any) -> None:
    family = make_family(preload=False)
    ready = family.start()
    assert not ready.preloaded and ready.callables
    child, other = family.child(), family.child("async")
    child.hand([work.describe_process()])
    process = json.loads(family.ended(child).ending.result)
    assert process["pid"] == process["group"] == child.pid
    assert process["started_with"] == [child.pid]
    assert b"headbox.worker.child" in Path(f"/proc/{child.pid}/cmdline").read_bytes()
    other.hand([work.add_async(1, 2)])
    assert family.ended(other).ending.result == b"3"
    child.stop()
    assert family.exited(child).status == 0


@pytest.mark.parametrize(
    ("set_up", "shown"),
    [("", "INFO shop: on it"), ("logging.basicConfig(level='INFO', format='%(message)s!')", "on it!")],
)
@pytest.mark.parametrize("preload", [True, False])
def test_what_a_task_logs_is_shown_as_the_application_wants_it(
    make_family: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str], set_up: str, shown: str, preload: bool
) -> None:
    (tmp_path / "shop.py").write_text(
        f"import logging\n{set_up}\n{QUEUE}@queue.task\ndef buy():\n    logging.getLogger('shop').info('on it')\n"
    )
    family = make_family("shop:queue", folder=tmp_path, preload=preload)
    family.start()
    child = family.child()
    child.hand([_work("shop:buy")])
    family.ended(child)
    lines = capfd.readouterr().err.splitlines()
    assert [line for line in lines if line.endswith(shown)] == [line for line in lines if "on it" in line] != []


def _work(callable: str, *args: object) -> Any:
    return Work("id", 1, callable, args=json.dumps(args).encode())
