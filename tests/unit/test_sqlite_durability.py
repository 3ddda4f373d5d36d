"""What waits for the disk, told by the level at which the writer's connection committed last."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from headbox.domain.outcomes import Outcome
from headbox.storage.records import ClaimRequest, Report
from headbox.storage.sqlite.database import SQLiteDatabase
from headbox.storage.sqlite.store import SQLiteStore
from tests.conformance.conftest import LIFETIME, NOON, Scene

FULL, NORMAL = 2, 1


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(SQLiteStore(tmp_path / "headbox.db", LIFETIME))
    scene.store.initialise(NOON)
    scene.register("a")
    yield scene
    scene.store.close()


def database(scene: Scene) -> SQLiteDatabase:
    assert isinstance(scene.store, SQLiteStore)
    return scene.store._file


def level(scene: Scene) -> int:
    writer = database(scene)._writer
    assert writer is not None
    return int(writer.execute("PRAGMA synchronous").fetchone()[0])


def test_a_claim_waits_for_no_disk_and_all_else_does(scene: Scene) -> None:
    scene.enqueue()
    assert level(scene) == FULL
    (task,) = scene.claim()
    assert level(scene) == NORMAL
    scene.finish(task)
    assert level(scene) == FULL


def test_a_claim_that_reports_as_well_waits_for_the_disk(scene: Scene) -> None:
    task = scene.running()
    ended = Outcome(task.id, task.run, "succeed", scene.now, queue=task.queue)
    scene.store.exchange("a", Report(outcomes=[ended]), ClaimRequest(queues=(), limit=1), scene.now)
    assert level(scene) == FULL


def test_a_claim_that_shares_a_commit_with_an_enqueue_waits_for_the_disk(scene: Scene) -> None:
    scene.claim()
    shared = database(scene)
    with shared.exclusive():
        callers = [Thread(target=scene.claim), Thread(target=scene.enqueue), Thread(target=scene.claim)]
        for caller in callers:
            caller.start()
        while len(shared._queue) < len(callers):
            pass
    for caller in callers:
        caller.join()
    assert level(scene) == FULL


def test_what_follows_a_claim_that_failed_waits_for_the_disk(scene: Scene) -> None:
    scene.claim()
    with pytest.raises(ZeroDivisionError):
        database(scene).write(lambda tx: 1 // 0, dies_with_machine=True)
    scene.enqueue()
    assert level(scene) == FULL
