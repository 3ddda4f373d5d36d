"""Random lives of tasks on the real stores, held against a small model that shares no code with them."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from headbox.domain.errors import StateConflict, Superseded, UnknownTask
from headbox.domain.outcomes import Outcome
from headbox.domain.schedulers import ImmediateScheduler, IntervalScheduler, parse_instant
from headbox.domain.states import COMPLETE, INCOMPLETE, Event
from headbox.domain.statistics import OUTCOMES
from headbox.domain.task import DAY, HOUR, HOUSEKEEPING, SECOND, SYSTEM_QUEUE, Task
from headbox.storage.records import ClaimRequest, Exchange, Filter, Release, Report, Start, Worker
from headbox.storage.store import Store, open_store
from tests import postgres_server

NOON = parse_instant("2026-12-01T12:00:00Z")
ENDS: dict[Event, str] = {"succeed": "finished", "fail": "error", "expire": "timed_out", "cancel": "canceled"}
HOURLY = {"scheduler": "interval", "schedule": "2026-12-01T12:00:00Z/PT1H", "scheduled_time": NOON}
KINDS = {
    "plain": {},
    "retried": {"attempts": 3},
    "hourly": HOURLY,
    "thrice": {**HOURLY, "runs_left": 3},
    "fragile": {**HOURLY, "scheduler": "cron", "schedule": "cron: 0 * * * * UTC", "failure_threshold": 2},
}
picks = st.integers(0, 59)  # of up to six tasks alike
somebody_runs = precondition(lambda machine: any(life.state == "running" for life in machine.lives))


@dataclass
class Life:
    """What is expected of one task."""

    id: str
    attempts: int = 1
    recurring: bool = False
    runs_left: int | None = None
    threshold: int | None = None
    state: str = "waiting"
    run: int = 1
    due: int = NOON
    runs: dict[int, str] = field(default_factory=dict)  # those that were archived
    recorded: set[tuple[int, str, str | None]] = field(default_factory=set)  # run, state, worker
    worker: str | None = None
    was: str = "waiting"  # before it was claimed
    has_snapshot: bool = False
    started: bool = False
    cancel_asked: bool = False
    suspend_asked: bool = False
    removed: bool = False
    failures: int = 0
    losses: int = 0

    def claim(self, worker: str) -> None:
        self.was, self.state, self.worker, self.has_snapshot, self.started = self.state, "running", worker, True, False

    def archive(self, state: str) -> None:
        self.runs[self.run] = state
        self.recorded.add((self.run, state, self.worker))

    def end(self, state: str, retry: bool = True) -> None:
        self.archive(state)
        self.failures = 0 if state == "finished" else self.failures + (state in ("error", "timed_out"))
        self.losses = 0
        suspended = self.suspend_asked or self.state == "suspended"
        self.worker, self.cancel_asked, self.suspend_asked, self.has_snapshot = None, False, False, False
        if self.is_scheduled_again(state, retry):
            self.run, self.state = self.run + 1, "suspended" if suspended else "waiting"
        else:
            self.state = state

    def is_scheduled_again(self, state: str, retry: bool) -> bool:
        if self.runs_left is not None:
            self.runs_left -= 1
        if self.removed:
            return False
        if self.recurring:
            return self.runs_left != 0 and (self.threshold is None or self.failures < self.threshold)
        return retry and state in ("error", "timed_out") and self.failures < self.attempts

    def lose(self) -> None:
        if self.cancel_asked:
            self.end("canceled")
        elif not self.has_snapshot or (self.started and self.losses == 2):
            self.end("error", retry=False)
        else:
            self.losses += self.started
            self.archive("reset")
            self.run, self.state, self.worker, self.has_snapshot = self.run + 1, "reset", None, False

    def release(self) -> None:
        if self.cancel_asked or self.removed:
            self.end("canceled")
            return
        self.state = "suspended" if self.suspend_asked else self.was
        self.worker, self.suspend_asked, self.has_snapshot = None, False, False

    def reset(self) -> None:
        self.run, self.state, self.failures, self.losses, self.removed = self.run + 1, "reset", 0, 0, False
        self.runs_left = None if self.runs_left is None else max(self.runs_left, 1)


@contextmanager
def sqlite_database() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        yield f"sqlite:///{folder}/headbox.db"


class StoreAgainstModel(RuleBasedStateMachine):
    """Each rule does one thing to the store and to the model; after each, they must agree on every task."""

    store: Store
    database: Callable[[], AbstractContextManager[str]] = staticmethod(sqlite_database)

    @initialize()
    def open(self) -> None:
        self.opened = ExitStack()
        self.store = open_store(self.opened.enter_context(self.database()), finished_lifetime=10_000 * DAY)
        self.now = NOON
        self.store.initialise(self.now)
        self.lives: list[Life] = []
        self.ended: list[tuple[Outcome, str]] = []
        self.workers: list[str] = []
        self.count = 0
        for _ in range(2):
            self.hire()
        for kind in KINDS:
            self.enqueue(kind)

    def teardown(self) -> None:
        for worker in self.workers:
            self.store.deregister(worker, self.now)
        self.store.close()
        self.opened.close()

    def hire(self) -> None:
        self.count += 1
        worker = Worker(
            id=f"worker-{self.count}", host="mill", boot_id="b", pid=1, process_start=1, app=None, queues=(),
            concurrency=4, start_time=self.now, heartbeat_time=self.now, lease=20 * SECOND,
        )  # fmt: skip
        self.store.register(worker, [], [], self.now)
        self.workers.append(worker.id)

    def task(self, life: Life, kind: str) -> Task:
        return Task(life.id, 1, "waiting", "q", 0, NOON, "shop:pack", "pack", enqueue_time=NOON, **KINDS[kind])

    def report(self, worker: str, **parts: Any) -> Exchange:
        return self.store.exchange(worker, Report(**parts), None, self.now)

    def pick(self, number: int, *states: str) -> Life:
        found = [life for life in self.lives if life.state in states] if states else self.lives
        return found[number % len(found)]

    def ask(self, verb: Callable[[str, int], Task], life: Life, allowed: bool) -> bool:
        """Whether the verb was allowed, which must be as expected."""
        try:
            after = verb(life.id, self.now)
        except StateConflict:
            assert not allowed, f"{verb} was refused to a {life.state} task"
            return False
        assert allowed, f"{verb} was allowed to a {life.state} task"
        assert after == self.store.get(life.id)
        return True

    @precondition(lambda machine: len(machine.lives) < 8)
    @rule(kind=st.sampled_from(sorted(KINDS)))
    def enqueue(self, kind: str) -> None:
        self.count += 1
        options = KINDS[kind]
        life = Life(f"task-{self.count:04}", due=NOON)
        life.recurring, life.runs_left = "schedule" in options, options.get("runs_left")  # type: ignore[assignment]
        life.attempts, life.threshold = options.get("attempts", 1), options.get("failure_threshold")  # type: ignore[assignment]
        self.store.enqueue([self.task(life, kind)], self.now)
        self.lives.append(life)

    @rule(number=picks, kind=st.sampled_from(sorted(KINDS)))
    def enqueue_again(self, number: int, kind: str) -> None:
        self.store.enqueue([self.task(self.pick(number), kind)], self.now)

    @rule(number=st.integers(0, 1), limit=st.integers(1, 4))
    def claim(self, number: int, limit: int) -> None:
        worker = self.workers[number]
        claims = self.store.exchange(worker, Report(), ClaimRequest(queues=("q",), limit=limit), self.now).claims
        assert claims is not None
        ready = [life for life in self.lives if life.state in ("waiting", "reset") and life.due <= self.now]
        expected = sorted(ready, key=lambda life: (life.due, life.id))[:limit]
        assert [(task.id, task.run) for task in claims.tasks] == [(life.id, life.run) for life in expected]
        for life in expected:
            life.claim(worker)

    @somebody_runs
    @rule(numbers=st.lists(picks, min_size=1, max_size=3), event=st.sampled_from(sorted(ENDS)))
    def finish(self, numbers: list[int], event: Event) -> None:
        """Several runs in one worker's report, whoever they belong to: those of others are superseded."""
        chosen = {life.id: life for life in (self.pick(number, "running") for number in numbers)}.values()
        worker = next(iter(chosen)).worker or ""
        outcomes = [Outcome(life.id, life.run, event, self.now, queue="q") for life in chosen]
        answer = self.report(worker, outcomes=outcomes)
        assert [outcome.id for outcome in answer.superseded] == [life.id for life in chosen if life.worker != worker]
        for life, outcome in zip(chosen, outcomes, strict=True):
            if life.worker == worker:
                life.end(ENDS[event])
                self.ended.append((outcome, worker))

    @precondition(lambda machine: machine.ended)
    @rule(number=picks)
    def finish_again(self, number: int) -> None:
        outcome, worker = self.ended[number % len(self.ended)]
        assert self.report(worker, outcomes=[outcome]).superseded == []

    @rule(number=picks, event=st.sampled_from(sorted(ENDS)), off=st.sampled_from([-1, 1]), theirs=st.booleans())
    def finish_superseded(self, number: int, event: Event, off: int, theirs: bool) -> None:
        """A report of somebody else, or of another run than the present one."""
        life = self.pick(number)
        worker = "somebody" if theirs else life.worker or self.workers[0]
        stale = Outcome(life.id, life.run if theirs else life.run + off, event, self.now)
        expected = [] if (stale.run, ENDS[event], worker) in life.recorded else [stale]
        assert self.report(worker, outcomes=[stale]).superseded == expected

    @somebody_runs
    @rule(number=picks)
    def start(self, number: int) -> None:
        life = self.pick(number, "running")
        self.report(life.worker or "", starts=[Start(life.id, life.run, self.now)])
        life.started = True

    @somebody_runs
    @rule(number=picks)
    def release(self, number: int) -> None:
        life = self.pick(number, "running")
        self.report(life.worker or "", releases=[Release(life.id, life.run)])
        life.release()

    @somebody_runs
    @rule(number=picks)
    def lose_one(self, number: int) -> None:
        life = self.pick(number, "running")
        lost = Outcome(life.id, life.run, "lose", self.now, counts=life.started)
        assert self.report(life.worker or "", outcomes=[lost]).superseded == []
        life.lose()

    @rule(number=st.integers(0, 1))
    def lose_worker(self, number: int) -> None:
        dead = self.workers.pop(number)
        lost = [life for life in self.lives if life.worker == dead]
        rescued = self.store.rescue(self.now, [dead])
        assert sorted(task.id for task in rescued) == [life.id for life in lost]
        for life in lost:
            life.lose()
        with pytest.raises(Superseded):
            self.store.exchange(dead, Report(), ClaimRequest(queues=(), limit=1), self.now)
        self.hire()

    @rule(number=picks)
    def cancel(self, number: int) -> None:
        life = self.pick(number)
        if not self.ask(self.store.cancel, life, life.state not in COMPLETE):
            return
        if life.state == "running":
            life.cancel_asked = True
        else:
            life.end("canceled")

    @rule(number=picks)
    def suspend(self, number: int) -> None:
        life = self.pick(number)
        if not self.ask(self.store.suspend, life, life.state in ("waiting", "reset", "running")):
            return
        if life.state == "running":
            life.suspend_asked = True
        else:
            life.state = "suspended"

    @rule(number=picks)
    def resume(self, number: int) -> None:
        life = self.pick(number)
        if self.ask(
            self.store.resume, life, life.state == "suspended" or (life.state == "running" and life.suspend_asked)
        ):
            life.suspend_asked = False  # also one asked of a run that was lost since
            life.state = "waiting" if life.state == "suspended" else life.state

    @rule(number=picks)
    def reset(self, number: int) -> None:
        life = self.pick(number)
        if self.ask(self.store.reset, life, life.state in COMPLETE):
            assert self.store.get(life.id).due_time == self.now
            life.reset()

    @rule(number=picks)
    def remove(self, number: int) -> None:
        life = self.pick(number)
        if not self.ask(self.store.remove, life, life.state not in COMPLETE):
            return
        life.removed = True
        if life.state != "running":
            life.end("canceled")

    @rule(number=picks, runs=st.none() | st.integers(1, 3), to_interval=st.booleans())
    def reschedule(self, number: int, runs: int | None, to_interval: bool) -> None:
        life = self.pick(number)
        scheduler = IntervalScheduler(1800, runs=runs) if to_interval else ImmediateScheduler()
        allowed = life.state not in COMPLETE and (to_interval or life.state != "running")
        if self.ask(lambda id, now: self.store.reschedule(id, scheduler, now), life, allowed):
            life.recurring, life.runs_left = to_interval, scheduler.runs
            if life.state == "running" and scheduler.runs is not None:
                life.runs_left = scheduler.runs + 1

    @rule(number=picks)
    def delete_snapshot(self, number: int) -> None:
        life = self.pick(number)
        if life.has_snapshot:
            self.store.delete_snapshot(life.id)
            life.has_snapshot = False
        else:
            with pytest.raises(UnknownTask):
                self.store.delete_snapshot(life.id)

    @rule()
    def fold(self) -> None:
        self.store.fold(self.now)

    @rule(span=st.sampled_from([1, SECOND, HOUR // 2, HOUR, 5 * HOUR]))
    def pass_time(self, span: int) -> None:
        self.now += span

    @invariant()
    def no_task_is_lost_and_none_is_twice(self) -> None:
        current = [task for task in self.store.stream(Filter(), self.now) if task.queue != SYSTEM_QUEUE]
        assert [(task.id, task.run, task.state) for task in current] == [
            (life.id, life.run, life.state) for life in self.lives
        ]
        for task, life in zip(current, self.lives, strict=True):
            life.due = task.due_time
            assert bool(task.final) == (life.state in COMPLETE)
            assert (task.consecutive_failures, task.losses) == (life.failures, life.losses)
            assert (task.snapshot_id is not None) == life.has_snapshot and task.held == 0
            assert life.state in COMPLETE or (task.worker, task.runs_left) == (life.worker, life.runs_left)

    @invariant()
    def every_run_is_archived_once(self) -> None:
        archived = [(run.id, run.run, run.state) for run in self.store.stream(Filter(states=("archived",)), self.now)]
        expected = [(life.id, run, state) for life in self.lives for run, state in life.runs.items()]
        assert sorted(archived) == sorted(expected)
        for life in self.lives:
            last = life.run if life.state in COMPLETE else life.run - 1
            assert sorted(life.runs) == list(range(1, last + 1))

    @invariant()
    def the_statistics_count_what_there_is(self) -> None:
        statistics = self.store.statistics(self.now)
        counts = Counter(life.state for life in self.lives)
        (queue,) = [queue for queue in statistics.queues if queue.name == "q"] or [None]
        for state in INCOMPLETE:
            assert (0 if queue is None else getattr(queue, state)) == counts[state]
        ended = Counter(state for life in self.lives for state in life.runs.values())
        assert statistics.total.outcomes() == {outcome: ended[outcome] for outcome in OUTCOMES}
        assert statistics.total.enqueued == len(self.lives) + len(HOUSEKEEPING)


class PostgresAgainstModel(StoreAgainstModel):
    database = staticmethod(postgres_server.initialised)


TestSQLiteAgainstModel = StoreAgainstModel.TestCase
TestPostgresAgainstModel = PostgresAgainstModel.TestCase
TestSQLiteAgainstModel.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestPostgresAgainstModel.settings = settings(TestSQLiteAgainstModel.settings, max_examples=20)
