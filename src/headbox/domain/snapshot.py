"""The TaskSnapshot of the document (A.20.2), made from a task without unpickling anything. Whoever holds stored bytes
and wants them as a pickle asks here, so this room also knows how a signed pickle begins."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from headbox.domain.task import Instant, Span, Task

PICKLE_MARK = b"\x80HB1"  # no JSON begins like this
SIGNATURE_SIZE = 32  # HMAC-SHA256
PICKLE_START = len(PICKLE_MARK) + SIGNATURE_SIZE
TASK_CLASS = "headbox.Task"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def snapshot(task: Task) -> dict[str, Any]:
    """The 20 fields of a task's snapshot. The pickled ones are strings `s` that `pickle.loads(s.encode("latin-1"))`
    takes; where there is nothing to say they give None."""
    return {
        "id": task.id,
        "snapshot_id": task.snapshot_id,
        "task_class": TASK_CLASS,
        "class_name": task.class_name,
        "method_name": task.method_name,
        "state": task.state,
        "failure_threshold": task.failure_threshold,
        "cancel_attempts": task.cancel_attempts,
        "callable": pickled_callable(task),
        "args": pickled(task.args, []),
        "kwargs": pickled(task.kwargs, {}),
        "progress": None if task.progress is None else msgspec.json.decode(task.progress),
        "timeout": _text(_span(task.timeout)),
        "schedule_threshold": _text(_span(task.schedule_threshold)),
        "_progress_callback": pickled(task.progress_callback, None),
        "start_time": _text(_time(task.start_time)),
        "finish_time": _text(_time(task.finish_time)),
        "result": pickled(task.result, None),
        "exception": _text(task.exception),
        "traceback": _text(task.traceback),
    }


def pickled(stored: bytes | None, empty: Any) -> str:
    """A stored payload as a latin-1 pickle string; None gives the pickle of `empty`. Nothing is unpickled, and no
    signature is checked: the string goes to somebody else."""
    if stored is None:
        return _text(empty)
    if stored.startswith(PICKLE_MARK):
        return stored[PICKLE_START:].decode("latin-1")
    return _text(msgspec.json.decode(stored))


def pickled_callable(task: Task) -> str:
    """The task's callable as a latin-1 pickle string: a bound method or unregistered function as it was stored, a
    registered function as a reference to `module:qualname`, one with a name of its own as that name."""
    if task.callable_payload is not None:
        return pickled(task.callable_payload, None)
    module, colon, qualname = task.callable.partition(":")
    return _reference(module, qualname).decode("latin-1") if colon else _text(task.callable)


def _reference(module: str, qualname: str) -> bytes:
    """The pickle (protocol 4) that loads to what `module` calls `qualname`, made without importing it."""
    names = b"".join(_unicode(name) for name in (module, qualname))
    return pickle.PROTO + b"\x04" + names + pickle.STACK_GLOBAL + pickle.STOP


def _unicode(name: str) -> bytes:
    encoded = name.encode()
    return pickle.BINUNICODE + len(encoded).to_bytes(4, "little") + encoded


def _text(value: Any) -> str:
    return pickle.dumps(value, 4).decode("latin-1")


def _span(span: Span | None) -> timedelta | None:
    return None if span is None else timedelta(microseconds=span)


def _time(instant: Instant | None) -> datetime | None:
    return None if instant is None else _EPOCH + timedelta(microseconds=instant)
