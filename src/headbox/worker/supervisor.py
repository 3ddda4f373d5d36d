"""The worker: one loop that claims, hands runs to children, writes back how they ended, and watches over them. It runs
no user code; all it knows of the application comes from the forkserver. To the store it sends its clerk."""

from __future__ import annotations

import logging
import select
import selectors
import time
from collections.abc import Callable

from headbox.clock import boot_time
from headbox.config import Settings
from headbox.domain.errors import StorageError, Superseded
from headbox.domain.outcomes import Outcome
from headbox.domain.task import SECOND, Instant, Work
from headbox.storage.records import ClaimRequest, Exchange, Report
from headbox.storage.store import Store
from headbox.worker.arrival import arrive
from headbox.worker.children import Child
from headbox.worker.clerk import Clerk
from headbox.worker.departure import Departure
from headbox.worker.dispatcher import Dispatcher
from headbox.worker.enlistment import Enlistment, names
from headbox.worker.errand import Answer, Errand, Runs, run
from headbox.worker.journal import Journals
from headbox.worker.keeper import Keeper
from headbox.worker.ledger import Ledger, tell_of
from headbox.worker.neighbours import Neighbours
from headbox.worker.nursery import Nursery
from headbox.worker.protocol import Ready, Reason
from headbox.worker.signals import Signals

POLL = 5_000_000_000  # ns: the net below all wake-ups
RETRY = 500_000_000  # ns between two attempts while the database is away
REVIEW = 5_000_000_000  # ns between two looks at what the store says that this worker holds
AHEAD = SECOND // 100  # microseconds that a task is claimed before it is due, so that it starts on the dot

logger = logging.getLogger(__name__)


