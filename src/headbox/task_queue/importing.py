"""Whether task code is being imported by a worker at this moment. A module that enqueues as it is imported would do so
in every worker and child that imports it, and a task of such a module would enqueue itself for ever."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from headbox.domain.errors import InvalidTask

_importing: ContextVar[bool] = ContextVar("headbox_importing", default=False)


@contextmanager
def importing() -> Iterator[None]:
    """Around an import of task code in a worker: of the application, or by a payload that is loaded."""
    token = _importing.set(True)
    try:
        yield
    finally:
        _importing.reset(token)


def refuse_while_importing() -> None:
    """InvalidTask if a worker is importing the caller."""
    if _importing.get():
        raise InvalidTask(
            "this module enqueues while a worker imports it, and would each time:"
            " put that under `if __name__ == '__main__':`, or use queue.schedule(name, …)"
        )
