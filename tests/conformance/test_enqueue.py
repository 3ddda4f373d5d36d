from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from msgspec.structs import replace

from headbox.domain.errors import NonUniqueTask, StateConflict, StorageError, UnknownTask
from headbox.domain.states import COMPLETE
from headbox.domain.task import FIELDS, HOUR, Task

if TYPE_CHECKING:
    from tests.conformance.conftest import Scene

# What is given at enqueue; the rest of a task comes with its runs.
GIVEN = FIELDS[: FIELDS.index("enqueue_time") + 1]


def connect(url: str) -> Any:
    if url.startswith("sqlite:"):
        return sqlite3.connect(url.removeprefix("sqlite:///"))
    return psycopg.connect(url)


def test_an_accepted_task_is_found_as_it_was_given(scene: Scene) -> None:
    task = scene.enqueue()
    assert scene.get(task) == task


def test_every_field_survives_and_so_does_its_absence(scene: Scene) -> None:
    full = scene.task(
        queue="blé", priority=-9, due_time=scene.now + 1, callable="shop:Shop.pack", method_name="pack",
        class_name="Shop", callable_payload=b"\x80\x00callable", args=b'["\xc3\xa9"]', kwargs=b"\x80HB1\x00\xff",
        public_args='["é"]',
        public_kwargs="{}", scheduler="interval", schedule="2026-12-01T12:00:00Z/PT1H", schedule_name="näme",
        definition="digest", declared_by="shop:queue", scheduled_time=scene.now + 1, runs_left=7, timeout=1,
        attempts=9, failure_threshold=2, schedule_threshold=3, weight=0, job_id="job", owner="ann", unique_key="key",
        progress_arg="progress", progress_callback=b"\x00", enqueue_time=scene.now - 1,
    )  # fmt: skip
    assert all(getattr(full, field) is not None for field in GIVEN)
    bare = scene.task()
    scene.store.enqueue([full, bare], scene.now)
    assert scene.get(full) == full and scene.get(bare) == bare


@pytest.mark.parametrize("pickled", [False, True])
def test_tasks_that_are_accepted_together_keep_what_each_was_given(scene: Scene, pickled: bool) -> None:
    kinds: dict[str, Any] = {"str": "é\n\"\\'{:id}", "int": 2**53 + 1, "bytes": b'["\\u0041 \xc3\xa9"]'}
    tasks = []
    for number in range(20):
        job = None if number % 3 else f"{kinds['str']} {number}"
        args = kinds["bytes"] if number % 2 else None
        kwargs = b"\x80HB1\xff%d" % number if pickled and number == 7 else b'{"a":%d}' % number
        tasks.append(
            scene.task(
                job_id=job, owner=job, unique_key=job and f"key {number}", args=args, public_args=args and "[]",
                kwargs=kwargs, timeout=kinds["int"] + number, is_async=bool(number % 2), priority=number % 19 - 9,
                callable=f"shop:pack{number}", method_name=f"pack{number}", callable_payload=args,
            )
        )  # fmt: skip
    scene.store.enqueue(tasks, scene.now)
    assert [scene.get(task) for task in tasks] == tasks


def test_the_same_task_twice_in_one_go_is_one(scene: Scene) -> None:
    task = scene.task()
    scene.store.enqueue([task, task], scene.now)
    assert [claimed.id for claimed in scene.claim()] == [task.id]


def test_nothing_enqueued_is_nothing_accepted(scene: Scene) -> None:
    assert scene.store.enqueue([], scene.now) == []


def test_an_unknown_id_is_an_unknown_task(scene: Scene) -> None:
    for id in ("", "no such task", "\0", "x" * 10_000, "'; DROP TABLE headbox_tasks; --"):
        with pytest.raises(UnknownTask):
            scene.store.get(id)


def test_the_same_ids_again_change_nothing(scene: Scene) -> None:
    tasks = [scene.task(), scene.task()]
    scene.store.enqueue(tasks, scene.now)
    scene.claim(limit=1)
    before = [scene.get(task) for task in tasks]
    scene.store.enqueue([replace(task, queue="other") for task in tasks], scene.now)
    assert [scene.get(task) for task in tasks] == before


@pytest.mark.parametrize("state", COMPLETE)
def test_the_same_id_again_does_not_run_a_task_that_has_ended_again(scene: Scene, state: str) -> None:
    ended = scene.in_state(state)
    scene.store.enqueue([scene.task(id=ended.id)], scene.now)
    assert scene.get(ended) == ended and scene.claim() == []


