from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from headbox.domain.errors import Superseded
from headbox.domain.task import DAY, SYSTEM_QUEUE
from headbox.storage.records import Callable, Filter, Load, Report, Start, Worker
from headbox.storage.store import open_store

if TYPE_CHECKING:
    from headbox.domain.task import Task
    from tests.conformance.conftest import Scene

# A worker that comes in a process of its own, and goes without a word.
VANISHING = """
import msgspec, sys
from headbox.storage.records import Worker
from headbox.storage.store import open_store
url, worker, now = sys.argv[1:]
open_store(url).register(msgspec.json.decode(worker, type=Worker), [], [], int(now))
"""


def vanish(scene: Scene, url: str, worker: Worker) -> None:
    import msgspec

    arguments = [url, msgspec.json.encode(worker).decode(), str(scene.now)]
    subprocess.run([sys.executable, "-c", VANISHING, *arguments], check=True, timeout=60)
    scene.pass_time(worker.lease + 1)
    for alive in ("a", "b"):
        assert scene.store.heartbeat(alive, scene.now)


def schedule(scene: Scene, name: str, app: str, **changes: Any) -> Task:
    return scene.task(
        scheduler="interval", schedule="2026-12-01T12:00:00Z/PT1H", scheduled_time=scene.now, schedule_name=name,
        definition="d", declared_by=app, **changes,
    )  # fmt: skip


def test_a_worker_is_listed_as_it_presented_itself_until_it_goes(scene: Scene) -> None:
    worker = scene.register(
        "c", app="shop:queue", queues=("one", "é"), names=("shop:pack", "old-name"), declares=("nightly",)
    )
    assert scene.store.workers() == [scene.worker("a"), scene.worker("b"), worker]
    scene.store.deregister("c", scene.now)
    assert [worker.id for worker in scene.store.workers()] == ["a", "b"]
    scene.store.deregister("nobody", scene.now)


def test_a_heartbeat_renews_and_tells_a_superseded_worker(scene: Scene) -> None:
    scene.pass_time(5)
    assert scene.store.heartbeat("a", scene.now)
    assert [worker.heartbeat_time for worker in scene.store.workers()] == [scene.now, scene.now - 5]
    scene.store.rescue(scene.now, ["a"])
    assert not scene.store.heartbeat("a", scene.now) and not scene.store.heartbeat("nobody", scene.now)


def test_what_a_worker_holds_is_told(scene: Scene) -> None:
    assert scene.store.held_by("a") == [] == scene.store.held_by("nobody")
    tasks = [scene.running("a") for _ in range(3)]
    scene.running("b")
    scene.enqueue()
    assert sorted(scene.store.held_by("a")) == [(task.id, 1) for task in tasks]


def test_what_workers_can_run_is_published_and_kept_when_they_go(scene: Scene) -> None:
    assert scene.store.callables() == []
    full = Callable(
        name="shop:pack", short_name="pack", aliases=("old",), is_async=True, signature="(é: int)", parameters=("é",),
        docstring="Packs.\n\nWell.", defaults={"timeout": 5, "retry": None, "unique": True, "x": 0.5, "queue": "q"},
    )  # fmt: skip
    bare = Callable(name="shop:label", short_name="label")
    scene.store.register(scene.worker("c"), [full, bare], [], scene.now)
    scene.store.deregister("c", scene.now)
    assert scene.store.callables() == [bare, full]
    newer = replace(full, signature="()", defaults={})
    scene.store.register(scene.worker("d"), [newer], [], scene.now)
    assert scene.store.callables() == [bare, newer]


def test_a_worker_declares_the_schedules_of_its_application(scene: Scene) -> None:
    declared = schedule(scene, "nightly", "shop:queue")
    for worker in ("c", "d"):
        again = replace(declared, id=f"by {worker}")
        scene.store.register(scene.worker(worker, app="shop:queue", declares=("nightly",)), [], [again], scene.now)
    assert [task.id for task in scene.claim()] == ["by c"]


def test_a_schedule_that_no_live_worker_of_its_application_declares_any_more_is_ended(scene: Scene) -> None:
    old, kept, foreign = (schedule(scene, name, app) for name, app in (("old", "s"), ("kept", "s"), ("far", "t")))
    forever = replace(schedule(scene, "by hand", "s"), declared_by=None)
    scene.store.register(scene.worker("c", app="s", declares=("old", "kept")), [], [old, kept, foreign], scene.now)
    scene.store.schedule(forever, scene.now)
    assert scene.store.end_undeclared(scene.now) == []
    scene.register("d", app="s", declares=("kept",))
    assert scene.store.end_undeclared(scene.now) == []
    scene.store.deregister("c", scene.now)
    assert [(task.id, task.state) for task in scene.store.end_undeclared(scene.now)] == [(old.id, "canceled")]
    assert scene.store.end_undeclared(scene.now) == []
    assert all(scene.get(task).state == "waiting" for task in (kept, foreign, forever))


def test_a_schedule_outlives_the_last_worker_of_its_application(scene: Scene) -> None:
    scene.store.register(scene.worker("c", app="s", declares=("old",)), [], [schedule(scene, "old", "s")], scene.now)
    scene.store.deregister("c", scene.now)
    assert scene.store.end_undeclared(scene.now) == []


