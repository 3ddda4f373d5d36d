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


def test_a_supervisor_has_no_event_loop_in_its_memory() -> None:
    """7 MB with what it needs of its own, most of which the supervisor does not."""
    code = "import sys, headbox.worker.startup; print({'asyncio', 'ssl'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"
