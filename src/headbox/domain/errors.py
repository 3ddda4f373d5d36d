"""The errors Headbox raises. Few, named, exported; each message is one sentence that says what to do next."""

from __future__ import annotations

from typing import Any


class HeadboxError(Exception):
    """The root of every error that Headbox raises on purpose."""


class ConfigError(HeadboxError):
    """A setting is unknown or has a bad value; the message names the place."""


class InvalidSchedule(HeadboxError, ValueError):
    """A schedule, an instant or a duration that cannot be understood; the message shows a valid one."""


class InvalidTask(HeadboxError, ValueError):
    """What was to be enqueued cannot be: an unknown option, a bad value, a callable that no worker could import."""


class InvalidFilter(HeadboxError, ValueError):
    """A filter that does not exist or has an impossible value; the message lists what is valid."""


class UnknownTask(HeadboxError, LookupError):
    """Neither the tasking system nor its history knows the id."""


class UnknownName(HeadboxError, LookupError):
    """No job, user, token or callable of this name."""


class StateConflict(HeadboxError):
    """The task's state does not allow what was asked; the message names the states that do."""


class NonUniqueTask(HeadboxError):
    """A unique task with the same callable, arguments and schedule is incomplete; `task_id` is the one in the way."""

    def __init__(self, task_id: str) -> None:
        super().__init__(f"a unique task with the same callable, arguments and schedule is incomplete: {task_id}")
        self.task_id = task_id

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.task_id,)


class PayloadRefused(HeadboxError):
    """A payload cannot be stored, or its signature does not hold; nothing was unpickled."""


class StorageError(HeadboxError):
    """The database cannot be used as it is: not reachable, full, of another version, on a network file system."""


class StorageUnavailable(StorageError):
    """The database is away for now; the same call may go through later."""


class StorageStarting(StorageUnavailable):
    """The database's server is there and says that it takes nobody yet, or nobody more for the moment."""


class OutcomeUnknown(StorageUnavailable):
    """The database went away while it committed: what was asked may have been done or not, so it is not asked again."""


class Superseded(HeadboxError):
    """The worker's row is gone: others have taken over its tasks, and it must start afresh under a new id."""


class TaskFailed(HeadboxError):
    """The task that was waited for ended in `error`; `task` is it, with its exception and traceback."""

    def __init__(self, message: str, task: Any = None) -> None:
        super().__init__(message)
        self.task = task


class TaskTimedOut(TaskFailed):
    """The task that was waited for ran longer than its timeout."""


class TaskCanceled(TaskFailed):
    """The task that was waited for was canceled or removed."""


class Retry(Exception):
    """Raised inside a task: end this attempt as an error and try again, `after` that many seconds (or a timedelta)."""

    def __init__(self, after: Any = None, reason: str = "") -> None:
        super().__init__(reason or "the task asked to be tried again")
        self.after = after


class Discard(Exception):
    """Raised inside a task: give up now, as error, whatever attempts are left."""


class Interrupted(BaseException):
    """Raised inside a task that is being canceled, timed out or shut down. Let it pass: the run ends with it."""
