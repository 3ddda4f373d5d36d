"""The worker: one loop that claims, hands runs to children, writes back how they ended, and watches over them. It runs
no user code; all it knows of the application comes from the forkserver."""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

from headbox.clock import Clock, SystemClock
from headbox.config import Settings
from headbox.domain.errors import HeadboxError, StorageError, Superseded
from headbox.domain.outcomes import Outcome
from headbox.domain.schedulers import format_duration
from headbox.domain.task import Instant, Task
from headbox.identifiers import new_id
from headbox.storage.records import ClaimRequest, Exchange, Progress, Release, Report, Start, Worker
from headbox.storage.store import Store, open_store
from headbox.worker.children import Child, death
from headbox.worker.dispatcher import Dispatcher
from headbox.worker.heartbeat import Heartbeat
from headbox.worker.nursery import Gone, Nursery
from headbox.worker.pace import AHEAD
from headbox.worker.process import boot_id, process_start, resident_memory
from headbox.worker.protocol import (
    ChildFailed,
    Ended,
    Exited,
    Failed,
    Progressed,
    Raised,
    Ready,
    Reason,
    Started,
    Unknown,
)
from headbox.worker.upkeep import Upkeep

POLL = 5_000_000_000  # ns: the net below all wake-ups
RETRY = 500_000_000  # ns between two attempts while the database is away
PROGRESS_EVERY = 50_000_000  # ns between two transactions that only carry progress
AWAKE_SECONDS = 0.000_2
MAX_ENDED_STARTS = 3  # children in a row that could not start, until the worker gives up

EVENTS: Mapping[Reason, Any] = {Reason.CANCEL: "cancel", Reason.TIMEOUT: "expire", Reason.SHUTDOWN: "lose"}

logger = logging.getLogger(__name__)


class WorkerFailed(HeadboxError):
    """The worker cannot go on; the message says why."""


