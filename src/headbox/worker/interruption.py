"""How a run that was told to end is shown: with the place where it was, which is what one wants to know of a task that
ran too long."""

from __future__ import annotations

import os
from types import TracebackType

import msgspec

from headbox.task_queue.running import Ending, failed

OWN_FOLDER = os.path.dirname(__file__) + os.sep


def interrupted(error: BaseException) -> Ending:
    """The ending of a run that `error` ended from outside; its traceback is the task's own part."""
    frames = error.__traceback__
    while frames is not None and _is_own(frames):
        frames = frames.tb_next
    _cut_off_own_end(frames)
    return msgspec.structs.replace(failed(error.with_traceback(frames)), event="interrupted")


def _cut_off_own_end(frames: TracebackType | None) -> None:
    """The frames of the signal's handler are not the task's."""
    while frames is not None and frames.tb_next is not None:
        if _is_own(frames.tb_next):
            frames.tb_next = None
        frames = frames.tb_next


def _is_own(frames: TracebackType) -> bool:
    return frames.tb_frame.f_code.co_filename.startswith(OWN_FOLDER)
