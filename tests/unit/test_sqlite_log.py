"""The write-ahead log: what was long once is not checkpointed by each commit for ever, and small commits find room."""

from __future__ import annotations

import sqlite3
from itertools import pairwise
from pathlib import Path

import pytest

from headbox.storage.sqlite import database
from headbox.storage.sqlite.store import SQLiteStore
from tests.conformance.conftest import LIFETIME, NOON, Scene


def test_a_log_that_was_long_once_is_cut_and_not_checkpointed_by_each_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "CHECKPOINT_BYTES", 200_000)
    scene = Scene(SQLiteStore(tmp_path / "headbox.db", LIFETIME))
    scene.store.initialise(NOON)
    with sqlite3.connect(tmp_path / "headbox.db", isolation_level=None) as somebody:
        somebody.execute("PRAGMA wal_autocheckpoint=0")
        somebody.execute("CREATE TABLE long AS SELECT zeroblob(1000000) AS blob")
    scene.enqueue()  # checkpoints the log
    scene.enqueue()  # begins it anew
    writer = scene.store._file._writer  # type: ignore[attr-defined]
    said: list[str] = []
    writer.set_trace_callback(said.append)
    scene.enqueue()
    assert said and not [statement for statement in said if "checkpoint" in statement]
    assert (tmp_path / "headbox.db-wal").stat().st_size <= 200_000
    somebody.close()
    scene.store.close()


def test_most_small_commits_find_room_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "WORTHWHILE_BYTES", 500_000)
    monkeypatch.setattr(database, "GROWTHS", 2)
    scene = Scene(SQLiteStore(tmp_path / "headbox.db", LIFETIME))
    scene.store.initialise(NOON)
    log, sizes = tmp_path / "headbox.db-wal", []
    while log.stat().st_size <= 500_000:
        scene.enqueue()
    for _ in range(60):
        sizes.append(log.stat().st_size)
        scene.enqueue()
    grown = sum(size > before for before, size in pairwise(sizes))
    assert grown <= 10
    scene.store.close()