class Supervisor:
    """One worker. `run` returns when it was told to end and has."""

    def __init__(self, store: Store, settings: Settings, nursery: Nursery | None, ready: Ready | None) -> None:
        self._store = store
        self._settings = settings
        self._nursery = nursery
        self._ready = ready
        self._clock: Clock = SystemClock()
        self._selector = selectors.DefaultSelector()
        self._dispatcher = Dispatcher(settings.concurrency, settings.async_concurrency, settings.cancel_grace)
        self._known: set[str] = set()
        self._next_number = 0
        self._failed_starts = 0
        self._outcomes: list[Outcome] = []
        self._starts: list[Start] = []
        self._progress: dict[tuple[str, int], str] = {}
        self._releases: list[Release] = []
        self._unknown: set[str] = set()
        self._curious = True  # something may be ready to be claimed
        self._due_time: Instant | None = None  # of the next task that is scheduled
        self._retry_at = 0
        self._progress_at = 0
        self._stopping = 0  # signals that asked for the end
        self._interrupt_at: int | None = None
        self._give_up_at = 0
        self._signals: list[int] = []
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

    # the loop

    def run(self) -> None:
        """Works until it was told to end (SIGTERM, SIGINT). Raises WorkerFailed, StorageError."""
        self._watch = self._store.watch()
        self._selector.register(self._watch, selectors.EVENT_READ, self._look)
        if self._nursery is not None:
            self._selector.register(self._nursery, selectors.EVENT_READ, self._hear_nursery)
            self._raise_children()
        with self._signals_noted():
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
        return not self._report()

    def _wait(self) -> None:
        """Until something happens or is due."""
        if self._watch.is_awake():
            events = self._selector.select(0)
            if not events:
                time.sleep(AWAKE_SECONDS)
                self._look()
        else:
            events = self._selector.select(max(0.0, (self._next_time() - time.monotonic_ns()) / 1e9))
        for key, _ in events:
            key.data()

    def _look(self) -> None:
        if self._watch.changed():
            self._curious = True
            self._interrupt_canceled()

    def _next_time(self) -> int:
        now = time.monotonic_ns()
        times = [now + POLL, self._upkeep.next_time]
        dispatcher_time = self._dispatcher.next_time()
        if dispatcher_time is not None:
            times.append(dispatcher_time)
        if self._due_time is not None and not self._stopping and self._dispatcher.room(now).runs:
            times.append(now + (self._due_time - self._clock.now()) * 1000)
        if self._progress:
            times.append(self._progress_at + PROGRESS_EVERY)
        if self._interrupt_at is not None:
            times.append(self._interrupt_at)
        if self._retry_at:
            return max(self._retry_at, min(times))
        return min(times)

    def _turn(self) -> None:
        """Everything that is due now."""
        now = time.monotonic_ns()
        self._heed_signals(now)
        dispatcher = self._dispatcher
        dispatcher.expire(now)
        for child in dispatcher.overdue(now):
            self._kill(child)
        dispatcher.take_back(now)
        self._release(dispatcher.clear_shelf(None if self._stopping else now))
        self._note_starts(now)
        if self._nursery is not None and not self._stopping:
            self._raise_children()
        if self._heartbeat.superseded:
            self._start_afresh()
        if now < self._retry_at:
            return
        try:
            self._outcomes += self._upkeep.tick(self._clock.now(), now)
            self._exchange(now)
            self._retry_at = 0
        except Superseded:
            self._start_afresh()
        except StorageError as error:
            logger.error("%s; trying again", error)
            self._retry_at = now + RETRY
        dispatcher.hand_out(now)

    # the store

    def _report(self) -> Report:
        progress = [Progress(id, run, text) for (id, run), text in self._progress.items()]
        return Report(outcomes=self._outcomes, starts=self._starts, progress=progress, releases=self._releases)

    def _exchange(self, now: int) -> None:
        request = self._request(now)
        pressing = bool(self._outcomes or self._starts or self._releases)
        pressing = pressing or (bool(self._progress) and now >= self._progress_at + PROGRESS_EVERY)
        if request is None and not pressing:
            return
        if not pressing and request is not None and not self._is_worth_claiming(request):
            return
        report = self._report()
        answer = self._store.exchange(self.id, report, request, self._clock.now())
        self._outcomes, self._starts, self._releases = [], [], []
        if self._progress:
            self._progress, self._progress_at = {}, now
        self._heed(answer, now)

    def _request(self, now: int) -> ClaimRequest | None:
        """What to claim, if it may be worth it."""
        if self._stopping:
            return None
        due = self._due_time is not None and self._due_time <= self._clock.now()
        if not (self._curious or due):
            return None
        room = self._dispatcher.room(now)
        if not room.runs and not room.async_runs:
            return None
        return ClaimRequest(
            queues=self._settings.queues,
            limit=room.runs,
            max_weight=room.max_weight,
            unknown=tuple(self._unknown),
            apart=tuple(self._dispatcher.async_names),
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
        self._curious = claims.more or bool(answer.skipped)
        self._due_time = claims.next_time
        passed = claims.passed_over
        self._dispatcher.note_passed_over(passed.id if passed else None, passed.weight if passed else 0, now)
        self._take(claims.tasks, now)

    def _take(self, tasks: list[Task], now: int) -> None:
        unknown = [task for task in tasks if task.callable not in self._known and task.callable_payload is None]
        for task in unknown:
            self._lack(task)
        self._dispatcher.shelve([task for task in tasks if task not in unknown] if unknown else tasks, now)

    def _lack(self, task: Task) -> None:
        """Releases a task whose callable this worker does not know: held, unless another worker knows it."""
        self._unknown.add(task.callable)
        logger.error("task %s: this worker does not know %s; another has to run it", task.id, task.callable)
        self._releases.append(Release(task.id, task.run, hold=True))
        self._curious = True

    def _release(self, tasks: list[Task]) -> None:
        self._releases += [Release(task.id, task.run) for task in tasks]

    def _interrupt_canceled(self) -> None:
        asked = set(self._store.canceling(self.id))
        if not asked:
            return
        now = time.monotonic_ns()
        for child in self._dispatcher.children.values():
            for seq, task in list(child.runs.items()):
                if (task.id, task.run) in asked:
                    self._cancel(child, seq, task, now)
        for task in self._dispatcher.take_from_shelf(asked):
            self._outcomes.append(Outcome(task.id, task.run, "cancel", self._clock.now()))

    def _cancel(self, child: Child, seq: int, task: Task, now: int) -> None:
        """Interrupts a run; one that has not started is taken back, and never does."""
        if child.is_sync and seq not in (run for run, _ in child.in_progress()):
            self._dispatcher.take_back_from(child, now)
        self._dispatcher.interrupt(child, seq, Reason.CANCEL, now)  # nothing, if it was taken back

    # children

    def _raise_children(self) -> None:
        sync = sum(child.is_sync and not child.killed for child in self._dispatcher.children.values())
        for _ in range(sync, self._settings.concurrency):
            self._raise_child("sync")
        if self._dispatcher.async_names and all(
            child.is_sync or child.killed or child.solitary for child in self._dispatcher.children.values()
        ):
            self._raise_child("async")

    def _raise_child(self, kind: Any) -> None:
        assert self._nursery is not None
        self._next_number += 1
        child = Child(self._nursery.raise_child(self._next_number, kind))
        self._dispatcher.children[self._next_number] = child
        self._selector.register(child.link, selectors.EVENT_READ, lambda: self._hear(child))

    def _hear(self, child: Child) -> bool:
        """Reads what a child says; whether there was anything."""
        messages = child.link.receive()
        for message in messages:
            match message:
                case Ended():
                    self._end(child, message)
                case Progressed(seq, progress):
                    if (task := child.runs.get(seq)) is not None:
                        self._progress[(task.id, task.run)] = progress
                case Started(seq, started_at):
                    if seq in child.runs:
                        child.started[seq] = started_at
                case Unknown(seq):
                    if (task := child.drop(seq)) is not None:
                        self._lack(task)
                case ChildFailed(text):
                    self._failed_starts += 1
                    logger.error("a child could not start: %s", text)
                    if self._failed_starts >= MAX_ENDED_STARTS:
                        raise WorkerFailed(text)
        if child.link.ready:
            self._failed_starts = 0
        if child.link.closed:
            self._selector.unregister(child.link)
        return bool(messages)

    def _end(self, child: Child, ended: Ended) -> None:
        interruption = child.interruptions.get(ended.seq)
        recorded = ended.seq in child.recorded
        task = child.drop(ended.seq)
        if task is None:
            return
        child.ended += 1
        self._dispatcher.pace.note(task.callable, ended.ended_at - ended.started_at)
        started = self._clock.from_monotonic(ended.started_at)
        if not recorded:
            self._judge_lateness(task, started)
        ending = ended.ending
        finish_time = self._clock.from_monotonic(ended.ended_at)
        child.retiring = child.retiring or (ended.interrupted and child.is_sync)
        if ended.interrupted and interruption is not None:
            self._outcomes.append(self._interrupted(task, interruption.reason, started, finish_time, ending.traceback))
        else:  # a child that interrupts itself has its run fail
            self._outcomes.append(
                Outcome(
                    task.id,
                    task.run,
                    "succeed" if ending.event == "succeed" else "fail",
                    finish_time,
                    started,
                    ending.result,
                    ending.public_result,
                    ending.exception,
                    ending.traceback,
                    ending.retry_after,
                    ending.discard,
                )
            )
        self._curious = True
        self._recycle(child)

    def _interrupted(
        self, task: Task, reason: Reason, start: Instant | None, finish: Instant, traceback: str | None = None
    ) -> Outcome:
        sentences = {
            Reason.CANCEL: None,
            Reason.TIMEOUT: f"the run lasted longer than its timeout of {format_duration(task.timeout or 0)}",
            Reason.SHUTDOWN: f"worker {self.id} on host {socket.gethostname()} was shut down before the run had ended",
        }
        return Outcome(
            task.id,
            task.run,
            EVENTS[reason],
            finish,
            start,
            exception=sentences[reason],
            traceback=traceback if reason == Reason.TIMEOUT else None,
            counts=False,
        )

    def _recycle(self, child: Child) -> None:
        """Replaces a child that has had its number of runs, or has grown beyond its memory."""
        runs, memory = self._settings.child_runs, self._settings.child_memory
        if child.retiring or (runs is None and memory is None):
            return
        if (runs is not None and child.ended >= runs) or (
            memory is not None and child.link.pid and resident_memory(child.link.pid) > memory
        ):
            self._retire(child)

    def _retire(self, child: Child) -> None:
        child.retiring = True
        if child.is_sync:
            self._dispatcher.take_back_from(child, time.monotonic_ns())
        child.link.stop()

    def _kill(self, child: Child) -> None:
        assert self._nursery is not None
        child.killed = True
        self._nursery.kill(child.link.number)

    def _hear_nursery(self) -> None:
        assert self._nursery is not None
        for message in self._nursery.receive():
            match message:
                case Exited(number, _, status):
                    self._bury(number, status)
                case Gone(status):
                    self._replace_forkserver(status)
                case Failed(text):
                    raise WorkerFailed(text)
                case Raised() | Ready():
                    pass

    def _bury(self, number: int, status: int) -> None:
        """Settles the runs of a child that has ended, and forgets it."""
        child = self._dispatcher.children.get(number)
        if child is None:
            return
        self._hear_out(child)
        del self._dispatcher.children[number]
        in_progress = dict(child.in_progress())
        now = self._clock.now()
        unstarted = []
        for seq, task in child.runs.items():
            interruption = child.interruptions.get(seq)
            if seq not in in_progress and interruption is None:
                unstarted.append(task)
                continue
            start = self._clock.from_monotonic(in_progress[seq]) if seq in in_progress else None
            if interruption is not None:
                self._outcomes.append(self._interrupted(task, interruption.reason, start, now))
                continue
            reason = f"the process that ran it (pid {child.link.pid}) {death(status)}"
            guilty = not child.killed
            if not guilty:
                reason += ", since a neighbour on its event loop could not be interrupted"
            logger.warning("task %s (%s), run %d: lost: %s", task.id, task.method_name, task.run, reason)
            self._outcomes.append(Outcome(task.id, task.run, "lose", now, start, exception=reason, counts=guilty))
        self._dispatcher.shelve(unstarted, time.monotonic_ns(), first=True)
        self._curious = True
        child.link.close()

    def _hear_out(self, child: Child) -> None:
        """All that a dead child has said. A process of its task that left its group may keep the socket open."""
        while not child.link.closed:
            if not self._hear(child):
                self._selector.unregister(child.link)
                break

    def _replace_forkserver(self, status: int) -> None:
        assert self._nursery is not None
        logger.error("the forkserver %s; starting another", death(status))
        for number in list(self._dispatcher.children):
            self._dispatcher.children[number].killed = False
            self._bury(number, -signal.SIGKILL)
        self._nursery.start()
        self._selector.register(self._nursery, selectors.EVENT_READ, self._hear_nursery)

    # starts

    def _note_starts(self, now: int) -> None:
        for child in self._dispatcher.children.values():
            for seq, started_at in child.in_progress():
                if seq not in child.recorded and now - started_at >= AHEAD:
                    child.recorded.add(seq)
                    task = child.runs[seq]
                    start = self._clock.from_monotonic(started_at)
                    self._judge_lateness(task, start)
                    self._starts.append(Start(task.id, task.run, start))

    def _judge_lateness(self, task: Task, start: Instant) -> None:
        if task.scheduled_time is None:
            return
        threshold = task.schedule_threshold
        late = start - max(task.due_time, task.scheduled_time)
        if late > (self._settings.schedule_threshold if threshold is None else threshold):
            logger.error("task %s (%s) started %s late", task.id, task.method_name, format_duration(late))

    # going

    def _signals_noted(self) -> _Signals:
        return _Signals(self._selector, self._signals)

    def _heed_signals(self, now: int) -> None:
        while self._signals:
            self._signals.pop()
            self._stopping += 1
            if self._stopping == 1:
                runs = sum(len(child.in_progress()) for child in self._dispatcher.children.values())
                logger.warning("finishing %d runs; again to stop at once", runs)
                self._dispatcher.take_back_all(now)
                self._interrupt_at = now + self._settings.grace * 1000
                self._give_up_at = self._interrupt_at + self._settings.cancel_grace * 1000
            else:
                self._interrupt_all(now)
                for child in self._dispatcher.children.values():
                    self._kill(child)
        if self._interrupt_at is not None and now >= self._interrupt_at:
            self._interrupt_at = None
            self._interrupt_all(now)

    def _interrupt_all(self, now: int) -> None:
        for child in self._dispatcher.children.values():
            for seq in list(child.runs):
                self._dispatcher.interrupt(child, seq, Reason.SHUTDOWN, now)

    def _start_afresh(self) -> None:
        """Others have taken over what this worker held: its children are killed, and it comes again under a new id."""
        logger.error("worker %s was taken for lost; starting afresh under a new id", self.id)
        for child in self._dispatcher.children.values():
            child.runs.clear()
            child.interruptions.clear()
            self._kill(child)
        self._dispatcher.clear_shelf()
        self._outcomes, self._starts, self._releases, self._progress = [], [], [], {}
        self._heartbeat.stop()
        self._upkeep.close()
        self._enlist()

    def _leave(self) -> None:
        self._heartbeat.stop()
        if self._nursery is not None:
            self._nursery.stop()
        self._upkeep.close()
        self._store.deregister(self.id, self._clock.now())
        self._watch.close()
        self._store.close()


class _Signals:
    """Notes SIGTERM and SIGINT, and wakes the selector for them."""

    def __init__(self, selector: selectors.BaseSelector, noted: list[int]) -> None:
        self._selector = selector
        self._noted = noted

    def __enter__(self) -> None:
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)
        self._selector.register(self._read, selectors.EVENT_READ, lambda: self._read.recv(64))
        signal.set_wakeup_fd(self._write.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: self._noted.append(number))

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(-1)
        self._selector.unregister(self._read)
        self._read.close()
        self._write.close()


