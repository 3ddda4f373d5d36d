from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headbox.domain.errors import ConfigError, StorageError
from headbox.domain.schedulers import parse_instant
from headbox.domain.task import DAY, HOUR, SYSTEM_QUEUE
from headbox.storage.records import Filter
from headbox.storage.secret_keys import kept_keys
from headbox.storage.store import Store, open_store
from headbox.worker.journal import folder_of

if TYPE_CHECKING:
    from tests.conformance.conftest import Scene

NOON = parse_instant("2026-12-01T12:00:00Z")
HOUSEKEEPING = Filter(queues=(SYSTEM_QUEUE,))


def test_a_fresh_database_holds_the_two_tasks_of_the_documents_sample(store: Store) -> None:
    tasks = list(store.stream(Filter(), NOON))
    assert [(task.method_name, task.state, task.scheduler, task.args) for task in tasks] == [
        ("cull_audited_events", "waiting", "interval", None),
        ("cull_history", "waiting", "interval", None),
    ]
    next_day = NOON + DAY // 2
    assert [task.scheduled_time for task in tasks] == [next_day + HOUR, next_day + 6 * HOUR]
    assert [task.due_time for task in tasks] == [task.scheduled_time for task in tasks]


@pytest.mark.parametrize(
    ("start", "due"),
    [
        ("2026-12-01T00:00:00Z", ["2026-12-01T01:00:00Z", "2026-12-01T06:00:00Z"]),
        ("2026-12-01T01:00:00Z", ["2026-12-02T01:00:00Z", "2026-12-01T06:00:00Z"]),
        ("2026-12-01T23:59:59Z", ["2026-12-02T01:00:00Z", "2026-12-02T06:00:00Z"]),
    ],
)
def test_the_housekeeping_is_next_due_at_its_time_of_day(empty: str, start: str, due: list[str]) -> None:
    now = parse_instant(start)
    store = open_store(empty)
    store.initialise(now)
    assert [task.due_time for task in store.stream(Filter(), now)] == [parse_instant(time) for time in due]
    store.close()


def test_initialising_again_changes_nothing(scene: Scene, url: str) -> None:
    task = scene.running()
    before = list(scene.store.stream(HOUSEKEEPING, scene.now))
    for store in (scene.store, open_store(url)):
        store.initialise(scene.now + DAY)
        assert list(store.stream(HOUSEKEEPING, scene.now)) == before and store.get(task.id) == task


def spelled_differently(url: str, folder: Path) -> str:
    """The URL of the same database, by a link or by what a server is told."""
    if not url.startswith("sqlite"):
        return url.replace("@127.0.0.1", "@localhost") + f"{'&' if '?' in url else '?'}application_name=mill"
    link = folder / "link.db"
    link.symlink_to(url.removeprefix("sqlite:///"))
    return f"sqlite:///{link}"


def test_a_database_is_the_same_however_its_url_is_spelled(scene: Scene, url: str, tmp_path: Path) -> None:
    spelled = open_store(spelled_differently(url, tmp_path))
    assert spelled.identity() == scene.store.identity() == scene.store.identity()
    assert len({folder_of(store.beside, store.identity) for store in (spelled, scene.store)}) == 1
    assert all(spelled.is_alive(worker, scene.now) for worker in spelled.workers())
    spelled.close()


def test_a_housekeeping_task_that_was_canceled_stays_a_schedule(scene: Scene) -> None:
    (first, _) = scene.store.stream(HOUSEKEEPING, scene.now)
    assert scene.store.cancel(first.id, scene.now).due_time == first.due_time + DAY


def test_the_status_tells_the_schema_and_the_size(store: Store, url: str) -> None:
    status = store.status()
    assert status["schema_version"] >= 1 and status["pending_migrations"] == [] and status["size"] > 0
    assert url.rpartition("/")[2] in status["url"] and status["kind"]


def test_a_sound_database_has_no_problems(scene: Scene) -> None:
    scene.in_state("finished")
    assert scene.store.check() == []


def test_a_backup_is_a_database_of_its_own(scene: Scene, tmp_path: Path) -> None:
    task = scene.in_state("running")
    path = tmp_path / "copy.db"
    scene.store.backup(str(path))
    later = scene.enqueue()
    if scene.store.url.startswith("sqlite:"):
        copy = open_store(f"sqlite:///{path}")
        assert copy.get(task.id) == task and copy.check() == []
        assert later.id not in {task.id for task in copy.stream(Filter(), scene.now)}
        copy.close()
    assert path.stat().st_size > 0 and path.stat().st_mode & 0o077 == 0


def test_a_backup_never_overwrites(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("mine")
    with pytest.raises(StorageError, match="exists already"):
        store.backup(str(path))
    assert path.read_text() == "mine"
    with pytest.raises(StorageError, match="cannot be written"):
        store.backup(str(tmp_path / "no folder" / "copy.db"))


def test_the_keys_of_a_database_stay_the_same(store: Store) -> None:
    keys = kept_keys(store.beside)
    assert keys == kept_keys(store.beside)
    assert all(len(key) >= 32 for key in keys)


def test_a_watch_sees_what_others_change_and_nothing_else(scene: Scene, url: str) -> None:
    other = open_store(url)
    watch = scene.store.watch()
    try:
        assert isinstance(watch.fileno(), int) and not watch.changed() and watch.pause() > 0
        list(other.stream(Filter(), scene.now))
        assert not watch.wait(0)
        other.enqueue([scene.task()], scene.now)
        assert watch.wait(10) and not watch.changed()
        other.checkpoint()
        other.enqueue([scene.task()], scene.now)
        assert watch.wait(10)
    finally:
        watch.close()
        other.close()


def test_a_checkpoint_loses_nothing(scene: Scene) -> None:
    task = scene.running()
    scene.store.checkpoint()
    assert scene.get(task) == task


def test_a_closed_store_opens_afresh_at_its_next_use(scene: Scene) -> None:
    task = scene.running()
    for _ in range(2):
        scene.store.close()
        scene.store.close()
        assert scene.get(task) == task
    scene.store.close()
    assert scene.enqueue()


def test_stores_on_one_database_see_each_others_commits(scene: Scene, url: str) -> None:
    other = open_store(url)
    task = scene.enqueue()
    assert other.get(task.id) == task
    other.cancel(task.id, scene.now)
    assert scene.get(task).state == "canceled"
    other.close()


def test_a_store_works_on_in_a_forked_child(scene: Scene) -> None:
    task = scene.enqueue()
    child = os.fork()
    if child == 0:
        try:
            scene.store.cancel(task.id, scene.now)
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert scene.get(task).state == "canceled" and scene.enqueue()


@pytest.mark.parametrize(
    "url", ["", "headbox.db", "mysql://u:secret@h/d", "sqlite://", "sqlite:///", "sqlite:///x.db?a=b"]
)
def test_a_url_of_another_kind_is_refused_and_its_password_not_told(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        open_store(url)
    assert "secret" not in str(refused.value)
