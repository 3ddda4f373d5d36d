"""`python -m benchmarks.enqueuer`: enqueues one task after another until a line comes in, then prints how many
milliseconds each took. What another process has to bear while a worker is busy."""

from __future__ import annotations

import select
import sys
import time

from benchmarks.application import note

PAUSE = 0.002  # seconds between two enqueues: it is no load of its own


def main() -> None:
    """Measures until it is told to stop."""
    note.enqueue(0)
    print("ready", flush=True)
    times = []
    while not select.select([sys.stdin], [], [], PAUSE)[0]:
        began = time.perf_counter()
        note.enqueue(0)
        times.append((time.perf_counter() - began) * 1000)
    print("\n".join(map(str, times)))


if __name__ == "__main__":
    main()
