"""One chaos run: a service under load, a fault after another, and in the end the verdict."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path
from random import Random
from typing import NamedTuple

import msgspec

from headbox.clock import Clock
from headbox.storage.store import Store, open_store
from tests.fault.chaos import postgres_faults, sqlite_faults, workload
from tests.fault.chaos.checker import Verdict, judge
from tests.fault.chaos.clients import Client, HTTPClient, PythonClient, TransactionalClient, schedule_ticks
from tests.fault.chaos.evidence import Period, gather, skips_in
from tests.fault.chaos.faults import Fault, Scene
from tests.fault.chaos.house import API, House, Process, Stuck, free_port, until
from tests.fault.chaos.journal import Journal
from tests.fault.chaos.ledger import ACCEPTED, Ledger
from tests.fault.chaos.postgres_site import PostgresSite
from tests.fault.chaos.sites import Site, SQLiteSite, rows
from tests.fault.chaos.wall_clock import WallClock

WORKERS = 3
PASSWORD = "as long as chaos reigns"
BACKLOG = 4000  # tasks that may wait: beyond it clients hold back


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to do: at least so many seconds and so many tasks."""

    database: str
    seconds: float
    tasks: int
    seed: int
    only: tuple[str, ...] = ()  # kinds of faults, by a part of their names; none: all


class Outcome(NamedTuple):
    """What came of it."""

    plan: Plan
    seconds: float
    periods: list[Period]
    verdict: Verdict
    folder: Path


def run(plan: Plan, say: Callable[[str], None] = lambda _: None) -> Outcome:
    """Runs the plan. What there is to look at afterwards is in the outcome's folder."""
    folder = Path(tempfile.mkdtemp(prefix="headbox-chaos-"))
    with ExitStack() as stack:
        site: Site = SQLiteSite(folder) if plan.database == "sqlite" else PostgresSite(WORKERS)
        stack.callback(site.close)
        clocks = [WallClock(folder / f"clock-{number}") for number in range(site.machines)]
        store = stack.enter_context(_prepared(site, clocks[-1]))
        journal = Journal(folder / "journal")
        house = _furnish(site, journal, folder, clocks)
        stack.callback(house.close)
        return _Run(plan, site, store, journal, house, say).run(folder)


@contextmanager
def _prepared(site: Site, machine: WallClock) -> Iterator[Store]:
    """The clients' store, its schema made; the application's queue is on it meanwhile. On SQLite the clients see the
    clock of the one machine that there is; the engine itself always knows the true time."""
    store = open_store(site.client_url())
    clock: Clock = machine if site.kind == "sqlite" else store.clock()
    store.initialise(clock.now())
    with site.connect() as connection:
        for statement in site.preparations:
            connection.execute(statement)
    with workload.queue.using(store, clock):
        yield store
    store.close()


def _furnish(site: Site, journal: Journal, folder: Path, clocks: list[WallClock]) -> House:
    shared = {
        "HEADBOX_LEASE": "3",
        "HEADBOX_GRACE": "5",
        "HEADBOX_HISTORY_RUNS": "1000000",
        "HEADBOX_SECRET_KEYS": ",".join(site.secret_keys),
        "CHAOS_JOURNAL": str(journal.path),
    }
    environment = {name: value for name, value in shared.items() if value}
    asked = environment | {"HEADBOX_DATABASE": site.client_url(), "HEADBOX_ADMIN_PASSWORD": PASSWORD}
    api = API(free_port(), folder, asked | clocks[-1].environment)
    command = ["work", "--app", "tests.fault.chaos.workload:queue", "--concurrency", "2"]
    workers = [
        Process(f"work-{number}", command, folder, environment | {"HEADBOX_DATABASE": url} | clock.environment)
        for number, (url, clock) in enumerate(zip(map(site.worker_url, range(WORKERS)), cycle(clocks), strict=False))
    ]
    return House(folder, api, workers, clocks)


