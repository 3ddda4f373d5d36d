"""What befalls the service: faults that any database has to bear. Each returns when it is over, and what it held for as
long as it lasted is let go; what the run has to recover from then is measured by the engine."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import NamedTuple

from tests.fault.chaos.house import House, Process, kill, until
from tests.fault.chaos.journal import Journal
from tests.fault.chaos.sites import Site, rows


class Scene(NamedTuple):
    """What faults may take hold of."""

    site: Site
    house: House
    journal: Journal
    random: Random
    seconds: float  # that the run is to last

    def worker(self) -> Process:
        """One of the workers, drawn."""
        return self.random.choice(self.house.workers)

    def hold(self, shortest: float, longest: float) -> None:
        """Lets a fault last: its length is drawn."""
        time.sleep(self.random.uniform(shortest, longest))

    def let_end(self, runs: int) -> None:
        """Waits until so many more runs have ended."""
        goal = self.journal.ended() + runs
        until(lambda: self.journal.ended() >= goal, f"{runs} more runs to end")


Fault = Callable[[Scene], None]


def kill_child(scene: Scene) -> None:
    children = scene.worker().children()
    if children:
        kill(scene.random.choice(children))


def stop_child(scene: Scene) -> None:
    """SIGSTOP, for as long as it takes; then SIGCONT."""
    children = scene.worker().children()
    if children:
        child = scene.random.choice(children)
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGSTOP)
            scene.hold(0.5, 4.0)
            os.kill(child, signal.SIGCONT)


def kill_forkserver(scene: Scene) -> None:
    forkserver = scene.worker().forkserver()
    if forkserver is not None:
        kill(forkserver)


def kill_supervisor(scene: Scene) -> None:
    scene.worker().kill()


def kill_every_supervisor(scene: Scene) -> None:
    for worker in scene.house.workers:
        worker.kill()


def kill_everything(scene: Scene) -> None:
    """All at once, before any can notice that another has gone: a machine that loses its power, or all of them do."""
    for process in scene.house.processes:
        process.note_fall()
    for process in scene.house.processes:
        process.process.kill()
    scene.site.lose_power()
    for process in scene.house.processes:
        process.start_again()
    until(scene.house.api.is_ready, "the API to be ready again")


def kill_api(scene: Scene) -> None:
    scene.house.api.kill()
    until(scene.house.api.is_ready, "the API to be ready again")


def drain_supervisor(scene: Scene) -> None:
    """A rolling restart of one."""
    scene.worker().drain()


def stop_supervisor(scene: Scene) -> None:
    """SIGSTOP, beyond the lease where there is one: until others have taken over; then SIGCONT."""
    worker = scene.worker()
    (before,) = _ids(scene, worker) or [None]
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        if before is not None and scene.site.kind == "postgres":
            until(lambda: before not in _ids(scene, worker), "a stopped worker's row to be taken away")
        else:
            scene.hold(1.0, 4.0)
    finally:
        with suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGCONT)


def set_clock_forward(scene: Scene) -> None:
    _set_clock(scene, 1.0)


def set_clock_back(scene: Scene) -> None:
    _set_clock(scene, -1.0)


def _set_clock(scene: Scene, sign: float) -> None:
    """The wall clock of one machine is wrong for a while, then set right again: it jumps twice. Who shares the
    database's clock must not mind by how much; on SQLite that clock is the one of all."""
    clock = scene.random.choice(scene.house.clocks)
    furthest = min(20.0, scene.seconds / 2) if scene.site.kind == "sqlite" else 86_400.0
    clock.set(sign * scene.random.uniform(1.0, furthest))
    scene.hold(0.5, min(5.0, scene.seconds / 2))
    clock.set(0.0)


def stop_every_supervisor(scene: Scene) -> None:
    """SIGSTOP, for less or for more than the lease: a machine that is suspended, and nobody is there to take over."""
    stopped = [worker.pid for worker in scene.house.workers]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    scene.hold(1.0, 6.0)
    for pid in stopped:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def _ids(scene: Scene, worker: Process) -> list[str]:
    return [str(id) for id, pid in rows(scene.site, "SELECT id, pid FROM headbox_workers") if pid == worker.pid]


ANYWHERE: dict[str, Fault] = {
    "kill -9 of a child": kill_child,
    "kill -9 of a forkserver": kill_forkserver,
    "kill -9 of a supervisor": kill_supervisor,
    "kill -9 of every supervisor": kill_every_supervisor,
    "kill -9 of everything at once": kill_everything,
    "kill -9 of the API": kill_api,
    "SIGTERM of a supervisor": drain_supervisor,
    "SIGSTOP of a supervisor": stop_supervisor,
    "SIGSTOP of every supervisor": stop_every_supervisor,
    "SIGSTOP of a child": stop_child,
    "wall clock set forward, then right": set_clock_forward,
    "wall clock set back, then right": set_clock_back,
}
