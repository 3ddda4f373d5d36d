from __future__ import annotations

import sqlite3
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from msgspec.structs import replace

from headbox.domain.errors import NonUniqueTask
from headbox.domain.outcomes import Outcome
from headbox.domain.states import INCOMPLETE
from headbox.domain.statistics import QueueCounts
from headbox.domain.task import DAY, HOUR, MINUTE, SECOND, SYSTEM_QUEUE
from headbox.storage.records import ClaimRequest, Filter, Release, Report
from headbox.storage.store import Store, open_store
from tests.conformance.conftest import LIFETIME, Scene

QUEUE = "default"


def counted(scene: Scene) -> dict[tuple[str, str], int]:
    """How many tasks of each queue are in each state, one by one."""
    incomplete = scene.store.stream(Filter(states=("incomplete",)), scene.now)
    return dict(Counter((task.queue, task.state) for task in incomplete))


def told(scene: Scene) -> dict[tuple[str, str], int]:
    queues = scene.store.statistics(scene.now).queues
    numbers = {(queue.name, state): getattr(queue, state) for queue in queues for state in INCOMPLETE}
    return {key: number for key, number in numbers.items() if number}


def fold_all(scene: Scene) -> int:
    folded = 0
    while batch := scene.store.fold(scene.now):
        folded += batch
    return folded


def queue(scene: Scene, name: str = QUEUE) -> QueueCounts:
    return next(queue for queue in scene.store.statistics(scene.now).queues if queue.name == name)


def test_a_new_database_has_its_two_housekeeping_tasks(scene: Scene) -> None:
    statistics = scene.store.statistics(scene.now)
    assert statistics.states == {"waiting": 2, "running": 0, "reset": 0, "suspended": 0}
    assert [queue.name for queue in statistics.queues] == [SYSTEM_QUEUE]
    assert statistics.oldest_ready is None
    assert len(statistics.minutes) == 60 and statistics.minutes[-1].start_time == scene.now - scene.now % MINUTE


def test_each_state_is_counted_by_queue(scene: Scene) -> None:
    scene.running(queue="b")
    for state in ("suspended", "reset", "finished", "error", "timed_out", "canceled"):
        scene.in_state(state)
    scene.enqueue(queue="a")
    scene.enqueue(queue="a")
    assert told(scene) == counted(scene)
    assert told(scene)["a", "waiting"] == 2 and told(scene)["b", "running"] == 1


def test_what_is_folded_is_counted_as_before_and_only_once(scene: Scene) -> None:
    for state in ("waiting", "running", "suspended", "reset", "finished", "canceled"):
        scene.in_state(state)
    before = scene.store.statistics(scene.now)
    scene.pass_time(MINUTE)
    assert fold_all(scene) > 0 and fold_all(scene) == 0
    after = scene.store.statistics(scene.now)
    assert (after.states, after.total) == (before.states, before.total)
    assert [queue.name for queue in after.queues] == [queue.name for queue in before.queues]
    assert told(scene) == counted(scene)


def test_the_latest_changes_are_counted_and_not_folded_yet(scene: Scene) -> None:
    scene.enqueue()
    assert not scene.store.is_foldable(scene.now) and scene.store.fold(scene.now) == 0
    assert queue(scene).waiting == 1
    scene.pass_time(MINUTE)
    assert scene.store.is_foldable(scene.now) and fold_all(scene) > 0
    assert queue(scene).waiting == 1


def test_a_clock_that_was_set_back_leaves_nothing_unfolded(scene: Scene) -> None:
    scene.pass_time(DAY)
    scene.enqueue()
    scene.pass_time(-DAY)
    scene.enqueue()
    assert scene.store.is_foldable(scene.now)
    fold_all(scene)
    assert queue(scene).waiting == 2


def test_an_enqueue_that_is_repeated_is_counted_once(scene: Scene) -> None:
    tasks = [scene.task(queue=name) for name in ("a", "b", "a")]
    scene.store.enqueue(tasks, scene.now)
    scene.store.enqueue([*tasks, scene.task(queue="b")], scene.now)
    assert told(scene) == counted(scene)
    assert scene.store.statistics(scene.now).total.enqueued == 4 + 2  # the housekeeping


def test_an_enqueue_that_is_refused_is_not_counted(scene: Scene) -> None:
    scene.enqueue(unique_key="one")
    with pytest.raises(NonUniqueTask):
        scene.store.enqueue([scene.task(), scene.task(unique_key="one")], scene.now)
    assert told(scene) == counted(scene)


