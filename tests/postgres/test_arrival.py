"""A worker that starts while its database is away for a moment: it waits, says so in one line, and then works."""

from __future__ import annotations

import selectors
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from headbox.domain.errors import StorageError, StorageUnavailable
from headbox.domain.task import HOUR
from headbox.storage.postgres.store import PostgresStore
from headbox.worker import arrival
from headbox.worker.signals import Signals
from servers.postgres import in_database
from tests.postgres.conftest import a_worker, with_wrong_password
from tests.tcp_proxy import Proxy

PATIENCE = 30  # seconds; nothing here takes that long
ENLISTING = b"headbox_workers"


class Newcomer:
    """Comes to a database on a thread of its own, and has no patience with a single call."""

    def __init__(self, url: str) -> None:
        self.store = PostgresStore(url, HOUR)
        self.store.patience = 0.0
        self.selector = selectors.DefaultSelector()
        self.signals = Signals(self.selector)
        self._thread = ThreadPoolExecutor(1)

    def come(self) -> Future[bool]:
        clock = self.store.clock()
        enlist = lambda: self.store.register(a_worker("w"), [], [], clock.now())  # noqa: E731
        return self._thread.submit(arrival.arrive, self.store, clock, enlist, self.signals, self.selector)

    def close(self) -> None:
        self.signals.noted.append(signal.SIGTERM)
        self._thread.shutdown()
        self.store.close()
        self.selector.close()


@pytest.fixture
def newcomer(proxy: tuple[Proxy, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Newcomer]:
    monkeypatch.setattr(arrival, "RETRY", 0.01)
    newcomer = Newcomer(proxy[1])
    yield newcomer
    newcomer.close()


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What it has said by now; it must say something."""
    end = time.monotonic() + PATIENCE
    while not caplog.messages and time.monotonic() < end:
        time.sleep(0.01)
    return list(caplog.messages)


def test_a_database_that_goes_while_a_worker_enlists_is_waited_for(
    newcomer: Newcomer, store: PostgresStore, proxy: tuple[Proxy, str], caplog: pytest.LogCaptureFixture
) -> None:
    proxy[0].refuses_after_loss = True
    proxy[0].lose(ENLISTING)
    coming = newcomer.come()
    (line,) = said(caplog)
    assert line.startswith("postgresql://127.0.0.1:") and line.endswith("; trying again until it is there")
    assert not coming.done() and not store.workers()
    proxy[0].refuses = False
    assert coming.result(PATIENCE) and [worker.id for worker in store.workers()] == ["w"]
    assert caplog.messages == [line]


def test_a_server_that_is_starting_up_is_waited_for_from_the_first_moment(
    newcomer: Newcomer, store: PostgresStore, proxy: tuple[Proxy, str], caplog: pytest.LogCaptureFixture
) -> None:
    proxy[0].starts_up = True
    coming = newcomer.come()
    assert "it is shutting down or starting up" in said(caplog)[0]
    proxy[0].starts_up = False
    assert coming.result(PATIENCE) and store.workers()


def test_a_worker_that_is_told_to_end_waits_no_longer(
    newcomer: Newcomer, proxy: tuple[Proxy, str], caplog: pytest.LogCaptureFixture
) -> None:
    proxy[0].starts_up = True
    coming = newcomer.come()
    assert said(caplog)
    newcomer.signals.noted.append(signal.SIGTERM)
    assert coming.result(PATIENCE) is False


def test_what_an_operator_has_to_mend_is_not_waited_for(url: str) -> None:
    for wrong, kind in (
        (with_wrong_password(url), StorageError),
        (in_database(url, "nowhere"), StorageError),
        ("postgresql://127.0.0.1:1/headbox", StorageUnavailable),
    ):
        newcomer = Newcomer(wrong)
        with pytest.raises(kind, match=r"check both in the URL|there is no such database|check that the server runs"):
            newcomer.come().result(PATIENCE)
        newcomer.close()
