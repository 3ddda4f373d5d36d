"""A durable task queue and scheduler for Python with the REST API of Pulp's tasking system.

The public names, nothing else. Each is imported when it is first asked for, so that the command line starts at once."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headbox.config import Settings
    from headbox.domain.errors import (
        ConfigError,
        Discard,
        HeadboxError,
        Interrupted,
        InvalidFilter,
        InvalidSchedule,
        InvalidTask,
        NonUniqueTask,
        PayloadRefused,
        Retry,
        StateConflict,
        StorageError,
        StorageUnavailable,
        TaskCanceled,
        TaskFailed,
        TaskTimedOut,
        UnknownName,
        UnknownTask,
    )
    from headbox.domain.schedulers import (
        AtScheduler,
        CronScheduler,
        ImmediateScheduler,
        IntervalScheduler,
        Scheduler,
        parse_schedule,
    )
    from headbox.task_queue.current import CurrentTask, current_task
    from headbox.task_queue.enqueueing import Call, Draft
    from headbox.task_queue.function import TaskFunction
    from headbox.task_queue.handle import Task
    from headbox.task_queue.queue import TaskQueue
    from headbox.task_queue.running import Ending

__all__ = [
    "AtScheduler",
    "Call",
    "ConfigError",
    "CronScheduler",
    "CurrentTask",
    "Discard",
    "Draft",
    "Ending",
    "HeadboxError",
    "ImmediateScheduler",
    "Interrupted",
    "IntervalScheduler",
    "InvalidFilter",
    "InvalidSchedule",
    "InvalidTask",
    "NonUniqueTask",
    "PayloadRefused",
    "Retry",
    "Scheduler",
    "Settings",
    "StateConflict",
    "StorageError",
    "StorageUnavailable",
    "Task",
    "TaskCanceled",
    "TaskFailed",
    "TaskFunction",
    "TaskQueue",
    "TaskTimedOut",
    "UnknownName",
    "UnknownTask",
    "current_task",
    "parse_schedule",
]

_ROOMS = {
    "headbox.config": ("Settings",),
    "headbox.task_queue.current": ("CurrentTask", "current_task"),
    "headbox.domain.schedulers": (
        "AtScheduler", "CronScheduler", "ImmediateScheduler", "IntervalScheduler", "Scheduler", "parse_schedule",
    ),
    "headbox.task_queue.enqueueing": ("Call", "Draft"),
    "headbox.task_queue.running": ("Ending",),
    "headbox.task_queue.function": ("TaskFunction",),
    "headbox.task_queue.handle": ("Task",),
    "headbox.task_queue.queue": ("TaskQueue",),
}  # fmt: skip
_HOME = {name: room for room, names in _ROOMS.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'headbox' has no attribute {name!r}")
    value = getattr(import_module(_HOME.get(name, "headbox.domain.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