def test_an_enqueue_in_a_callers_transaction_counts_when_it_is_committed(scene: Scene, url: str) -> None:
    own: sqlite3.Connection | psycopg.Connection[tuple[object, ...]]
    own = sqlite3.connect(url.removeprefix("sqlite:///")) if url.startswith("sqlite") else psycopg.connect(url)
    scene.store.enqueue([scene.task()], scene.now, own)
    own.rollback()
    assert told(scene) == counted(scene) and (QUEUE, "waiting") not in told(scene)
    scene.store.enqueue([scene.task()], scene.now, own)
    own.commit()
    own.close()
    assert told(scene) == counted(scene) and queue(scene).waiting == 1


def test_a_report_that_is_partly_recorded_already_counts_the_rest(scene: Scene) -> None:
    for name in ("a", "b", "b"):
        scene.enqueue(queue=name)
    first, *others = scene.claim()
    scene.finish(first)
    outcomes = [Outcome(task.id, task.run, "fail", scene.now) for task in (first, *others)]
    scene.store.exchange("a", Report(outcomes=outcomes), None, scene.now)
    scene.store.exchange("a", Report(outcomes=outcomes[1:]), None, scene.now)
    assert told(scene) == counted(scene)
    total = scene.store.statistics(scene.now).total
    assert (total.finished, total.error) == (1, 2)


def test_runs_that_end_in_one_report_are_counted_as_each_ended(scene: Scene) -> None:
    events = {"finished": "succeed", "error": "fail", "timed_out": "expire", "canceled": "cancel", "reset": "lose"}
    tasks = [scene.running() for _ in events]
    outcomes = [Outcome(task.id, 1, event, scene.now) for task, event in zip(tasks, events.values(), strict=True)]  # type: ignore[arg-type]
    scene.store.exchange("a", Report(outcomes=outcomes), None, scene.now)
    assert scene.store.statistics(scene.now).total.outcomes() == dict.fromkeys(events, 1)
    assert told(scene) == counted(scene)


def test_a_schedule_that_is_redeclared_for_another_queue_moves_there(scene: Scene) -> None:
    named = {"schedule_name": "nightly", "scheduler": "interval", "schedule": "2026-12-01T12:00:00Z/PT1H"}
    scene.store.schedule(scene.task(definition="1", scheduled_time=scene.now, **named), scene.now)
    (claimed,) = scene.claim()
    scene.store.schedule(scene.task(definition="2", queue="other", scheduled_time=scene.now, **named), scene.now)
    assert told(scene) == counted(scene)
    scene.finish(claimed)
    assert told(scene) == counted(scene)


def test_a_declared_one_off_that_changes_its_queue_while_it_runs_leaves_the_new_one(scene: Scene) -> None:
    named = {"schedule_name": "once", "scheduler": "at", "schedule": "2026-12-01T12:00:00Z"}
    scene.store.schedule(scene.task(definition="1", scheduled_time=scene.now, **named), scene.now)
    (claimed,) = scene.claim()
    scene.store.schedule(scene.task(definition="2", queue="other", scheduled_time=scene.now, **named), scene.now)
    scene.finish(claimed, queue=QUEUE)
    assert told(scene) == counted(scene)


def test_releases_give_back_what_a_claim_took(scene: Scene) -> None:
    tasks = [scene.running(), scene.running()]
    scene.store.suspend(tasks[1].id, scene.now)
    releases = [Release(task.id, task.run) for task in tasks]
    scene.store.exchange("a", Report(releases=releases), None, scene.now)
    assert told(scene) == counted(scene)
    assert (queue(scene).waiting, queue(scene).suspended, queue(scene).running) == (1, 1, 0)


def test_throughput_is_told_by_second_minute_hour_and_ever(scene: Scene) -> None:
    scene.pass_time(MINUTE)
    for _ in range(20):
        scene.finish(scene.running())
    scene.pass_time(5 * SECOND)
    statistics = scene.store.statistics(scene.now)
    assert statistics.second["finished"] == pytest.approx(20 / 15)
    assert statistics.minute.finished == statistics.hour.finished == statistics.total.finished == 20
    scene.pass_time(2 * MINUTE)
    fold_all(scene)
    scene.finish(scene.running(), "fail")
    statistics = scene.store.statistics(scene.now)
    assert (statistics.minute.finished, statistics.hour.finished, statistics.minute.error) == (0, 20, 1)
    assert statistics.second["finished"] == 0
    assert [minute.finished for minute in statistics.minutes[-4:]] == [0, 20, 0, 0]
    assert [minute.error for minute in statistics.minutes[-4:]] == [0, 0, 0, 1]
    assert [minute.enqueued for minute in statistics.minutes[-4:]] == [2, 20, 0, 1]


def test_old_minutes_are_forgotten_and_the_days_stay(scene: Scene) -> None:
    scene.finish(scene.running())
    scene.pass_time(DAY)
    fold_all(scene)
    scene.finish(scene.running())
    scene.pass_time(3 * HOUR)
    fold_all(scene)
    statistics = scene.store.statistics(scene.now)
    assert sum(minute.finished for minute in statistics.minutes) == 0
    assert [day.finished for day in statistics.days] == [1, 1]
    assert statistics.total.finished == 2
    scene.pass_time(100 * DAY)
    assert scene.store.statistics(scene.now).days == ()
    assert [day.finished for day in scene.store.days(scene.now)] == [1, 1]
    scene.pass_time(400 * DAY)
    assert scene.store.days(scene.now) == []


