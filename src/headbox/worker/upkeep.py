"""What every worker does for the whole system beside its tasks: rescue, checkpoints, culling, the end of schedules that
nobody declares any more. Runs on the clerk's thread; each duty is a method."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from random import random

from headbox.config import Settings
from headbox.domain.outcomes import Outcome
from headbox.domain.task import HOUSEKEEPING, SECOND, SYSTEM_QUEUE, Instant, Work
from headbox.storage.records import ClaimRequest, Report, Worker
from headbox.storage.store import Store
from headbox.worker.journal import End, folder_of, left_behind
from headbox.worker.ledger import outcome_of, tell_of
from headbox.worker.neighbours import is_dead_here, is_of_this_boot
from headbox.worker.rota import ALL, next_look

TICK = 5 * SECOND  # between two rounds of duties, where nothing cheaper says whether there are any
BATCH = 1000  # rows that one culling transaction deletes

logger = logging.getLogger(__name__)


class Upkeep:
    """The duties of one worker. `journals`: the folder of what this machine's workers have not recorded yet."""

    def __init__(self, store: Store, settings: Settings, worker: str) -> None:
        self._store = store
        self._settings = settings
        self._worker = worker
        self._culling: list[tuple[Work, Instant, Iterator[int]]] = []
        self.journals = folder_of(store.beside, store.identity)
        self._ended: list[Outcome] = []
        self._claimed = self._has_news = False
        self._round_time = self._next_time = 0
        self._roll: str | None = None  # of the workers that there were in the last full round
        self._full_time = 0  # when that was
        self._is_hurried = False
        self._is_folding = False
        self._patient_until: Instant | None = None  # with another who is about the journals

    def is_due(self, now: Instant) -> bool:
        """Whether there is something to do."""
        return bool(self._culling) or self._is_folding or self._is_round_due(now)

    def _is_round_due(self, now: Instant) -> bool:
        return self._is_hurried or not self._round_time <= now < self._next_time  # also after the clock was set back

    @property
    def next_time(self) -> Instant:
        """When there is something to do; 0 = at once."""
        return 0 if self._culling or self._is_folding or self._is_hurried else self._next_time

    def hurry(self) -> None:
        """Makes a full round due: a worker of this machine has died."""
        self._is_hurried = True

    def tick(self, now: Instant) -> list[Worker] | None:
        """Does what is due. After a full round, the workers that live."""
        workers = None
        if self._is_round_due(now):
            if not 0 < self._round_time <= now:  # at the start, and after the clock was set back
                self._bring_forward(now)
            self._round_time, self._next_time = now, now + TICK
            if self._is_hurried:
                self._is_hurried, self._roll = False, None
            self._is_folding = True
            workers = self._round_by_look(now) if self._store.has_leases else self._full_round(now)
            self._store.checkpoint()
        self._cull(now)
        self._fold(now)
        return workers

    def _bring_forward(self, now: Instant) -> None:
        if count := self._store.bring_forward(now):
            self._has_news = True
            logger.warning("%d tasks were accepted later than it is: the clock was set back, and they run now", count)

    def _round_by_look(self, now: Instant) -> list[Worker] | None:
        """Leases and the roll of workers tell in one statement whether anybody can have been lost."""
        survey = self._store.survey(self._worker)
        self._is_folding = bool(survey.has_changes)
        self._has_news = self._has_news or self._is_folding
        is_lost = survey.expire_time is not None and survey.expire_time < now
        is_late = not self._full_time <= now < self._full_time + ALL
        workers = None
        if is_lost or is_late or survey.roll != self._roll or self._patient_until is not None:
            workers = self._full_round(now)
            self._roll, self._full_time = survey.roll, now
        elif survey.housekeeping_time is not None and survey.housekeeping_time <= now:
            self._claim(now)
        if self._patient_until is None:  # else in a TICK
            self._next_time = next_look(survey, self._settings.lease, now, random())
        return workers

    def _full_round(self, now: Instant) -> list[Worker]:
        workers = self.rescue(now)
        if self._settings.app is not None:
            self._end_undeclared(workers, now)
        self._claim(now)
        return workers

    def rescue(self, now: Instant) -> list[Worker]:
        """Resets what dead workers left; those of this machine at once, whatever is left of their leases. Returns the
        living."""
        workers = self._store.workers()
        dead = {worker.id for worker in workers if is_dead_here(worker) or not self._store.is_alive(worker, now)}
        # A machine that lost its power may have kept a part of what was written; and what is told by its monotonic
        # clock means nothing after it has started anew.
        readable = {worker.id for worker in workers if worker.id in dead and is_of_this_boot(worker)}
        with left_behind(self.journals, readable, {worker.id for worker in workers} - dead) as ends:
            for worker, ended in (ends or {}).items():
                self._record(worker, ended, now)
        waits = self._is_patient(now, is_taken=ends is None and bool(readable))
        for task in self._store.rescue(now, sorted(dead - readable if waits else dead), present=workers):
            logger.warning("task %s (%s): %s", task.id, task.method_name, task.exception)
        return [worker for worker in workers if worker.id not in dead]

    def _is_patient(self, now: Instant, *, is_taken: bool) -> bool:
        """Whether to leave the dead to another who is about their journals: for a lease. Then that one is taken for
        stopped, and what had ended unrecorded runs again."""
        if not is_taken:
            self._patient_until = None
        elif self._patient_until is None:
            self._patient_until = now + self._settings.lease
        return self._patient_until is not None and now < self._patient_until

    def _record(self, worker: str, ends: list[End], now: Instant) -> None:
        """What had ended when its worker died, and was not recorded: before it is reset."""
        offset = now - time.monotonic_ns() // 1000
        outcomes = [
            outcome_of(id, run, ended.started_at // 1000 + offset, ended.ended_at // 1000 + offset, ended.ending)
            for id, run, ended in ends
        ]
        held = set(self._store.held_by(worker))
        report = Report(outcomes=[outcome for outcome in outcomes if (outcome.id, outcome.run) in held])
        if report.outcomes:
            tell_of(self._store.exchange(worker, report, None, now))
            count = len(report.outcomes)
            logger.warning("recorded %d run%s that had ended when worker %s died", count, "s" * (count > 1), worker)

    def _end_undeclared(self, living: list[Worker], now: Instant) -> None:
        for task in self._store.end_undeclared(now, living):
            logger.info("the schedule %s ends: no worker of its application declares it any more", task.schedule_name)

    # housekeeping tasks

    def _claim(self, now: Instant) -> None:
        request = ClaimRequest(queues=(SYSTEM_QUEUE,), limit=len(HOUSEKEEPING))
        first = self._store.ready(request, now)
        if first is None or first > now:
            return
        self._claimed = True
        claims = self._store.exchange(self._worker, Report(), request, now).claims
        for task in claims.tasks if claims else ():
            self._start(task, now)

    def _start(self, task: Work, now: Instant) -> None:
        duties: dict[str, Callable[[Instant], Iterator[int]]] = {
            "cull_history": self._cull_history,
            "cull_audited_events": self._cull_audited_events,
        }
        duty = duties.get(task.method_name)
        if duty is None:
            reason = f"{task.method_name} is no housekeeping; the queue {SYSTEM_QUEUE} is for that alone"
            self._ended.append(Outcome(task.id, task.run, "fail", now, now, exception=reason))
        else:
            self._culling.append((task, now, duty(now)))

    def _cull(self, now: Instant) -> None:
        """One batch of the task in front, so that what else is to be said to the store never waits for long."""
        if self._culling:
            task, started, batches = self._culling[0]
            if next(batches, None) is None:
                self._culling.pop(0)
                self._ended.append(Outcome(task.id, task.run, "succeed", now, started))

    def _fold(self, now: Instant) -> None:
        """One batch of what transactions have changed, into the counts that the statistics read."""
        if self._is_folding:
            self._is_folding = self._store.is_foldable(now) and self._store.fold(now) > 0

    def take_ended(self) -> list[Outcome]:
        """The ends of housekeeping tasks since it was last asked."""
        ended, self._ended = self._ended, []
        return ended

    def take_news(self) -> bool:
        """Whether since it was last asked it has made tasks due, or seen that somebody has changed some: who accepted
        one may have died before telling anybody."""
        had_news, self._has_news = self._has_news, False
        return had_news

    def take_claimed(self) -> bool:
        """Whether it has claimed since it was last asked."""
        claimed, self._claimed = self._claimed, False
        return claimed

    def _cull_history(self, now: Instant) -> Iterator[int]:
        before = now - self._settings.history_lifetime
        return _until_none(lambda: self._store.cull_history(before, self._settings.history_runs, BATCH))

    def _cull_audited_events(self, now: Instant) -> Iterator[int]:
        before = now - self._settings.audit_lifetime
        return _until_none(lambda: self._store.cull_audited_events(before, BATCH))

    def in_hand(self) -> frozenset[tuple[str, int]]:
        """(id, run) of the housekeeping tasks that it works on."""
        ended = {(outcome.id, outcome.run) for outcome in self._ended}
        return frozenset((task.id, task.run) for task, _, _ in self._culling) | ended


def _until_none(cull: Callable[[], int]) -> Iterator[int]:
    while culled := cull():
        yield culled
