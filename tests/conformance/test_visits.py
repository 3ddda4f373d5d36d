"""A worker's report and claim: in one transaction, or in several where others wait to write."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from headbox.domain.outcomes import Outcome
from headbox.storage import visit
from headbox.storage.database import Database
from headbox.storage.records import ClaimRequest, Exchange, Report
from headbox.storage.store import open_store
from tests.conformance.conftest import Scene

HAND = 25


def exchange(scene: Scene, outcomes: list[Outcome], limit: int = HAND) -> Exchange:
    return scene.store.exchange("a", Report(outcomes=outcomes), ClaimRequest(queues=(), limit=limit), scene.now)


def database_of(scene: Scene) -> Database:
    return scene.store._database  # type: ignore[attr-defined, no-any-return]


@pytest.fixture
def crowded(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A scene in which somebody always waits, and which lets him in after every ten ends or claims."""
    monkeypatch.setattr(visit, "STEP", 10)
    monkeypatch.setattr(type(database_of(scene)), "is_in_demand", lambda _: True)
    monkeypatch.setattr(type(database_of(scene)), "is_wanted", lambda _: True)
    return scene


def test_a_visit_in_steps_does_what_one_at_once_does(crowded: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = crowded
    tasks = [scene.enqueue(due_time=scene.now - 100 + number) for number in range(2 * HAND + 5)]
    transactions: list[bool] = []
    write = type(database_of(scene)).write

    def noted(self: Database, work: Any, **options: Any) -> Any:
        transactions.append(options["dies_with_machine"])
        return write(self, work, **options)

    monkeypatch.setattr(type(database_of(scene)), "write", noted)
    hand, turns = [], []
    for _ in range(4):
        ended = [Outcome(task.id, task.run, "succeed", scene.now, scene.now, queue="default") for task in hand]
        told = exchange(scene, ended)
        assert told.claims is not None and not told.superseded
        hand = told.claims.tasks
        turns.append(([task.id for task in hand], told.claims.more, transactions.copy()))
        transactions.clear()
    ids = [task.id for task in tasks]
    told_first = [False, False, False]
    assert turns == [
        (ids[:HAND], True, [True, True, True]),
        (ids[HAND : 2 * HAND], True, [*told_first, True, True, True]),
        (ids[2 * HAND :], False, [*told_first, True]),
        ([], False, [False, True]),
    ]
    assert {scene.get(task).state for task in tasks} == {"finished"}


def test_a_report_is_told_again_where_the_claim_behind_it_failed(
    crowded: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = crowded
    task = scene.running()
    ended = [Outcome(task.id, task.run, "succeed", scene.now, scene.now, queue="default")]
    with monkeypatch.context() as patch:
        patch.setattr(visit, "claim", lambda *_: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            exchange(scene, ended)
    assert exchange(scene, ended).superseded == []
    assert scene.get(task).state == "finished"


def test_who_writes_during_a_visit_is_let_in_between_the_report_and_the_claim(
    scene: Scene, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, urgent, tell, other = scene.running(), scene.task(priority=9), visit.tell, open_store(url)
    thread = threading.Thread(target=other.enqueue, args=([urgent], scene.now))

    def tell_slowly(*args: Any) -> Exchange:
        thread.start()
        end = time.monotonic() + 60
        while thread.is_alive() and not database_of(scene).is_wanted():
            assert time.monotonic() < end
            time.sleep(0.001)
        return tell(*args)

    monkeypatch.setattr(visit, "tell", tell_slowly)
    told = exchange(scene, [Outcome(task.id, task.run, "succeed", scene.now, scene.now, queue="default")])
    thread.join()
    other.close()
    assert told.claims is not None and [claimed.id for claimed in told.claims.tasks] == [urgent.id]
