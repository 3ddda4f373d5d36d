"""A day in the life of a service, played to its store by a worker with a clock of its own: what charts, calendars and
lists show."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from headbox.domain.iso8601 import format_instant
from headbox.domain.outcomes import Outcome
from headbox.domain.task import DAY, HOUR, MINUTE, SECOND, Instant, Task
from headbox.identifiers import new_id
from headbox.storage.records import ClaimRequest, Progress, Report, Start, Worker
from headbox.storage.store import Store, open_store

REPOSITORIES: Final = (
    "debian-bookworm",
    "debian-security",
    "epel-9",
    "fedora-41",
    "fedora-42",
    "nodesource",
    "postgresql",
)
EVERY: Final = 15 * MINUTE
STEP: Final = EVERY // len(REPOSITORIES)  # one of them after the other
PROMPT: Final = SECOND // 250  # from a claim to its start
APP: Final = "examples.repository_sync"
TRACEBACK: Final = """\
Traceback (most recent call last):
  File "examples/repository_sync.py", line 52, in sync
    return synchronise(feed or str(FEEDS / repository), MIRRORS / repository, current_task().report, rate)
  File "examples/repository_sync.py", line 97, in synchronise
    fetch(package, mirror, progress)
  File "examples/repository_sync.py", line 140, in fetch
    raise ValueError(f"{package.name} has the sha256 {found}, and its feed promised {package.sha256}")
ValueError: {exception}
"""


def play(url: str, until: Instant, days: float = 1.0, seed: int = 2012) -> None:
    """Fills an empty database with what a worker did in the days before `until`."""
    store, chance = open_store(url), random.Random(seed)
    began = until - int(days * DAY) // STEP * STEP - MINUTE // 2 - 1
    store.initialise(began)
    worker = _worker(began)
    store.register(worker, [], [], began)
    for place, name in enumerate(REPOSITORIES):
        store.schedule(_schedule(name, began + place * STEP), began)
    for now in range(began, until - MINUTE // 2, STEP):
        _run_what_is_due(store, worker.id, now, chance)
        if chance.random() < _busy(now):
            asked = now + STEP // 2
            store.enqueue([_sync(chance.choice(REPOSITORIES), asked)], asked)
            _run_what_is_due(store, worker.id, asked, chance)
    store.deregister(worker.id, until)
    store.close()


def _worker(now: Instant) -> Worker:
    return Worker(
        id=new_id(), host="mill-1", boot_id="boot", pid=1, process_start=1, app=APP, queues=(), concurrency=4,
        start_time=now, heartbeat_time=now, lease=20 * SECOND, names=(f"{APP}:sync",),
    )  # fmt: skip


def _run_what_is_due(store: Store, worker: str, due: Instant, chance: random.Random) -> None:
    """Claims what is due, a little late, and runs it."""
    now = due + int(chance.lognormvariate(-5, 1) * SECOND)
    claims = store.exchange(worker, Report(), ClaimRequest(queues=(), limit=9), now).claims
    assert claims is not None and claims.tasks
    for task in claims.tasks:
        for time, report in _run(task, now + PROMPT, chance):
            store.exchange(worker, report, None, time)


def _busy(now: Instant) -> float:
    """More happens by day."""
    hour = now % DAY / HOUR
    return 0.35 if hour < 6 else 0.9 if 8 <= hour < 18 else 0.6


def _schedule(repository: str, first: Instant) -> Task:
    schedule = f"{format_instant(first)}/PT15M"
    recurring = {"scheduler": "interval", "schedule": schedule, "scheduled_time": first}
    return replace(_sync(repository, first), schedule_name=f"sync {repository}", definition="played", **recurring)


def _sync(repository: str, due: Instant) -> Task:
    args = json.dumps([repository]).encode()
    return Task(new_id(), 1, "waiting", "default", 0, due, f"{APP}:sync", "sync", args=args, enqueue_time=due)


def _run(task: Task, start: Instant, chance: random.Random) -> Iterator[tuple[Instant, Report]]:
    """What a worker reports of one run, and when."""
    total = chance.randrange(2, 40)
    fails = chance.random() < 0.04
    done, size = chance.randrange(total) if fails else total, total * 1_270_000
    files, bytes_ = {"done": done, "total": total}, {"done": size * done // total, "total": size}
    progress = Progress(task.id, task.run, json.dumps({"files": files, "bytes": bytes_}))
    yield (
        start,
        Report(
            starts=[Start(task.id, task.run, start)],
            progress=[progress],
            lateness=[start - task.due_time] * (task.scheduled_time is not None),
        ),
    )
    finish = start + int(min(chance.lognormvariate(1.8, 0.8), 40) * SECOND)
    outcome = Outcome(task.id, task.run, "succeed", finish, start_time=start)
    if fails:
        said = f"part{done}-1.0-py3-none-any.whl has the sha256 {'0f' * 32}, and its feed promised {'9a' * 32}"
        traceback = TRACEBACK.replace("{exception}", said)
        outcome = replace(outcome, event="fail", exception=said, traceback=traceback)
    yield finish, Report(outcomes=[outcome])
