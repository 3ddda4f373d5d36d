"""The start: is it healthy, what runs now and how far it is, what comes next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from headbox.domain.statistics import Period, QueueCounts, Statistics
from headbox.domain.task import MINUTE, SECOND, SYSTEM_QUEUE, Instant, Span
from headbox.storage.records import Load, Worker
from headbox.web.operations import Operation
from headbox.web.permissions import Permission
from headbox.web.replies import Reply, StreamReply
from headbox.web.request import Request
from headbox.web.ui.layout import Layout
from headbox.web.ui.notice import lead_to
from headbox.web.ui.page import Page
from headbox.web.ui.wording import show_number, show_span

RUNNING: Final = 20  # tasks listed
UPCOMING: Final = 8
LONG: Final = 5 * MINUTE  # that a ready task may wait before it is said


class Remark(msgspec.Struct, frozen=True):
    """One sentence on how it goes; `link` leads to what it is about. `level`: well, warn or bad."""

    level: str
    text: str
    link: str = ""


def load(request: Request) -> dict[str, Any]:
    """All that the page shows."""
    store, now = request.store, request.now
    statistics = store.statistics(now)
    workers, loads = store.workers(), store.loads()
    return {
        "statistics": statistics,
        "failed": failed(statistics.hour),
        "remarks": remarks(statistics, workers, now),
        "throughput": throughput(statistics.minutes),
        "lateness": lateness(statistics.minutes),
        "running": store.running(RUNNING),
        "workers": workers,
        "loads": {worker.id: loads.get(worker.id, Load()) for worker in workers},
        "upcoming": store.upcoming(now, UPCOMING),
        "system_queue": SYSTEM_QUEUE,
    }


def failed(period: Period) -> int:
    """How many runs failed in it."""
    return period.error + period.timed_out


def throughput(minutes: Sequence[Period]) -> str:
    """Runs that ended in each minute, and those of them that failed: the chart's columns, as JSON."""
    ended = [sum(minute.outcomes().values()) for minute in minutes]
    return _columns(minutes, ended, [failed(minute) for minute in minutes])


def lateness(minutes: Sequence[Period]) -> str:
    """How late scheduled tasks started in each minute (the 95th percentile, in seconds): the same."""
    return _columns(minutes, [_seconds(minute.percentile(0.95)) for minute in minutes])


def _columns(minutes: Iterable[Period], *columns: Sequence[float | None]) -> str:
    times = [minute.start_time // SECOND for minute in minutes]
    return msgspec.json.encode([times, *columns]).decode()


def _seconds(span: Span | None) -> float | None:
    return None if span is None else span / SECOND


def remarks(statistics: Statistics, workers: Sequence[Worker], now: Instant) -> list[Remark]:
    """What a person should know first; that all is well where there is nothing else."""
    found = []
    if not workers:
        found.append(Remark("bad", "No worker is here: tasks wait until one comes.", "/ui/workers/"))
    silent = sum(now - worker.heartbeat_time > worker.lease for worker in workers)
    if silent:
        found.append(Remark("warn", f"{_count(silent, 'worker')} not heard of in time.", "/ui/workers/"))
    number = failed(statistics.hour)
    if number:
        found.append(
            Remark(
                "warn",
                f"{_count(number, 'run')} failed in the last hour.",
                "/ui/tasks/?ended=1&state=error&state=timed_out&since=PT1H",
            )
        )
    if statistics.hour.late:
        found.append(
            Remark("warn", f"{_count(statistics.hour.late, 'scheduled task')} started too late in the last hour.")
        )
    if statistics.oldest_ready is not None and statistics.oldest_ready > LONG:
        span = show_span(statistics.oldest_ready)
        found.append(
            Remark("warn", f"A task has been ready for {span} and does not run yet.", "/ui/tasks/?state=waiting")
        )
    halted = [queue for queue in statistics.queues if queue.suspend_time is not None]
    if halted:
        found.append(Remark("warn", _about(halted, "is suspended", "are suspended"), "/ui/workers/"))
    waiting = [queue for queue in statistics.queues if queue.waiting + queue.reset and queue.name != SYSTEM_QUEUE]
    unserved = [queue for queue in waiting if not any(worker.serves(queue.name) for worker in workers)]
    if workers and unserved:
        found.append(Remark("warn", _about(unserved, "has no worker", "have no worker"), "/ui/workers/"))
    return found or [Remark("well", "All is well.")]


def _about(queues: Sequence[QueueCounts], one: str, many: str) -> str:
    """What is the matter with queues, and how many tasks wait in them for that."""
    waiting = sum(queue.waiting + queue.reset for queue in queues)
    wait = f"{_count(waiting, 'task')} wait{'s' if waiting == 1 else ''}"
    if len(queues) == 1:
        return f"The queue {queues[0].name} {one}: {wait} in it."
    return f"{show_number(len(queues))} queues {many}: {wait} in them."


def _count(number: int, what: str) -> str:
    return f"{show_number(number)} {what}{'s' if number != 1 else ''}"


PAGE: Final = Page(
    path="/ui/",
    title="Now",
    template="ui/now.html",
    load=load,
    need="caller",
    fragments=("remarks", "counts", "throughput", "lateness", "running", "workers", "upcoming"),
)


def operations(layout: Layout) -> tuple[Operation, ...]:
    """The rows of the route table. Who may not see everything starts at its own tasks."""
    page = layout.operation(PAGE)

    async def start(request: Request) -> Reply | StreamReply:
        if not request.principal.may(Permission.READ):
            return lead_to(request, "/ui/tasks/")
        reply: Reply | StreamReply = await page.handler(request)
        return reply

    return (msgspec.structs.replace(page, handler=start),)
