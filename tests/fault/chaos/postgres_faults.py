"""What befalls PostgreSQL and the network in front of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.fault.chaos.faults import ANYWHERE, Fault, Scene
from tests.fault.chaos.house import until
from tests.fault.chaos.postgres_site import Network, PostgresSite
from tests.fault.chaos.sites import rows

TERMINATE = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"""


def _site(scene: Scene) -> PostgresSite:
    assert isinstance(scene.site, PostgresSite)
    return scene.site


def _network(scene: Scene) -> Network:
    """The way of one of the workers, or of the clients."""
    return scene.random.choice([*_site(scene).workers, _site(scene).clients])


def terminate_backends(scene: Scene) -> None:
    rows(scene.site, TERMINATE)


def stop_server(scene: Scene) -> None:
    _restart(scene, _site(scene).server.stop)


def kill_server(scene: Scene) -> None:
    _restart(scene, _site(scene).server.kill)


def _restart(scene: Scene, end: Callable[[], None]) -> None:
    end()
    scene.hold(0.0, 4.0)
    _site(scene).restart()


def cut_network(scene: Scene) -> None:
    """Every connection of one side breaks."""
    _network(scene).cut()


def delay_network(scene: Scene) -> None:
    network = _network(scene)
    network.delay = scene.random.uniform(0.02, 0.3)
    scene.hold(1.0, 4.0)
    network.delay = 0.0


def swallow_network(scene: Scene) -> None:
    """A black hole before one worker, for less or for more than its lease; then all connections break."""
    network = scene.random.choice(_site(scene).workers)
    network.fall_silent()
    scene.hold(0.5, 8.0)
    network.refuses = True
    network.cut()
    network.speak()
    network.refuses = False


def lose_commit_of_worker(scene: Scene) -> None:
    """A claim or a report is committed, and its worker never hears of it."""
    _lose_commits(scene.random.choice(_site(scene).workers))


def lose_commit_of_client(scene: Scene) -> None:
    """An enqueue is committed, and the client never hears of it."""
    _lose_commits(_site(scene).clients)


def _lose_commits(network: Network) -> None:
    before = network.lost
    network.lose_answer_to(b"COMMIT")
    until(lambda: network.lost > before, "a commit whose answer can be lost")


def leave_transaction_open(scene: Scene) -> None:
    """Somebody's snapshot is kept while tens of thousands of tasks come and go, and while all else is broken."""
    _site(scene).open_transaction.leave_open(scene.random.uniform(0.1, 0.3) * scene.seconds)


def set_server_clock_forward(scene: Scene) -> None:
    _set_server_clock(scene, 1.0)


def set_server_clock_back(scene: Scene) -> None:
    _set_server_clock(scene, -1.0)


def _set_server_clock(scene: Scene, sign: float) -> None:
    """The clock that all share is wrong for a while, then right again."""
    _site(scene).set_clock(sign * scene.random.uniform(1.0, min(20.0, scene.seconds / 2)))
    scene.hold(0.5, min(15.0, scene.seconds / 2))
    _site(scene).set_clock(0.0)


# What ends every connection, or the only server that there is.
ENDS_TRANSACTIONS: Final = {
    "pg_terminate_backend of everything",
    "server stopped (fast) and started",
    "server killed (immediate) and started",
    "kill -9 of everything at once",
}
FAULTS: dict[str, Fault] = ANYWHERE | {
    "pg_terminate_backend of everything": terminate_backends,
    "server stopped (fast) and started": stop_server,
    "server killed (immediate) and started": kill_server,
    "network cut": cut_network,
    "network slow": delay_network,
    "network a black hole": swallow_network,
    "answer to a worker's commit lost": lose_commit_of_worker,
    "answer to an enqueue's commit lost": lose_commit_of_client,
    "somebody's transaction left open": leave_transaction_open,
    "server's clock set forward, then right": set_server_clock_forward,
    "server's clock set back, then right": set_server_clock_back,
}
