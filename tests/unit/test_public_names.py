"""The names that users import."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import headbox

NAMES = [
    "AtScheduler", "Call", "ConfigError", "CronScheduler", "CurrentTask", "Discard", "Draft", "Ending", "HeadboxError",
    "ImmediateScheduler", "Interrupted", "IntervalScheduler", "InvalidFilter", "InvalidSchedule", "InvalidTask",
    "NonUniqueTask", "PayloadRefused", "Retry", "Scheduler", "Settings", "StateConflict", "StorageError",
    "StorageUnavailable", "Task", "TaskCanceled", "TaskFailed", "TaskFunction", "TaskQueue", "TaskTimedOut",
    "UnknownName", "UnknownTask", "current_task", "parse_schedule",
]  # fmt: skip


def test_they_are_exactly_these() -> None:
    assert sorted(headbox.__all__) == NAMES
    assert set(NAMES) <= set(dir(headbox))
    assert {name for name in NAMES if getattr(headbox, name) is not None} == set(NAMES)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "Scheduler"])
def test_each_is_documented(name: str) -> None:
    assert inspect.getdoc(getattr(headbox, name))


@pytest.mark.parametrize("name", ["TaskQueue", "Task", "CurrentTask", "TaskFunction"])
def test_so_is_each_public_method(name: str) -> None:
    members = inspect.getmembers(getattr(headbox, name), inspect.isroutine)
    assert [method for method, function in members if not method.startswith("_") and not inspect.getdoc(function)] == []


def test_any_other_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'TaskQeue'"):
        headbox.TaskQeue  # noqa: B018


def test_importing_the_package_imports_no_room_of_it() -> None:
    code = "import sys, headbox; print([name for name in sys.modules if name.startswith('headbox.')])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


HEAVY = {
    "argparse",
    "asyncio",
    "cronsim",
    "difflib",
    "headbox.task_queue.queue",
    "sqlite3",
    "ssl",
    "tomllib",
    "zoneinfo",
}


@pytest.mark.parametrize(
    ("imports", "heavy"),
    [
        ("import headbox.assemble, headbox.worker.startup", set()),
        ("with importing_no_tls(): import psycopg, headbox.storage.postgres.store", {"asyncio", "zoneinfo"}),
        ("import headbox.worker.forkserver", {"headbox.task_queue.queue"}),
    ],
)
def test_a_process_has_little_in_its_memory_that_it_does_not_need(imports: str, heavy: set[str]) -> None:
    code = f"import sys\nfrom headbox.memory import *\n{imports}\nprint(sorted({HEAVY} & sys.modules.keys()))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == f"{sorted(heavy)}\n"


def test_tls_is_there_again_for_those_who_want_it_later() -> None:
    code = (
        "from headbox.memory import importing_no_tls\nwith importing_no_tls():\n    import asyncio.sslproto\n"
        "import ssl\nprint(asyncio.sslproto.ssl, ssl.create_default_context().verify_mode.name)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "None CERT_REQUIRED\n"
