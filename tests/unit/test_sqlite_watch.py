"""Hearing of commits to an SQLite database, by a bell or by looking."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from inotify_simple import INotify

from headbox.domain.task import Task
from headbox.storage.sqlite.watch import POLL, SAFETY_NET
from headbox.storage.store import Store, open_store


def store_in(folder: Path) -> Store:
    store = open_store(f"sqlite:///{folder}/headbox.db")
    store.initialise(0)
    return store


def enqueue(store: Store) -> None:
    task = Task("a", 1, "waiting", "default", 0, 0, "shop:pack", "pack")
    store.enqueue([task], 0)


def test_a_commit_by_another_connection_is_heard(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    watch = store.watch()
    assert (watch.changed(), watch.pause()) == (False, SAFETY_NET)
    enqueue(store)
    assert watch.wait(10) is True
    watch.close()


def test_without_inotify_a_watch_looks_for_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = store_in(tmp_path)
    with contextlib.ExitStack() as taken:
        with contextlib.suppress(OSError):
            while True:
                taken.callback(INotify().close)
        watch = store.watch()
        assert "max_user_instances" in caplog.text
        assert watch.pause() == POLL
        enqueue(store)
        assert watch.wait(10) is True
        watch.close()
