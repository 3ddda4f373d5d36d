"""The workloads: each makes its scene, does its work and returns figures by name."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from benchmarks.scene import Scene, scene
from headbox import AtScheduler

Figures = dict[str, float]
SINGLES = 2000
THREADS = 16


def enqueue(tasks: int) -> Figures:
    """Durable enqueues: one at a time, from sixteen threads, in bulk; and a raw insert and commit beside them."""
    with scene() as here:
        call = here.application.nothing
        single = _rate(SINGLES, lambda: [call.enqueue() for _ in range(SINGLES)])
        threaded = _rate(SINGLES * 2, lambda: _in_threads(SINGLES * 2 // THREADS, call.enqueue))
        bulk = _rate(tasks, lambda: here.queue.enqueue_many(call.call() for _ in range(tasks)))
        raw = _rate(SINGLES, lambda: _raw_inserts(here, SINGLES))
    return {"single /s": single, "sixteen threads /s": threaded, "bulk /s": bulk, "raw insert and commit /s": raw}


def drain(tasks: int) -> Figures:
    """A backlog of no-op tasks, from the first start to the last finish: synchronous, then async."""
    figures = {}
    for kind in ("nothing", "nothing_async"):
        with scene() as here:
            call = getattr(here.application, kind)
            here.queue.enqueue_many(call.call() for _ in range(tasks))
            with here.worker():
                here.wait_until_empty(method_name=kind)
                figures[f"{'async' if 'async' in kind else 'sync'} /s"] = tasks / _span(here)
    return figures


def latency(tasks: int) -> Figures:
    """From the enqueue call to the first line of the task, on an idle worker."""
    with scene() as here, here.worker():
        called = {}
        for number in range(-20, tasks):  # the first few warm up
            called[number] = time.time_ns()
            here.application.note.enqueue(number).wait(60)
        began = here.begun()
    return _milliseconds([(began[number] - called[number]) / 1e6 for number in range(tasks)])


def lateness(tasks: int, seconds: float = 10.0) -> Figures:
    """How late tasks start that are scheduled evenly over some seconds."""
    with scene() as here, here.worker():
        first = time.time_ns() // 1000 + 1_000_000
        due = {number: first + int(number * seconds * 1e6 / tasks) for number in range(tasks)}
        here.queue.enqueue_many(
            here.application.note.call.options(scheduler=AtScheduler(_time(instant)))(number)
            for number, instant in due.items()
        )
        here.wait_until_empty(method_name="note")
        began = here.begun()
    return _milliseconds([began[number] / 1e6 - due[number] / 1e3 for number in range(tasks)])


def _time(instant: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=instant)


def _rate(tasks: int, work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return tasks / (time.perf_counter() - began)


def _in_threads(each: int, work: Callable[[], object]) -> None:
    threads = [threading.Thread(target=lambda: [work() for _ in range(each)]) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _raw_inserts(here: Scene, rows: int) -> None:
    """What the database allows: rows of the same shape, one commit each, and nothing else."""
    path = here.url.removeprefix("sqlite:///") + ".raw"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0")
    row = sqlite3.connect(here.url.removeprefix("sqlite:///")).execute("SELECT * FROM headbox_tasks").fetchone()
    columns = ", ".join(f"c{at}" for at in range(len(row)))
    connection.execute(f"CREATE TABLE tasks (number INTEGER PRIMARY KEY, {columns})")
    insert = f"INSERT INTO tasks VALUES (NULL, {', '.join('?' * len(row))})"
    for _ in range(rows):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(insert, row)
        connection.execute("COMMIT")
    connection.close()


def _span(here: Scene) -> float:
    """Seconds between the first start and the last finish, by the archived runs themselves."""
    runs = list(here.queue.find(state="archived"))
    began = min(run.start_time for run in runs if run.start_time)
    ended = max(run.finish_time for run in runs if run.finish_time)
    return (ended - began).total_seconds()


def _milliseconds(times: list[float]) -> Figures:
    times.sort()
    return {"p50 ms": times[len(times) // 2], "p99 ms": times[int(len(times) * 0.99)], "max ms": times[-1]}