def test_days_tell_what_is_folded_and_what_is_not(scene: Scene) -> None:
    scene.finish(scene.running())
    scene.pass_time(MINUTE)
    fold_all(scene)
    scene.finish(scene.running(), "fail")
    (day,) = scene.store.days(scene.now)
    assert (day.start_time, day.finished, day.error) == (scene.now - scene.now % DAY, 1, 1)


def test_ends_are_counted_by_day_as_far_back_as_the_filter_says(scene: Scene) -> None:
    today = scene.now - scene.now % DAY
    scene.finish(scene.running(method_name="ship"))
    scene.pass_time(DAY)
    scene.finish(scene.running(method_name="ship"), "fail")
    scene.finish(scene.running(method_name="ship"))
    scene.finish(scene.running())
    shipped = Filter(states=("archived",), method_names=("ship",))
    ends = scene.store.ends_by_day(shipped, scene.now)
    assert ends.days == {today: {"finished": 1}, today + DAY: {"error": 1, "finished": 1}} and ends.since is None
    failed = replace(shipped, outcomes=("error",))
    assert scene.store.ends_by_day(failed, scene.now).days == {today + DAY: {"error": 1}}
    latest = scene.store.ends_by_day(replace(shipped, newest=3), scene.now)
    assert latest.days == {today + DAY: {"error": 1, "finished": 1}} and latest.since == scene.now
    assert scene.store.ends_by_day(Filter(states=("archived",), text="nothing"), scene.now).days == {}


def test_lateness_is_told_by_classes(scene: Scene) -> None:
    lateness = [100, 1_000, 1_001, 4_999, 70 * SECOND]
    scene.store.exchange("a", Report(lateness=lateness, late=1), None, scene.now)
    hour = scene.store.statistics(scene.now).hour
    assert hour.lateness == {1_000: 2, 2_000: 1, 5_000: 1, 100 * SECOND: 1}
    assert (hour.starts, hour.late) == (5, 1)
    assert (hour.percentile(0.5), hour.percentile(0.95), hour.percentile(0.2)) == (2_000, 100 * SECOND, 1_000)


def test_the_oldest_ready_task_is_told_by_queue(scene: Scene) -> None:
    scene.enqueue(queue="a", due_time=scene.now + HOUR)
    scene.enqueue(queue="b")
    scene.pass_time(MINUTE)
    scene.enqueue(queue="b", priority=9)
    statistics = scene.store.statistics(scene.now)
    oldest = {queue.name: queue.oldest_ready for queue in statistics.queues}
    assert oldest == {SYSTEM_QUEUE: None, "a": None, "b": MINUTE}
    assert statistics.oldest_ready == MINUTE


def test_many_changes_that_nobody_has_folded_are_folded_for_the_next_reader(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headbox.storage.statistics.MANY", 5)
    for _ in range(6):
        scene.enqueue()
    scene.pass_time(MINUTE)
    assert scene.store.is_foldable(scene.now)
    assert queue(scene).waiting == 6
    assert not scene.store.is_foldable(scene.now)
    assert queue(scene).waiting == 6


def test_another_process_reads_the_same(scene: Scene, url: str) -> None:
    scene.enqueue()
    scene.pass_time(MINUTE)
    fold_all(scene)
    scene.enqueue()
    other: Store = open_store(url, LIFETIME)
    assert other.statistics(scene.now) == scene.store.statistics(scene.now)
    other.close()
    assert queue(scene).waiting == 2


def test_counts_hold_while_several_fold_and_claim_at_once(scene: Scene, url: str) -> None:
    scene.store.enqueue([scene.task() for _ in range(60)], scene.now - MINUTE)
    stores = [open_store(url, LIFETIME) for _ in range(3)]

    def work(store: Store) -> int:
        done = 0
        for _ in range(10):
            answer = store.exchange("a", Report(), ClaimRequest(queues=(QUEUE,), limit=2), scene.now - MINUTE)
            assert answer.claims is not None
            outcomes = [Outcome(task.id, task.run, "succeed", scene.now, queue=QUEUE) for task in answer.claims.tasks]
            store.exchange("a", Report(outcomes=outcomes), None, scene.now - MINUTE)
            store.fold(scene.now)
            done += len(outcomes)
        return done

    with ThreadPoolExecutor(3) as pool:
        done = sum(pool.map(work, stores))
    for store in stores:
        store.close()
    assert scene.store.statistics(scene.now).total.finished == done
    assert told(scene) == counted(scene)
