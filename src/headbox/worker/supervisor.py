"""The worker: one loop that claims, hands runs to children, writes back how they ended, and watches over them. It runs
no user code; all it knows of the application comes from the forkserver."""

from __future__ import annotations

import logging
import os
import selectors
import socket
import time

from headbox.clock import Clock, SystemClock
from headbox.config import Settings
from headbox.domain.errors import StorageError, Superseded
from headbox.domain.outcomes import Outcome
from headbox.domain.task import Instant, Task
from headbox.identifiers import new_id
from headbox.storage.records import ClaimRequest, Exchange, Report, Worker
from headbox.storage.store import Store, open_store
from headbox.worker.children import Child
from headbox.worker.dispatcher import NO_ROOM, Dispatcher
from headbox.worker.heartbeat import Heartbeat
from headbox.worker.keeper import Keeper
from headbox.worker.ledger import Ledger
from headbox.worker.nursery import Nursery
from headbox.worker.process import boot_id, process_start
from headbox.worker.protocol import Ready, Reason
from headbox.worker.signals import Signals
from headbox.worker.upkeep import Upkeep

POLL = 5_000_000_000  # ns: the net below all wake-ups
RETRY = 500_000_000  # ns between two attempts while the database is away
REVIEW = 5_000_000_000  # ns between two looks at what the store says that this worker holds

logger = logging.getLogger(__name__)


