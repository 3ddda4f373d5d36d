"""The `…_async` twins: each call that waits for something, the same from asyncio. They run in threads, since storage is
synchronous by design."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")


def twin(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]:
    """The async twin of a method."""

    async def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        if kwargs.get("connection") is not None:  # it belongs to this thread, and its transaction has its locks already
            return method(self, *args, **kwargs)
        import asyncio  # 7 MB, which a process without an event loop is spared

        return await asyncio.to_thread(method, self, *args, **kwargs)

    functools.update_wrapper(call, method)
    call.__name__ = f"{method.__name__}_async"
    call.__qualname__ = f"{method.__qualname__}_async"
    call.__doc__ = f"As `{method.__name__}`, in a thread."
    return call