def run_worker(
    settings: Settings,
    *,
    preload: bool = True,
    database_given: bool = False,
    status: Callable[[dict[str, Any]], None] | None = None,
) -> int:
    """Runs a worker until it is told to end. Returns the exit status: 0 drained, 1 it could not work (and says why).

    `database_given`: the database was named by an option or the environment, so an application that names another is
    an error. `status` is told {"database": url} once the database is there and ready.
    """
    nursery, ready, url = None, None, settings.database
    try:
        if settings.app is not None:
            nursery = Nursery(settings.app, settings.database, preload=preload)
            ready = _prepare(nursery)
            url = _resolve_database(settings, ready, database_given)
        store = open_store(url, settings.finished_lifetime)
        store.initialise(SystemClock().now())
        supervisor = Supervisor(store, settings, nursery, ready)
        if status is not None:
            status({"database": url})
        supervisor.run()
    except HeadboxError as error:
        logger.error("%s", error)
        return 1
    finally:
        if nursery is not None:
            nursery.stop()
    return 0


def _prepare(nursery: Nursery) -> Ready:
    """Starts the forkserver and waits for the application to be imported."""
    nursery.start()
    with selectors.DefaultSelector() as selector:
        selector.register(nursery, selectors.EVENT_READ)
        while True:
            selector.select()
            for message in nursery.receive():
                match message:
                    case Ready():
                        for warning in message.warnings:
                            logger.warning("%s", warning)
                        return message
                    case Failed(text):
                        raise WorkerFailed(text)
                    case Gone(code):
                        raise WorkerFailed(f"the application could not be imported: the process {death(code)}")
                    case _:
                        pass


def _resolve_database(settings: Settings, ready: Ready, given: bool) -> str:
    """The application's database wins unless it was left to the default; two that were both chosen must agree."""
    if ready.database is None or ready.database_is_default:
        return settings.database
    if given and ready.database != settings.database:
        raise WorkerFailed(
            f"the queue of {settings.app} is kept in {ready.database}, but {settings.database} was given;"
            " leave one of them out"
        )
    return ready.database
