"""The rows of the floor: a no-op task, as small as the tables allow."""

from __future__ import annotations

import secrets
import time

BATCH = 500  # tasks that are claimed and finished at a time
COLUMNS = (
    "id", "run", "state", "queue", "priority", "due_time", "callable", "method_name", "scheduler", "attempts", "weight",
    "is_async", "enqueue_time",
)  # fmt: skip
# What a claim sets, and so an end leaves out.
DROPPED = ("snapshot_id", "claimed_state", "cancel_asked", "suspend_asked", "held")


def rows(count: int) -> list[tuple[object, ...]]:
    """So many tasks that are ready, with ids that grow as real ones do."""
    now = time.time_ns() // 1000
    task = ("waiting", "default", 0, now, "benchmarks.application:nothing", "nothing", "immediate", 1, 1, False, now)
    return [(f"{now:016x}-{n:08x}-{secrets.token_hex(5)}", 1, *task) for n in range(count)]