class Supervisor:
    """One worker. `run` returns when it was told to end and has."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        nursery: Nursery | None,
        ready: Ready | None,
        *,
        has_parent: bool = False,
    ) -> None:
        self._store = store
        self._settings = settings
        self._nursery = nursery
        self._ready = ready
        self._clock = store.clock()
        self._selector = selectors.DefaultSelector()
        self._signals = Signals(self._selector, repeats_count=not has_parent)
        self._neighbours = Neighbours(self._selector, lambda: self._enlistment.upkeep.hurry())
        self._ledger = Ledger()
        self._dispatcher = Dispatcher(settings)
        callables = ready.callables if ready else []
        self._known = frozenset(names(callables))
        self._dispatcher.async_names = frozenset(names([published for published in callables if published.is_async]))
        self._journals = Journals()
        self._keeper: Keeper | None = None
        if nursery is not None:
            parts = (self._dispatcher, self._ledger, settings, self._clock, self._selector, self._journals)
            self._keeper = Keeper(nursery, *parts, lack=self._lack)
        self._unknown: set[str] = set()  # callables that were asked for and that the application lacks
        self._curious = True  # something may be ready to be claimed
        self._look_for_cancels = False
        self._due_time: Instant | None = None  # of the next task that is scheduled
        self._superseded = self._is_dropped = False
        self._left: list[Outcome] = []  # by a worker that was dropped, and not recorded yet
        self._retry_at = 0
        self._review_at = 0
        # A claim may have been committed whose answer never came: the store repeats what it cannot know to be done.
        self._is_unsure = False
        self._departure = Departure(self._signals, self._dispatcher, settings, self._kill_all)
        self._enlistment: Enlistment
        self._clerk: Clerk[Answer] = Clerk(self._selector)

    def _enlist(self) -> None:
        extended = self._keeper.extend if self._keeper is not None else lambda _: None
        previous = self._enlistment.id if self._is_dropped else None
        self._enlistment = Enlistment(self._store, self._settings, self._ready, self._clock, extended, previous)
        self._listen()
        self._journals.folder = self._enlistment.upkeep.journals
        if self._keeper is not None:
            self._keeper.worker = self._enlistment.id

    def _listen(self) -> None:
        self._selector.register(self._enlistment.watch, selectors.EVENT_READ, self._look)

    # the loop

    def run(self, ready: Callable[[], None]) -> None:
        """Works until it was told to end (SIGTERM, SIGINT) and has; `ready` is called when it begins to, with
        the schema in place. Raises WorkerFailed, StorageError."""
        with self._signals:
            if not arrive(self._store, self._clock, self._enlist, self._signals, self._selector):
                return
            ready()
            try:
                while not self._is_done():
                    self._wait()
                    self._turn()
            finally:
                self._leave()

    def _is_done(self) -> bool:
        if not self._departure.is_begun or self._dispatcher.runs_in_hand or self._clerk.is_out:
            return False
        if self._retry_at and self._departure.has_waited_enough(time.monotonic_ns()):
            logger.error("the database is away: the next worker of this machine records what ended meanwhile")
            return True
        return self._ledger.is_empty()

    def _wait(self) -> None:
        """Until something happens or is due."""
        left = (self._next_time() - time.monotonic_ns()) / 1e9
        if not (self._is_dropped or self._clerk.is_out):
            left = min(left, self._enlistment.watch.pause())
        if left > 0:  # epoll's own time counts whole milliseconds, and rounds up
            select.select([self._selector], [], [], left)
        events = self._selector.select(0)
        for key, _ in events:
            key.data()
        if not events:
            self._look()

    def _look(self) -> None:
        if self._is_dropped or self._clerk.is_out:
            return
        try:
            if self._enlistment.watch.changed():
                self._curious = True
                self._look_for_cancels |= self._dispatcher.runs_in_hand > 0
        except StorageError as error:
            self._wait_for_database(error)

    def _next_time(self) -> int:
        now = time.monotonic_ns()
        times = [now + POLL, self._dispatcher.next_time(now), self._departure.next_time]
        if self._enlistment.deadline and not self._is_dropped:
            times.append(now + self._enlistment.deadline - boot_time())
        if not self._clerk.is_out:
            times.append(max(self._retry_at, self._next_errand_time(now)))
        return min(time for time in times if time is not None)

    def _next_errand_time(self, now: int) -> int:
        behind = now - self._clock.now() * 1000
        instants = [self._enlistment.upkeep.next_time]
        if self._due_time is not None and not self._departure.is_begun and self._dispatcher.room(now).is_any:
            instants.append(self._due_time - AHEAD)
        times = [instant * 1000 + behind for instant in instants]
        if self._is_unsure:
            times.append(self._review_at)
        progress = self._ledger.next_time()
        return min(*times, now + POLL if progress is None else progress)

    def _turn(self) -> None:
        """Everything that is due now."""
        now = time.monotonic_ns()
        self._departure.heed(now)
        if self._superseded or self._enlistment.is_superseded:
            self._drop_all()
        self._tend(now)
        if not self._ledger.is_pressing(now):  # an idle worker starts a task first, a busy one first sends its clerk
            self._dispatcher.hand_out(now)
        if not self._clerk.is_out and now >= self._retry_at:
            try:
                self._visit_store(now)
            except StorageError as error:
                self._wait_for_database(error)
        self._dispatcher.hand_out(now)

    def _tend(self, now: int) -> None:
        """Timeouts, runs that do not end, runs that do not start."""
        dispatcher, keeper = self._dispatcher, self._keeper
        if keeper is None:
            return
        dispatcher.expire(now)
        for child in dispatcher.overdue(now):
            keeper.kill(child)
        dispatcher.take_back(now)
        for task in dispatcher.clear_shelf(None if self._departure.is_begun else now):
            self._ledger.release(task.id, task.run)
        keeper.note_starts(now)
        if not self._departure.is_begun:
            keeper.raise_children()

    # the store

    def _visit_store(self, now: int) -> None:
        """Sends the clerk, if anything is to be said, asked or done there."""
        if self._is_dropped:
            self._start_afresh()
        errand = self._errand(now)
        if errand is None:
            return
        upkeep, instant = self._enlistment.upkeep, self._clock.now()
        self._selector.unregister(self._enlistment.watch)  # what it hears meanwhile is mostly the clerk
        self._clerk.send(
            lambda: run(errand, self._store, upkeep, instant),
            done=lambda answer: self._heed(errand, answer),
            failed=lambda error: self._heed_failure(errand, error),
        )

    def _errand(self, now: int) -> Errand | None:
        request = self._request(now)
        pressing = self._ledger.is_pressing(now)
        upkeep_is_due = self._enlistment.upkeep.is_due(self._clock.now())
        is_review_due = now >= self._review_at and (self._is_unsure or self._dispatcher.runs_in_hand > 0)
        review = self._in_hand() if is_review_due else None
        if not (request or pressing or upkeep_is_due or review is not None or self._look_for_cancels):
            return None
        errand = Errand(
            worker=self._enlistment.id,
            report=self._ledger.take() if pressing else Report(),  # a claim alone starts its task sooner
            pressing=pressing,
            request=request,
            look_for_cancels=self._look_for_cancels,
            upkeep_is_due=upkeep_is_due,
            heard=self._journals.heard(),
            review=review,
        )
        self._curious = self._curious and request is None
        self._look_for_cancels = False
        if review is not None:
            self._review_at, self._is_unsure = now + REVIEW, False
        return errand

    def _in_hand(self) -> Runs:
        return frozenset((task.id, task.run) for task in self._dispatcher.in_hand()) | self._ledger.settled()

    def _request(self, now: int) -> ClaimRequest | None:
        """What to claim, if anything could have come or become due."""
        if self._keeper is None or self._departure.is_begun:
            return None
        if self._keeper.changed:
            self._curious, self._keeper.changed = True, False
        reserved = self._dispatcher.reserved(now) and now >= self._review_at
        due = self._due_time is not None and self._due_time - AHEAD <= self._clock.now()
        if not (self._curious or due or reserved):
            return None
        room = self._dispatcher.room(now)
        if not room.is_any and not reserved:
            return None
        return ClaimRequest(
            queues=self._settings.queues,
            limit=room.runs,  # 0 where it only asks whether the task for which it keeps itself free is still there
            async_limit=room.async_runs,
            max_weight=room.max_weight,
            unknown=tuple(self._unknown),
            ahead=AHEAD,
        )

    def _heed(self, errand: Errand, answer: Answer) -> None:
        """What the clerk brought."""
        self._retry_at = 0
        self._is_unsure |= answer.claimed
        if self._is_dropped:  # it was sent for a worker that is no more
            return
        self._listen()
        now = time.monotonic_ns()
        if answer.exchange is not None:
            self._ledger.note_told(errand.report, now)
            self._journals.note_recorded(errand.heard)
            self._heed_exchange(answer.exchange, now)
        else:
            self._ledger.give_back(errand.report)
            self._due_time = answer.first_time if errand.request is not None else self._due_time
        self._ledger.outcomes += self._enlistment.upkeep.take_ended()
        self._curious |= self._enlistment.upkeep.take_news()
        if answer.workers is not None:  # after a full round it looks for tasks by itself
            self._curious = True
            self._neighbours.watch(answer.workers, self._enlistment.id)
        for id, number in answer.unheld:
            logger.warning("task %s, run %d: claimed and never started; releasing it", id, number)
            self._ledger.release(id, number)
        if answer.canceled:
            self._interrupt_canceled(answer.canceled, now)

    def _heed_failure(self, errand: Errand, error: BaseException) -> None:
        if self._is_dropped:
            self._left += errand.report.outcomes
        else:
            self._listen()
            self._ledger.give_back(errand.report)
            self._ledger.outcomes += self._enlistment.upkeep.take_ended()
        self._look_for_cancels = self._is_unsure = True
        if isinstance(error, Superseded):
            self._superseded = True
        elif isinstance(error, StorageError):
            self._wait_for_database(error)
        else:
            raise error

    def _wait_for_database(self, error: StorageError) -> None:
        """What is to be said waits; what changes meanwhile is looked for when the database is back."""
        if not self._retry_at:
            logger.error("%s; trying again until it is back", error)
        self._retry_at = time.monotonic_ns() + RETRY
        self._curious = True

    def _heed_exchange(self, exchange: Exchange, now: int) -> None:
        tell_of(exchange)
        claims = exchange.claims
        if claims is None:
            return
        self._curious = self._curious or claims.more
        self._due_time = claims.next_time
        passed = claims.passed_over
        self._dispatcher.note_passed_over(passed.id if passed else None, passed.weight if passed else 0, now)
        self._take(claims.tasks)

    def _take(self, tasks: list[Work]) -> None:
        lacking = [task for task in tasks if task.callable not in self._known and task.callable_payload is None]
        for task in lacking:
            self._lack(task)
        instant, now = self._clock.now(), time.monotonic_ns()  # in this order: rather late than early
        known = [task for task in tasks if task not in lacking] if lacking else tasks
        self._dispatcher.shelve(known, now, instant=instant)

    def _lack(self, task: Work) -> None:
        """Releases a task whose callable this worker does not know: held, unless another worker knows it."""
        self._unknown.add(task.callable)
        logger.error("task %s: this worker does not know %s; another has to run it", task.id, task.callable)
        self._ledger.release(task.id, task.run, hold=True)
        self._curious = True

    # canceling

    def _interrupt_canceled(self, asked: Runs, now: int) -> None:
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

    def _kill_all(self) -> None:
        if self._keeper is not None:
            for child in self._dispatcher.children.values():
                self._keeper.kill(child)

    def _drop_all(self) -> None:
        """Others have taken over what this worker held, or may have: its children are killed at once."""
        if self._is_dropped:
            return
        self._is_dropped = True
        logger.error("worker %s was taken for lost; starting afresh under a new id", self._enlistment.id)
        for child in self._dispatcher.children.values():
            child.forget()
        self._kill_all()
        self._dispatcher.clear_shelf()
        self._left += self._ledger.take().outcomes
        if not self._clerk.is_out:
            self._selector.unregister(self._enlistment.watch)
        self._enlistment.drop()

    def _start_afresh(self) -> None:
        """Comes again under a new id; which may take more than one attempt. What ended before, and nobody has taken
        over meanwhile, is still recorded: the fence decides."""
        self._ledger.take()
        if self._left:
            left = Report(outcomes=self._left)
            tell_of(self._store.exchange(self._enlistment.id, left, None, self._clock.now()))
            self._left = []
        self._enlist()
        self._superseded = self._is_dropped = False

    def _leave(self) -> None:
        self._clerk.close()
        if self._nursery is not None:
            self._nursery.stop()
        self._neighbours.close()
        if self._ledger.is_empty() and not (self._left or self._clerk.is_out):
            self._journals.note_recorded(self._journals.heard())
        if not self._is_dropped:
            if self._journals.are_recorded:
                self._enlistment.leave()
            else:  # the next worker of this machine finds its row, its journals, and records what they hold
                self._enlistment.drop()
        self._journals.close()
        self._store.close()
