"""Finds the queue that `--app module:queue` names, and says in one sentence why it cannot be had."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from operator import attrgetter

from headbox.domain.errors import HeadboxError
from headbox.task_queue.importing import importing
from headbox.task_queue.queue import TaskQueue


class ApplicationError(HeadboxError):
    """The application cannot be used; the message is one sentence."""


def load(app: str) -> TaskQueue:
    """The queue of `module:queue` (`module:holder.queue` too); the current directory is importable."""
    module_name, _, attribute = app.partition(":")
    if not module_name or not attribute:
        raise ApplicationError(
            f"the application {app!r} names no queue: write it as module:queue, like shop.tasks:queue"
        )
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        with importing():
            module = importlib.import_module(module_name)
        found = attrgetter(attribute)(module)
    except (Exception, SystemExit) as error:
        raise ApplicationError(f"the application {app!r} cannot be imported: {_describe(error)}") from error
    if not isinstance(found, TaskQueue):
        raise ApplicationError(f"{app!r} is not a TaskQueue but of type {type(found).__name__}: name the queue itself")
    return found


def _describe(error: BaseException) -> str:
    """The last line of the traceback, and the place in the application that it points to."""
    last_line = traceback.format_exception_only(error)[-1].strip()
    place = _place(error)
    return f"{last_line} ({place})" if place else last_line


def _place(error: BaseException) -> str | None:
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_of_the_application(frame.filename)]
    return f"{frames[-1].filename}, line {frames[-1].lineno}" if frames else None


def _is_of_the_application(filename: str) -> bool:
    """Not of this module, nor of Python's import system or an installed package that the application called."""
    return (
        filename != __file__ and not filename.startswith(("<frozen", sys.base_prefix)) and "-packages" not in filename
    )
