"""How SQLite gets on with the C library's memory. It builds and drops a small table of its own within most statements
of a worker, 90 kB each; glibc would give that to the system each time, and have it zeroed page by page for the next."""

from __future__ import annotations

from functools import cache

LARGE = 1 << 20  # bytes


@cache
def keep_freed_memory() -> None:
    """Lets glibc keep up to 2 MiB that are freed at the end of a heap, once for the process. It does so by itself as
    soon as a program has freed a large block: mallopt(3), M_MMAP_THRESHOLD, "dynamic"."""
    bytes(LARGE)
