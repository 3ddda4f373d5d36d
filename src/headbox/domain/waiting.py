"""Why a task does not run yet, in words and as data. Pure: what is around the task is given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import msgspec

from headbox.domain.states import READY, RUNNING, SUSPENDED
from headbox.domain.task import DAY, HOUR, MINUTE, SECOND, SYSTEM_QUEUE, Instant, Span, Task

TOLD = 5  # tasks that are named
MOST_BEFORE = 1000  # tasks that are counted


class UnderWay(msgspec.Struct, frozen=True):
    """A run that has lasted for a while."""

    id: str
    method_name: str
    weight: int


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """A worker that runs tasks: of these queues (none: of all), callables by these names."""

    id: str
    queues: tuple[str, ...] = ()
    concurrency: int
    names: frozenset[str] = frozenset()
    under_way: tuple[UnderWay, ...] = ()

    @property
    def taken(self) -> int:
        """The weights of what is under way."""
        return sum(run.weight for run in self.under_way)

    def serves(self, queue: str) -> bool:
        """Whether it runs tasks of this queue."""
        return not self.queues or queue in self.queues

    def has_room(self, weight: int) -> bool:
        """Whether a task of that weight can start: one that is too heavy for any worker runs alone."""
        return self.taken == 0 or self.taken + weight <= self.concurrency


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What a task may have to wait for. `before`: how many ready tasks of its queue are claimed before it, up to 1,001;
    None where that was not counted."""

    suspended_queues: frozenset[str] = frozenset()
    servers: tuple[Server, ...] = ()
    before: int | None = None


class Reason(msgspec.Struct, frozen=True):
    """One reason: its kind, a sentence, and what the sentence is made of."""

    reason: str
    text: str
    data: Mapping[str, object] = MappingProxyType({})


def waiting_for(task: Task, around: Surroundings | None, now: Instant) -> list[Reason]:
    """Why a task does not run yet; [] for one that runs or has ended, or where nothing is in its way. Without
    surroundings, only what the task itself says."""
    if task.state == RUNNING:
        return list(_at_its_worker(task))
    if task.state not in (*READY, SUSPENDED):
        return []
    reasons = [*_by_itself(task, now)]
    if around is not None and task.queue != SYSTEM_QUEUE:  # which every worker serves beside its tasks
        reasons += _by_its_queue(task, around)
        if not reasons:
            reasons += _by_others(task, around)
    return reasons


def _at_its_worker(task: Task) -> Iterator[Reason]:
    if task.start_time is None:
        yield Reason("worker", "its worker is busy and starts it next", {"worker": task.worker})


def _by_itself(task: Task, now: Instant) -> Iterator[Reason]:
    if task.state == SUSPENDED:
        yield Reason("suspended", "it is suspended; resume it")
    elif task.due_time > now:
        is_retry = not task.is_recurring and task.consecutive_failures > 0
        what = "it is tried again" if is_retry else "it is due"
        yield Reason("time", f"{what} in {in_words(task.due_time - now)}", {"due_time": task.due_time})
    if task.held:
        yield Reason("callable", f"no worker knows {task.callable}", {"callable": task.callable})


def _by_its_queue(task: Task, around: Surroundings) -> Iterator[Reason]:
    queue = task.queue
    serving = [server for server in around.servers if server.serves(queue)]
    if queue in around.suspended_queues:
        yield Reason("queue_suspended", f"its queue {queue} is suspended", {"queue": queue})
    if not serving:
        yield Reason("no_worker", f"no worker serves its queue {queue}", {"queue": queue})
    elif not task.held and not any(_knows(server, task) for server in serving):
        text = f"no worker that serves its queue {queue} knows {task.callable}"
        yield Reason("callable", text, {"callable": task.callable, "queue": queue})


def _knows(server: Server, task: Task) -> bool:
    return task.callable_payload is not None or task.callable in server.names


def _by_others(task: Task, around: Surroundings) -> Iterator[Reason]:
    fit = [server for server in around.servers if server.serves(task.queue) and _knows(server, task)]
    if task.weight and not any(server.has_room(task.weight) for server in fit):
        yield _weight(task, min(fit, key=lambda server: server.taken - server.concurrency))
    if around.before:
        more = around.before > MOST_BEFORE
        count = min(around.before, MOST_BEFORE)
        tasks = "ready task of its queue is" if count == 1 else "ready tasks of its queue are"
        text = f"{'more than ' if more else ''}{count:,} {tasks} before it"
        yield Reason("before", text, {"count": count, "more": more})


def _weight(task: Task, server: Server) -> Reason:
    heaviest = sorted(server.under_way, key=lambda run: -run.weight)
    names = list(dict.fromkeys(run.method_name for run in heaviest))
    by = ", ".join(names[:TOLD]) + (", …" if len(names) > TOLD else "")
    return Reason(
        "weight",
        f"weight {server.taken} of {server.concurrency} is taken by {by}, and it takes {task.weight}",
        {
            "weight": task.weight,
            "taken": server.taken,
            "concurrency": server.concurrency,
            "worker": server.id,
            "tasks": [run.id for run in heaviest[:TOLD]],
        },
    )


UNITS = ((DAY, "d", HOUR, "h"), (HOUR, "h", MINUTE, "min"), (MINUTE, "min", SECOND, "s"))


def in_words(span: Span) -> str:
    """A span in the one or two units that say it best: 3 min, 2 h 5 min, 4 d."""
    for unit, name, part, part_name in UNITS:
        if span >= unit:
            whole, rest = divmod(span, unit)
            return f"{whole} {name} {rest // part} {part_name}" if rest >= part and whole < 10 else f"{whole} {name}"
    return f"{max(1, span // SECOND)} s"