class _Run:
    """A run in progress."""

    def __init__(
        self, plan: Plan, site: Site, store: Store, journal: Journal, house: House, say: Callable[[str], None]
    ) -> None:
        self._plan = plan
        self._site = site
        self._store = store
        self._journal = journal
        self._house = house
        self._say = say
        self._ledger = Ledger()
        self._begun = 0.0
        self._periods: list[Period] = []
        self._troubles: list[tuple[str, str]] = []
        self._revived = 0

    def run(self, folder: Path) -> Outcome:
        until(lambda: len(self._store.workers()) == WORKERS and self._house.api.is_ready(), "the service to come up")
        ticks = schedule_ticks(workload.queue, 3)
        self._begun = time.monotonic()
        clients = self._clients()
        for client in clients:
            client.start()
        try:
            self._break_things()
        except Stuck as stuck:
            self._note_stuck(stuck)
        seconds = time.monotonic() - self._begun
        self._end(clients, ticks)
        return Outcome(self._plan, seconds, self._periods, self._judge(), folder)

    # the load

    def _clients(self) -> list[Client]:
        seed, ledger, site = self._plan.seed, self._ledger, self._site
        port = self._house.api.port
        return [
            *(PythonClient(f"python{n}", seed, ledger, self._pace(0.25), site) for n in range(3)),
            TransactionalClient("transaction", seed, ledger, self._pace(0.13), site),
            *(HTTPClient(f"http{n}", seed, ledger, self._pace(0.06), port, PASSWORD) for n in range(2)),
        ]

    def _pace(self, share: float) -> Callable[[int], bool]:
        """Spreads a client's share of the tasks, some of which will be refused, over the time."""

        def may_ask(asked: int) -> bool:
            elapsed = (time.monotonic() - self._begun) / self._plan.seconds
            goal = 1.1 * self._plan.tasks * share * elapsed
            return asked < goal and len(self._ledger) - self._journal.ended() < BACKLOG

        return may_ask

    # the faults

    def _break_things(self) -> None:
        random = Random(f"{self._plan.seed}/faults")
        scene = Scene(self._site, self._house, self._journal, random, self._plan.seconds)
        for kind, fault in self._drawn(random):
            scene.let_end(random.randint(20, 300))
            self._befall(kind, fault, scene)
            if self._is_enough():
                return

    def _drawn(self, random: Random) -> Iterator[tuple[str, Fault]]:
        """Every kind in a drawn order, then again in another. What would end an open transaction waits for its end."""
        assert isinstance(self._site, (SQLiteSite, PostgresSite))
        kinds = sqlite_faults.faults(self._site) if isinstance(self._site, SQLiteSite) else postgres_faults.FAULTS
        chosen = [kind for kind in kinds if not self._plan.only or any(word in kind for word in self._plan.only)]
        waiting: dict[str, None] = {}  # in order
        while True:
            random.shuffle(chosen)
            for drawn in list(chosen):
                waiting[drawn] = None
                kind = next((kind for kind in waiting if not self._must_wait(kind)), None)
                if kind is not None:
                    del waiting[kind]
                    yield kind, kinds[kind]

    def _must_wait(self, kind: str) -> bool:
        site = self._site
        ends_it = isinstance(site, PostgresSite) and kind in postgres_faults.ENDS_TRANSACTIONS
        return ends_it and site.open_transaction.is_open

    def _is_enough(self) -> bool:
        done = time.monotonic() - self._begun >= self._plan.seconds
        return done and self._ledger.counts()[ACCEPTED] >= self._plan.tasks

    def _befall(self, kind: str, fault: Fault, scene: Scene) -> None:
        begin = _now()
        fault(scene)
        end = _now()
        self._revived += self._house.revive()
        self._await_finish(kind)
        self._periods.append(Period(kind, begin, end, _now()))
        self._say(
            f"{time.monotonic() - self._begun:6.1f} s  {len(self._ledger):7d} asked {self._journal.ended():7d} ended  "
            f"{kind}: {(end - begin) / 1e6:.2f} s, the next finish {(_now() - end) / 1e6:.2f} s later"
        )

    def _await_finish(self, kind: str) -> None:
        """Until the end of a run is recorded that came behind the fault; the times in the records may be wrong ones."""
        place = self._journal.place()
        with self._site.connect() as connection:

            def is_recorded() -> object:
                ended = [f"id = '{line.id}' AND run = {line.run}" for line in self._journal.lines(place)][:50]
                sought = " OR ".join(ended) or "id IS NULL"
                asked = f"SELECT 1 FROM headbox_task_history WHERE ({sought}) AND state <> 'reset' LIMIT 1"
                return connection.execute(asked).fetchone()

            until(is_recorded, f"the first finish after {kind}")

    # the end

    def _end(self, clients: list[Client], ticks: list[str]) -> None:
        for client in clients:
            client.stopped.set()
        for client in clients:
            client.join(60)
            if client.is_alive() or client.failure:
                self._troubles.append(("client", f"{client.name}: {client.failure or 'it hangs'!r}"))
        self._revived += self._house.revive()
        try:
            self._await_schedules(ticks)
            for id in ticks:
                workload.queue.remove(id)
            until(
                lambda: not rows(self._site, "SELECT 1 FROM headbox_tasks WHERE queue <> 'headbox' LIMIT 1"),
                "all to end",
            )
            until(lambda: len(self._store.workers()) == WORKERS, "every worker to be registered once")
        except Stuck as stuck:
            self._note_stuck(stuck)

    def _await_schedules(self, ids: list[str]) -> None:
        """Until each schedule has gone on behind the last fault."""
        count = "SELECT id, max(run) FROM headbox_task_history WHERE schedule_name IS NOT NULL GROUP BY id"
        before = dict(rows(self._site, count))

        def go_on() -> bool:
            runs = dict(rows(self._site, count))
            return all(runs.get(id, 0) > before.get(id, 0) for id in ids)

        until(go_on, "every schedule to go on")

    def _note_stuck(self, stuck: Stuck) -> None:
        self._house.note_stacks()
        workers = [(worker.id, worker.pid) for worker in self._store.workers()]
        self._troubles.append(("stuck", f"{stuck}; workers: {workers}, pids: {[w.pid for w in self._house.workers]}"))

    def _judge(self) -> Verdict:
        logs = [worker.log for worker in self._house.workers]
        verdict = judge(gather(self._site, self._journal, self._ledger, self._periods, skips_in(logs)))
        verdict.figures.update(self._site.figures())
        verdict.figures["results of superseded runs that were dropped"] = sum(
            log.count("superseded, its result was dropped") for log in logs
        )
        verdict.figures["workers that found the database away when they started"] = self._revived
        for kind, sentence in self._troubles:
            verdict.blame(kind, sentence)
        for sentence in self._house.falls():
            verdict.blame("fallen", sentence)
        logs_of_all = [process.log for process in self._house.processes]
        verdict.figures["tracebacks in logs"] = sum(
            log.count("Traceback (most recent call last)") for log in logs_of_all
        )
        for problem in self._store.check():
            verdict.blame("unsound database", problem)
        return verdict


def _now() -> int:
    return time.time_ns() // 1000


def tidy(outcome: Outcome) -> None:
    """Deletes what the run has left."""
    shutil.rmtree(outcome.folder, ignore_errors=True)
