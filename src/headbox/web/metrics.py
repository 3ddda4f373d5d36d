"""The statistics in Prometheus' text format (version 0.0.4). All of it fits in a few functions: no library."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from headbox.domain.errors import StorageError
from headbox.domain.states import INCOMPLETE
from headbox.domain.statistics import Period, Statistics
from headbox.domain.task import SECOND
from headbox.web.problems import Problem, problem_of
from headbox.web.replies import Reply, problem_reply, send_reply
from headbox.web.service import Service

PATH: Final = "/metrics"
CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"
_ESCAPES: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})

Sample = tuple[Mapping[str, str], float]


def expose(statistics: Statistics, workers: int) -> str:
    """The exposition; counters count from when the database was made."""
    queues = statistics.queues
    tasks = [({"queue": queue.name, "state": state}, getattr(queue, state)) for queue in queues for state in INCOMPLETE]
    oldest = [({"queue": queue.name}, (queue.oldest_ready or 0) / SECOND) for queue in queues]
    suspended = [({"queue": queue.name}, float(queue.suspend_time is not None)) for queue in queues]
    total = statistics.total
    ended = [({"outcome": outcome}, number) for outcome, number in total.outcomes().items()]
    families = (
        _family("headbox_tasks", "gauge", "Tasks that are not complete.", tasks),
        _family("headbox_oldest_ready_seconds", "gauge", "How long the oldest ready task has been due.", oldest),
        _family("headbox_queue_suspended", "gauge", "Whether nothing of the queue may start.", suspended),
        _family("headbox_tasks_enqueued_total", "counter", "Tasks that were accepted.", [({}, total.enqueued)]),
        _family("headbox_runs_ended_total", "counter", "Runs that have ended; reset: they were lost.", ended),
        _family("headbox_late_starts_total", "counter", "Starts later than schedule_threshold.", [({}, total.late)]),
        _lateness(total),
        _family("headbox_workers", "gauge", "Workers that are registered.", [({}, workers)]),
    )
    return "".join(families)


def with_metrics_apart(app: ASGIApp, service: Service, port: int) -> ASGIApp:
    """The application, and on that port nothing but its metrics, without credentials: they name queues and no tasks."""

    async def apart(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (scope.get("server") or ("", 0))[1] != port:
            await app(scope, receive, send)
            return
        reply = (
            await _metrics(service) if scope["path"] == PATH else problem_reply(Problem(404, f"only {PATH} is here"))
        )
        await send_reply(send, reply, head=scope["method"] == "HEAD")

    return apart


async def _metrics(service: Service) -> Reply:
    def read() -> str:
        store = service.queue.store
        return expose(store.statistics(service.queue.clock.now()), len(store.workers()))

    try:
        text = await asyncio.get_running_loop().run_in_executor(service.threads, read)
    except StorageError as error:
        return problem_reply(problem_of(error))
    return Reply(200, text.encode(), CONTENT_TYPE)


def _lateness(total: Period) -> str:
    name, count = "headbox_start_lateness_seconds", 0
    buckets: list[Sample] = []
    for bound, number in sorted(total.lateness.items()):
        count += number
        buckets.append(({"le": repr(bound / SECOND)}, count))
    head = _head(name, "histogram", "How late scheduled tasks have started.")
    return (
        head
        + _samples(f"{name}_bucket", [*buckets, ({"le": "+Inf"}, count)])
        + _samples(f"{name}_count", [({}, count)])
    )


def _family(name: str, kind: str, help: str, samples: Iterable[Sample]) -> str:
    return _head(name, kind, help) + _samples(name, samples)


def _head(name: str, kind: str, help: str) -> str:
    return f"# HELP {name} {help}\n# TYPE {name} {kind}\n"


def _samples(name: str, samples: Iterable[Sample]) -> str:
    return "".join(f"{name}{_labels(labels)} {value}\n" for labels, value in samples)


def _labels(labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""