def test_many_tasks_are_accepted_in_one_go(scene: Scene) -> None:
    tasks = [scene.task() for _ in range(2_000)]
    assert scene.store.enqueue(tasks, scene.now) == tasks
    claimed = [task.id for _ in range(4) for task in scene.claim(limit=500)]
    assert claimed == [task.id for task in tasks]


def test_a_unique_task_names_the_one_in_its_way_and_nothing_of_its_batch_is_accepted(scene: Scene) -> None:
    first = scene.enqueue(unique_key="key")
    others = [scene.task(), scene.task(unique_key="key"), scene.task()]
    with pytest.raises(NonUniqueTask) as refused:
        scene.store.enqueue(others, scene.now)
    assert refused.value.task_id == first.id
    assert not any(scene.is_known(task) for task in others)


def test_two_unique_tasks_of_one_batch_are_in_each_others_way(scene: Scene) -> None:
    twins = [scene.task(unique_key="key"), scene.task(unique_key="key")]
    with pytest.raises(NonUniqueTask) as refused:
        scene.store.enqueue(twins, scene.now)
    assert refused.value.task_id == twins[0].id and not scene.is_known(twins[0])


def test_a_unique_task_enqueued_again_under_its_own_id_is_not_in_its_own_way(scene: Scene) -> None:
    task = scene.enqueue(unique_key="key")
    scene.store.enqueue([task], scene.now)
    assert scene.get(task) == task


def test_other_keys_and_none_are_in_nobodys_way(scene: Scene) -> None:
    for key in ("key", "other", None, None):
        scene.enqueue(unique_key=key)
    assert len(scene.claim()) == 4


@pytest.mark.parametrize("state", ["waiting", "running", "reset", "suspended"])
def test_a_unique_task_is_in_the_way_while_it_is_incomplete(scene: Scene, state: str) -> None:
    task = scene.enqueue(unique_key="key")
    if state == "suspended":
        scene.store.suspend(task.id, scene.now)
    elif state != "waiting":
        (task,) = scene.claim()
        if state == "reset":
            scene.finish(task, "lose")
    assert scene.get(task).state == state
    with pytest.raises(NonUniqueTask):
        scene.enqueue(unique_key="key")


@pytest.mark.parametrize("event", ["succeed", "fail", "expire", "cancel"])
def test_a_unique_task_is_in_the_way_no_longer_when_it_is_complete(scene: Scene, event: str) -> None:
    scene.finish(scene.running(unique_key="key"), event)
    assert scene.running(unique_key="key").unique_key == "key"


def test_a_unique_schedule_is_in_the_way_between_its_runs(scene: Scene) -> None:
    task = scene.enqueue_hourly(unique_key="key")
    scene.finish(scene.claim()[0])
    with pytest.raises(NonUniqueTask) as refused:
        scene.enqueue(unique_key="key")
    assert refused.value.task_id == task.id


def test_a_name_belongs_to_one_schedule(scene: Scene) -> None:
    scene.enqueue_hourly(schedule_name="nightly")
    with pytest.raises(StateConflict):
        scene.enqueue_hourly(schedule_name="nightly")


def test_a_task_enqueued_in_the_callers_transaction_exists_when_that_commits(scene: Scene, url: str) -> None:
    connection = connect(url)
    kept, dropped = scene.task(), scene.task()
    assert scene.store.enqueue([kept], scene.now, connection=connection) == [kept]
    assert not scene.is_known(kept)
    connection.commit()
    assert scene.get(kept) == kept
    scene.store.enqueue([dropped], scene.now, connection=connection)
    connection.rollback()
    connection.close()
    assert not scene.is_known(dropped) and [task.id for task in scene.claim()] == [kept.id]


def test_in_the_callers_transaction_too_all_are_accepted_or_none(scene: Scene, url: str) -> None:
    connection = connect(url)
    scene.enqueue(unique_key="key")
    before, batch = scene.task(), [scene.task(), scene.task(unique_key="key")]
    scene.store.enqueue([before], scene.now, connection=connection)
    with pytest.raises(NonUniqueTask):
        scene.store.enqueue(batch, scene.now, connection=connection)
    connection.commit()
    connection.close()
    assert scene.is_known(before) and not any(scene.is_known(task) for task in batch)


def test_a_connection_of_another_kind_is_refused(scene: Scene) -> None:
    task = scene.task()
    with pytest.raises(StorageError, match="connection"):
        scene.store.enqueue([task], scene.now, connection=object())
    assert not scene.is_known(task)


def test_times_beyond_any_clock_are_kept(scene: Scene) -> None:
    for due in (-(10 * HOUR), 2**62):
        task: Task = scene.enqueue(due_time=due)
        assert scene.get(task).due_time == due
