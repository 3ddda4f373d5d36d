"""How statistics look in Python and over HTTP: figures for charts and alarms; spans are numbers of seconds."""

from __future__ import annotations

from datetime import datetime

import msgspec

from headbox.domain.iso8601 import time_of
from headbox.domain.statistics import Period, QueueCounts, Statistics
from headbox.domain.task import SECOND, Span


class QueueFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The incomplete tasks of one queue, and for how long the oldest ready one has been due."""

    name: str
    is_suspended: bool
    waiting: int
    running: int
    reset: int
    suspended: int
    oldest_ready_seconds: float | None


class ShownQueue(msgspec.Struct, frozen=True, kw_only=True):
    """A queue: whether anything of it may start, its incomplete tasks, and how many workers serve it."""

    name: str
    is_suspended: bool
    suspend_time: datetime | None
    waiting: int
    running: int
    reset: int
    suspended: int
    oldest_ready_seconds: float | None
    workers: int


class StateFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How many tasks are in each state that is not complete."""

    waiting: int
    running: int
    reset: int
    suspended: int


class OutcomeFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How many runs ended in each way; `reset`: they were lost, and run again."""

    finished: int
    error: int
    timed_out: int
    canceled: int
    reset: int


class RateFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The same in a second: the mean of the last 10 to 20."""

    finished: float
    error: float
    timed_out: float
    canceled: float
    reset: float


class ThroughputFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How many runs have ended: in a second, in the last minute and hour, and ever."""

    second: RateFigures
    minute: OutcomeFigures
    hour: OutcomeFigures
    total: OutcomeFigures


class StartFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How many scheduled tasks have started, and how many of these later than their schedule_threshold."""

    starts: int
    late: int


class LatenessOfHour(msgspec.Struct, frozen=True, kw_only=True):
    """The same, and how late they were: upper bounds of the classes 1, 2, 5, 10, … ms; null where none has started."""

    starts: int
    late: int
    p50_seconds: float | None
    p95_seconds: float | None
    max_seconds: float | None


class LatenessFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How late scheduled tasks have started: in the last hour, and ever."""

    hour: LatenessOfHour
    total: StartFigures


class PeriodFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What has happened in a minute or a day that began at `time`."""

    time: datetime
    enqueued: int
    finished: int
    error: int
    timed_out: int
    canceled: int
    reset: int
    starts: int
    late: int
    p95_seconds: float | None


class ShownStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """The system at one instant. `minutes`: the last 60, the present one included; `days`: those of the last 90 (UTC)
    in which something has happened."""

    time: datetime
    states: StateFigures
    queues: list[QueueFigures]
    oldest_ready_seconds: float | None
    throughput: ThroughputFigures
    lateness: LatenessFigures
    minutes: list[PeriodFigures]
    days: list[PeriodFigures]


def show_statistics(statistics: Statistics) -> ShownStatistics:
    """The statistics as `GET /statistics/` gives them."""
    hour, total = statistics.hour, statistics.total
    return ShownStatistics(
        time=time_of(statistics.time),
        states=StateFigures(**statistics.states),
        queues=[show_queue_counts(queue) for queue in statistics.queues],
        oldest_ready_seconds=seconds(statistics.oldest_ready),
        throughput=ThroughputFigures(
            second=RateFigures(**statistics.second),
            minute=OutcomeFigures(**statistics.minute.outcomes()),
            hour=OutcomeFigures(**hour.outcomes()),
            total=OutcomeFigures(**total.outcomes()),
        ),
        lateness=LatenessFigures(
            hour=LatenessOfHour(
                starts=hour.starts,
                late=hour.late,
                p50_seconds=seconds(hour.percentile(0.5)),
                p95_seconds=seconds(hour.percentile(0.95)),
                max_seconds=seconds(hour.percentile(1)),
            ),
            total=StartFigures(starts=total.starts, late=total.late),
        ),
        minutes=[show_period(minute) for minute in statistics.minutes],
        days=[show_period(day) for day in statistics.days],
    )


def show_queue_counts(queue: QueueCounts) -> QueueFigures:
    """One queue's part."""
    return QueueFigures(
        name=queue.name,
        is_suspended=queue.suspend_time is not None,
        waiting=queue.waiting,
        running=queue.running,
        reset=queue.reset,
        suspended=queue.suspended,
        oldest_ready_seconds=seconds(queue.oldest_ready),
    )


def show_queue(queue: QueueCounts) -> ShownQueue:
    """The queue as `GET /queues/` gives it."""
    return ShownQueue(
        name=queue.name,
        is_suspended=queue.suspend_time is not None,
        suspend_time=None if queue.suspend_time is None else time_of(queue.suspend_time),
        waiting=queue.waiting,
        running=queue.running,
        reset=queue.reset,
        suspended=queue.suspended,
        oldest_ready_seconds=seconds(queue.oldest_ready),
        workers=queue.workers or 0,
    )


def show_period(period: Period) -> PeriodFigures:
    """One minute or day."""
    return PeriodFigures(
        time=time_of(period.start_time),
        enqueued=period.enqueued,
        starts=period.starts,
        late=period.late,
        p95_seconds=seconds(period.percentile(0.95)),
        **period.outcomes(),
    )


def seconds(span: Span | None) -> float | None:
    """A span as a number of seconds."""
    return None if span is None else span / SECOND