def test_rescue_resets_the_tasks_of_the_workers_it_is_given(scene: Scene) -> None:
    lost, safe = scene.running("a"), scene.running("b")
    scene.pass_time(7)
    (archived,) = scene.store.rescue(scene.now, ["a", "nobody"])
    assert (archived.id, archived.run, archived.state, bool(archived.final)) == (lost.id, 1, "reset", False)
    assert archived.exception == "worker a on host mill lost at 2026-12-01T12:00:00.000007Z"
    again = scene.get(lost)
    assert (again.run, again.state, again.worker, again.snapshot_id, again.due_time) == (
        2,
        "reset",
        None,
        None,
        scene.now,
    )
    assert scene.get(safe) == safe and [worker.id for worker in scene.store.workers()] == ["b"]
    assert scene.store.rescue(scene.now, ["a"]) == [] == scene.store.rescue(scene.now, [])


def test_rescue_leaves_the_living_alone(scene: Scene) -> None:
    task = scene.running("a")
    assert scene.store.rescue(scene.now) == []
    assert scene.get(task) == task and len(scene.store.workers()) == 2


def test_rescue_finds_the_workers_that_vanished(scene: Scene, url: str) -> None:
    vanish(scene, url, scene.worker("v", names=("shop:pack",), queues=("q",)))
    task, kept = scene.running("v", queue="q"), scene.running("a")
    (lost,) = scene.store.rescue(scene.now)
    assert lost.id == task.id and lost.exception is not None and "worker v on host mill" in lost.exception
    assert [worker.id for worker in scene.store.workers()] == ["a", "b"]
    assert scene.get(task).state == "reset" and scene.get(kept) == kept


def test_rescue_takes_running_tasks_whose_worker_has_no_row(scene: Scene) -> None:
    task = scene.running("a")
    scene.store.deregister("a", scene.now)
    (lost,) = scene.store.rescue(scene.now)
    assert (lost.id, lost.state) == (task.id, "reset") and "worker a lost" in (lost.exception or "")
    assert scene.get(task).state == "reset"


@pytest.mark.parametrize(("started", "ends"), [(True, "error"), (False, "reset")])
def test_three_losses_count_only_where_the_run_had_started(scene: Scene, started: bool, ends: str) -> None:
    task = scene.enqueue()
    for number in range(1, 4):
        scene.register(f"w{number}")
        (run,) = scene.claim(f"w{number}")
        if started:
            start = Start(run.id, run.run, scene.now)
            scene.store.exchange(f"w{number}", Report(starts=[start]), None, scene.now)
        scene.store.rescue(scene.now, [f"w{number}"])
    assert scene.get(task).state == ends


def test_a_superseded_worker_learns_it_when_it_claims_and_another_id_starts_afresh(scene: Scene) -> None:
    task = scene.running("a")
    scene.store.rescue(scene.now, ["a"])
    with pytest.raises(Superseded):
        scene.claim("a")
    scene.register("a2")
    assert [(again.id, again.run) for again in scene.claim("a2")] == [(task.id, 2)]


def test_a_worker_of_another_process_is_alive_while_that_process_is(scene: Scene, url: str) -> None:
    other = open_store(url)
    other.register(scene.worker("elsewhere"), [], [], scene.now)
    assert scene.store.rescue(scene.now) == []
    other.deregister("elsewhere", scene.now)
    other.close()
    assert [worker.id for worker in scene.store.workers()] == ["a", "b"]


def test_a_callable_that_no_worker_knows_is_forgotten_a_day_after_it_was_published(scene: Scene) -> None:
    old = scene.worker("d", names=("shop:old",))
    scene.store.register(old, [Callable(name="shop:old", short_name="old")], [], scene.now)
    scene.store.deregister("d", scene.now)
    scene.pass_time(DAY)
    scene.store.register(scene.worker("e"), [], [], scene.now)
    assert "shop:old" in [published.name for published in scene.store.callables()]
    scene.pass_time(1)
    scene.store.register(scene.worker("f"), [], [], scene.now)
    assert "shop:old" not in [published.name for published in scene.store.callables()]


def test_a_survey_tells_who_is_there_when_the_next_lease_ends_and_when_housekeeping_is_due(scene: Scene) -> None:
    (first, *_) = sorted(task.due_time for task in scene.store.stream(Filter(queues=(SYSTEM_QUEUE,)), scene.now))
    lease = scene.worker("a").lease
    before = scene.store.survey("a")
    assert (before.workers, before.expire_time, before.housekeeping_time) == (2, scene.now + lease, first)
    scene.pass_time(5)
    scene.store.heartbeat("b", scene.now)
    assert scene.store.survey("a") == replace(before, expire_time=scene.now + lease)
    assert scene.store.survey("b") == before
    scene.register("c")
    after = scene.store.survey("a")
    assert after.workers == 3 and after.roll != before.roll


def test_a_survey_of_a_worker_that_is_alone_has_no_lease_to_wait_for(scene: Scene) -> None:
    scene.store.deregister("b", scene.now)
    assert scene.store.survey("a").expire_time is None
    scene.store.deregister("a", scene.now)
    assert scene.store.survey("a").workers == 0


def test_a_worker_holds_so_many_runs_of_such_weights(scene: Scene) -> None:
    assert scene.store.loads() == {}
    for weight in (1, 3):
        scene.enqueue(weight=weight)
    scene.claim("a")
    scene.enqueue(weight=2)
    scene.claim("b")
    scene.enqueue()
    assert scene.store.loads() == {"a": Load(2, 4), "b": Load(1, 2)}