class Supervisor:
    """One worker. `run` returns when it was told to end and has."""

    def __init__(self, store: Store, settings: Settings, nursery: Nursery | None, ready: Ready | None) -> None:
        self._store = store
        self._settings = settings
        self._nursery = nursery
        self._ready = ready
        self._clock: Clock = SystemClock()
        self._selector = selectors.DefaultSelector()
        self._signals = Signals(self._selector)
        self._ledger = Ledger()
        self._dispatcher = Dispatcher(settings.concurrency, settings.async_concurrency, settings.cancel_grace)
        self._keeper: Keeper | None = None
        if nursery is not None:
            parts = (self._dispatcher, self._ledger, settings, self._clock, self._selector)
            self._keeper = Keeper(nursery, *parts, lack=self._lack)
        self._unknown: set[str] = set()  # callables that were asked for and that the application lacks
        self._curious = True  # something may be ready to be claimed
        self._due_time: Instant | None = None  # of the next task that is scheduled
        self._retry_at = 0
        self._review_at = 0
        self._stopping = 0  # signals that asked for the end
        self._interrupt_at: int | None = None
        self._give_up_at = 0
        self._enlist()

    # coming

    def _enlist(self) -> None:
        """Registers under a new id: what was claimed under the old one is no longer ours."""
        self.id = new_id()
        settings, ready = self._settings, self._ready
        callables = ready.callables if ready else []
        self._known = {name for published in callables for name in (published.name, *published.aliases)}
        self._dispatcher.async_names = tuple(
            name for published in callables if published.is_async for name in (published.name, *published.aliases)
        )
        now = self._clock.now()
        worker = Worker(
            id=self.id,
            host=socket.gethostname(),
            boot_id=boot_id(),
            pid=os.getpid(),
            process_start=process_start(os.getpid()) or 0,
            app=settings.app,
            queues=settings.queues,
            concurrency=settings.concurrency,
            start_time=now,
            heartbeat_time=now,
            lease=settings.lease,
            names=tuple(sorted(self._known)),
            declares=tuple(ready.schedule_names) if ready else (),
        )
        self._upkeep = Upkeep(self._store, settings, self.id, self._selector)
        self._upkeep.rescue(now)
        self._store.register(worker, callables, ready.declarations if ready else [], now)
        self._heartbeat = Heartbeat(
            open_store(self._store.url, settings.finished_lifetime), self.id, settings.lease, self._clock
        )
        self._heartbeat.start()
        self._watch = self._store.watch(self.id, settings.queues)
        self._selector.register(self._watch, selectors.EVENT_READ, self._look)
        if self._keeper is not None:
            self._keeper.worker = self.id

    # the loop

    def run(self) -> None:
        """Works until it was told to end (SIGTERM, SIGINT) and has. Raises WorkerFailed, StorageError."""
        with self._signals:
            try:
                while not self._is_done():
                    self._wait()
                    self._turn()
            finally:
                self._leave()

    def _is_done(self) -> bool:
        if not self._stopping or self._dispatcher.runs_in_hand:
            return False
        if self._retry_at and time.monotonic_ns() > self._give_up_at:
            logger.error("the database is away: what ended meanwhile will run again")
            return True
        return self._ledger.is_empty()

    def _wait(self) -> None:
        """Until something happens or is due."""
        left = (self._next_time() - time.monotonic_ns()) / 1e9
        events = self._selector.select(max(0.0, min(left, self._watch.pause())))
        for key, _ in events:
            key.data()
        if not events:
            self._look()

    def _look(self) -> None:
        try:
            if self._watch.changed():
                self._curious = True
                self._interrupt_canceled()
        except StorageError as error:
            self._wait_for_database(error)

    def _next_time(self) -> int:
        now = time.monotonic_ns()
        times = [now + POLL, self._upkeep.next_time, self._dispatcher.next_time(now), self._ledger.next_time()]
        times.append(self._interrupt_at)
        if self._due_time is not None and not self._stopping and self._dispatcher.room(now) != NO_ROOM:
            times.append(now + (self._due_time - self._clock.now()) * 1000)
        return max(self._retry_at, min(time for time in times if time is not None))

    def _turn(self) -> None:
        """Everything that is due now."""
        now = time.monotonic_ns()
        self._heed_signals(now)
        self._tend(now)
        if now >= self._retry_at:
            try:
                self._speak(now)
                self._retry_at = 0
            except StorageError as error:
                self._wait_for_database(error)
        self._dispatcher.hand_out(now)

    def _speak(self, now: int) -> None:
        """All that is to be said to the store and asked of it."""
        if self._heartbeat.superseded:
            self._start_afresh()
        try:
            self._ledger.outcomes += self._upkeep.tick(self._clock.now(), now)
            if now >= self._review_at:
                self._review_at = now + REVIEW
                self._review(now)
            self._exchange(now)
        except Superseded:
            self._heartbeat.superseded = True
            self._start_afresh()

    def _wait_for_database(self, error: StorageError) -> None:
        """What is to be said waits; what changes meanwhile is looked for when the database is back."""
        if not self._retry_at:
            logger.error("%s; trying again until it is back", error)
        self._retry_at = time.monotonic_ns() + RETRY
        self._curious = True

    def _review(self, now: int) -> None:
        """Gives back what a claim took whose commit was never confirmed; asks whether the task for which the worker
        keeps itself free is still there."""
        in_hand = {(task.id, task.run) for task in (*self._dispatcher.in_hand(), *self._upkeep.in_hand())}
        in_hand |= self._ledger.settled()
        for id, run in self._store.held_by(self.id):
            if (id, run) not in in_hand:
                logger.warning("task %s, run %d: claimed and never started; releasing it", id, run)
                self._ledger.release(id, run)
        if self._dispatcher.reserved(now):
            weight = self._settings.concurrency - self._dispatcher.weight
            request = ClaimRequest(queues=self._settings.queues, limit=0, max_weight=max(weight, 0))
            self._note_passed_over(self._store.exchange(self.id, Report(), request, self._clock.now()), now)

    def _tend(self, now: int) -> None:
        """Timeouts, runs that do not end, runs that do not start."""
        dispatcher, keeper = self._dispatcher, self._keeper
        if keeper is None:
            return
        dispatcher.expire(now)
        for child in dispatcher.overdue(now):
            keeper.kill(child)
        dispatcher.take_back(now)
        for task in dispatcher.clear_shelf(None if self._stopping else now):
            self._ledger.release(task.id, task.run)
        keeper.note_starts(now)
        if not self._stopping:
            keeper.raise_children()

    # the store

    def _exchange(self, now: int) -> None:
        """Writes what there is to write, and claims, if either is worth a transaction."""
        request = self._request(now)
        if not self._ledger.is_pressing(now) and (request is None or not self._is_worth_claiming(request)):
            return
        answer = self._store.exchange(self.id, self._ledger.report(), request, self._clock.now())
        self._ledger.clear(now)
        self._heed(answer, now)

    def _request(self, now: int) -> ClaimRequest | None:
        """What to claim, if anything could have come or become due."""
        if self._keeper is None or self._stopping:
            return None
        if self._keeper.changed:
            self._curious, self._keeper.changed = True, False
        due = self._due_time is not None and self._due_time <= self._clock.now()
        if not (self._curious or due):
            return None
        room = self._dispatcher.room(now)
        if room == NO_ROOM or not (room.runs or room.async_runs):
            return None
        return ClaimRequest(
            queues=self._settings.queues,
            limit=room.runs,
            max_weight=room.max_weight,
            unknown=tuple(self._unknown),
            apart=self._dispatcher.async_names,
            apart_limit=room.async_runs,
        )

    def _is_worth_claiming(self, request: ClaimRequest) -> bool:
        """A look before the write lock is taken: most wake-ups of an idle worker are for nothing."""
        now = self._clock.now()
        first = self._store.ready(request, now)
        if first is not None and first <= now:
            return True
        self._curious, self._due_time = False, first
        return False

    def _heed(self, answer: Exchange, now: int) -> None:
        for outcome in answer.superseded:
            logger.warning("task %s, run %d: superseded, its result was dropped", outcome.id, outcome.run)
        for skipped in answer.skipped:
            logger.warning("task %s: %d occurrences were missed and are skipped", skipped.id, skipped.count)
        claims = answer.claims
        if claims is None:
            return
        self._curious = claims.more
        self._due_time = claims.next_time
        self._note_passed_over(answer, now)
        self._take(claims.tasks, now)

    def _note_passed_over(self, answer: Exchange, now: int) -> None:
        passed = answer.claims.passed_over if answer.claims else None
        self._dispatcher.note_passed_over(passed.id if passed else None, passed.weight if passed else 0, now)

    def _take(self, tasks: list[Task], now: int) -> None:
        lacking = [task for task in tasks if task.callable not in self._known and task.callable_payload is None]
        for task in lacking:
            self._lack(task)
        self._dispatcher.shelve([task for task in tasks if task not in lacking] if lacking else tasks, now)

    def _lack(self, task: Task) -> None:
        """Releases a task whose callable this worker does not know: held, unless another worker knows it."""
        self._unknown.add(task.callable)
        logger.error("task %s: this worker does not know %s; another has to run it", task.id, task.callable)
        self._ledger.release(task.id, task.run, hold=True)
        self._curious = True

    # canceling

    def _interrupt_canceled(self) -> None:
        asked = set(self._store.canceling(self.id))
        if not asked:
            return
        now = time.monotonic_ns()
        for child in self._dispatcher.children.values():
            for seq in [seq for seq, task in child.runs.items() if (task.id, task.run) in asked]:
                self._cancel(child, seq, now)
        for task in self._dispatcher.take_from_shelf(asked):
            self._ledger.outcomes.append(Outcome(task.id, task.run, "cancel", self._clock.now()))

    def _cancel(self, child: Child, seq: int, now: int) -> None:
        """Interrupts a run; one that has not started is taken back, and never does."""
        if seq not in (run for run, _ in child.in_progress()):
            self._dispatcher.take_back_from(child, now)
        self._dispatcher.interrupt(child, seq, Reason.CANCEL, now)  # nothing, if it was taken back

    # going

    def _heed_signals(self, now: int) -> None:
        while self._signals.noted:
            self._signals.noted.pop()
            self._stopping += 1
            if self._stopping == 1:
                self._drain(now)
            else:
                self._interrupt_all(now)
                self._kill_all()
        if self._interrupt_at is not None and now >= self._interrupt_at:
            self._interrupt_at = None
            self._interrupt_all(now)

    def _drain(self, now: int) -> None:
        runs = sum(len(child.in_progress()) for child in self._dispatcher.children.values())
        if runs:
            logger.warning("finishing %d run%s; again to stop at once", runs, "" if runs == 1 else "s")
        self._dispatcher.take_back_all(now)
        self._interrupt_at = now + self._settings.grace * 1000
        self._give_up_at = self._interrupt_at + self._settings.cancel_grace * 1000

    def _interrupt_all(self, now: int) -> None:
        for child in self._dispatcher.children.values():
            for seq in list(child.runs):
                self._dispatcher.interrupt(child, seq, Reason.SHUTDOWN, now)

    def _kill_all(self) -> None:
        if self._keeper is not None:
            for child in self._dispatcher.children.values():
                self._keeper.kill(child)

    def _start_afresh(self) -> None:
        """Others have taken over what this worker held: its children are killed, and it comes again under a new id."""
        logger.error("worker %s was taken for lost; starting afresh under a new id", self.id)
        for child in self._dispatcher.children.values():
            child.forget()
        self._kill_all()
        self._dispatcher.clear_shelf()
        self._upkeep.forget()
        self._ledger.clear(0)
        self._withdraw()
        self._enlist()

    def _withdraw(self) -> None:
        self._heartbeat.stop()
        self._upkeep.close()
        self._selector.unregister(self._watch)
        self._watch.close()

    def _leave(self) -> None:
        if self._nursery is not None:
            self._nursery.stop()
        self._withdraw()
        try:
            self._store.deregister(self.id, self._clock.now())
        except StorageError as error:  # its lease ends, or its lock: others see that it is gone
            logger.error("%s; the worker could not sign off", error)
        self._store.close()
