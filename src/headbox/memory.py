"""What a process that stays for long does about its memory. Elsewhere than on glibc it is left as it is."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_M_ARENA_MAX = -8  # mallopt(3)
_libc = ctypes.CDLL(None)


def share_one_heap() -> None:
    """Lets threads that are started from now on take memory where this one does, instead of from 0.5 MB of their own
    each. Python's own objects are not concerned; for the rest a process of few threads has no need of several."""
    if hasattr(_libc, "mallopt"):
        _libc.mallopt(_M_ARENA_MAX, 1)


def give_back_memory() -> None:
    """Gives what the imports have left over back to the system: 1 to 2 MB."""
    gc.collect()
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)


@contextmanager
def importing_no_tls() -> Iterator[None]:
    """An event loop that is imported meanwhile is one without TLS, as it is in a Python without OpenSSL: for a process
    that imports asyncio only since another library does, and runs none. It is spared 2 MB. `ssl` itself can be had
    again afterwards; where it or asyncio is there already, nothing changes."""
    if {"ssl", "asyncio"} & sys.modules.keys():
        yield
        return
    sys.modules["ssl"] = None  # type: ignore[assignment]  # so that its import raises ImportError
    try:
        yield
    finally:
        del sys.modules["ssl"]
