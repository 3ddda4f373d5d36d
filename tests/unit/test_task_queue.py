"""The Python interface: what is enqueued is what will run, and what cannot be is refused in one sentence."""

from __future__ import annotations

import asyncio
import functools
import json
import multiprocessing
import sqlite3
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from headbox import (
    AtScheduler,
    ConfigError,
    CronScheduler,
    Draft,
    HeadboxError,
    ImmediateScheduler,
    IntervalScheduler,
    InvalidFilter,
    InvalidSchedule,
    InvalidTask,
    NonUniqueTask,
    PayloadRefused,
    Retry,
    Settings,
    StateConflict,
    TaskCanceled,
    TaskFailed,
    TaskQueue,
    TaskTimedOut,
    UnknownName,
    UnknownTask,
    current_task,
)
from headbox.domain.outcomes import Outcome
from headbox.domain.task import MINUTE, SECOND
from headbox.storage.records import Callable as Published
from headbox.storage.records import ClaimRequest, Report
from headbox.testing import FakeClock, drain
from headbox.testing.draining import _TestWorker

queue = TaskQueue(settings=Settings(database="sqlite:////nowhere/headbox.db"), clock=FakeClock())


@queue.task
def sync(repository: str, feed: str | None = None) -> list[Any]:
    return [repository, feed]


@queue.task(
    name="careful", aliases=["slow"], timeout=timedelta(minutes=1), weight=3, priority=5, queue="disk", attempts=2
)
def careful(api_key: str = "") -> None:
    raise OSError("the disk is full")


@queue.task
async def fetch(number: int) -> int:
    return number * 2


def plain(*args: Any, **kwargs: Any) -> list[Any]:
    return [list(args), kwargs]


@functools.cache
def cached(number: int) -> int:
    return number + 1


@queue.task
@functools.cache
def registered_and_cached(number: int) -> int:
    return number + 2


class Repo:
    def __init__(self, name: str) -> None:
        self.name = name

    def sync(self, feed: str = "") -> str:
        return f"{self.name} from {feed}"

    @queue.task(timeout=7)
    def update(self, feed: str) -> str:
        return f"{self.name} updated from {feed}"

    @classmethod
    def create(cls, name: str) -> str:
        return f"{cls.__name__} {name}"

    @staticmethod
    def size(name: str) -> int:
        return len(name)

    def __call__(self, times: int) -> str:
        return self.name * times


@pytest.fixture(autouse=True)
def database(tmp_path: Path) -> Iterator[None]:
    from headbox.storage.store import open_store

    queue.clock = FakeClock()
    store = open_store(f"sqlite:///{tmp_path / 'headbox.db'}")
    store.initialise(queue.clock.now())
    with queue.using(store):
        yield
    store.close()


@pytest.fixture
def clock() -> FakeClock:
    assert isinstance(queue.clock, FakeClock)
    return queue.clock


def run_all() -> list[Any]:
    """The results of what is ready, errors as they are told."""
    return [task.exception or task.result for task in drain(queue)]


# what can be enqueued


def test_a_task_is_still_its_function() -> None:
    assert sync("fedora", feed="x") == ["fedora", "x"]
    assert sync.__name__ == "sync"


def test_a_call_arrives_as_it_was_made() -> None:
    task = sync.enqueue("fedora", feed="x")
    assert (task.state, task.method_name, task.class_name, task.args, task.kwargs, task.run) == (
        "waiting", "sync", None, ["fedora"], {"feed": "x"}, 1,
    )  # fmt: skip
    assert task.callable == f"{__name__}:sync"
    assert run_all() == [["fedora", "x"]]
    assert task.refresh().state == "finished"
    assert task.result == ["fedora", "x"]


def test_arguments_keep_their_types() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    queue.enqueue(plain, args=[(1, 2), {3}], kwargs={"at": now, "by": {1: b"x"}})
    assert run_all() == [[[(1, 2), {3}], {"at": now, "by": {1: b"x"}}]]


def test_functions_that_are_not_registered_run_too() -> None:
    task = queue.enqueue(plain, [1])
    assert (task.callable, task.method_name) == (f"{__name__}:plain", "plain")
    queue.enqueue(Repo.size, ["abc"])
    queue.enqueue(json.loads, ["[1]"])
    queue.enqueue(Repo.update, [Repo("centos"), "f"])
    assert run_all() == [[[1], {}], 3, [1], "centos updated from f"]


def test_functions_keep_their_name_whatever_decorates_them() -> None:
    assert queue.enqueue(cached, [1]).callable == f"{__name__}:cached"
    assert registered_and_cached.enqueue(1).method_name == "registered_and_cached"
    assert run_all() == [2, 3]


def test_bound_methods_carry_what_they_are_bound_to() -> None:
    tasks = [
        queue.enqueue(Repo("fedora").sync, kwargs={"feed": "x"}),
        queue.enqueue(Repo.create, ["centos"]),
        queue.enqueue(Repo("ab"), [2]),
        queue.enqueue("a-b".split, ["-"]),
    ]
    assert [(task.class_name, task.method_name) for task in tasks] == [
        ("Repo", "sync"), ("Repo", "create"), ("Repo", "__call__"), ("str", "split"),
    ]  # fmt: skip
    assert run_all() == ["fedora from x", "Repo centos", "abab", ["a", "b"]]


def test_a_registered_method_has_its_options_bound_or_not() -> None:
    task = Repo("fedora").update.enqueue("x")
    assert (task.class_name, task.method_name, task.timeout) == ("Repo", "update", timedelta(seconds=7))
    assert run_all() == ["fedora updated from x"]


def test_a_partial_is_a_call_with_more_arguments() -> None:
    task = queue.enqueue(functools.partial(functools.partial(sync, "fedora"), feed="y"), kwargs={"feed": "x"})
    assert (task.callable, task.args, task.kwargs) == (f"{__name__}:sync", ["fedora"], {"feed": "x"})


def test_an_async_function_weighs_nothing_unless_it_says_so() -> None:
    assert fetch.enqueue(4).weight == 0
    assert fetch.options(weight=2).enqueue(5).weight == 2
    assert sync.enqueue("x").weight == 1
    assert run_all()[:2] == [8, 10]


def test_another_queues_task_is_imported() -> None:
    assert queue.enqueue(elsewhere_task, [3]).callable == f"{__name__}:elsewhere_task"
    assert run_all() == [9]


elsewhere = TaskQueue(settings=queue.settings)


@elsewhere.task
def elsewhere_task(number: int) -> int:
    return number * 3


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (lambda: 1, "a lambda cannot be imported"),
        (functools.partial(lambda: 1), "a lambda cannot be imported"),
        ("os:system", "give a function or a method"),
        (None, "give a function or a method"),
        (threading.Lock().acquire, "cannot be stored"),
    ],
)
def test_what_no_worker_could_call_is_refused(function: Any, sentence: str) -> None:
    with pytest.raises(HeadboxError, match=sentence):
        queue.enqueue(function)


def test_a_function_inside_of_a_function_is_refused() -> None:
    def inner() -> None: ...

    with pytest.raises(InvalidTask, match="defined inside a function"):
        queue.enqueue(inner)
    with pytest.raises(InvalidTask, match="defined inside a function"):
        queue.task(inner)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"args": "fedora"}, "give a list of the positional arguments"),
        ({"kwargs": {1: 2}}, "give a dict from parameter names"),
        ({"kwargs": []}, "give a dict from parameter names"),
        ({"args": [threading.Lock()]}, "cannot be stored"),
        ({"args": ["x" * 2**20]}, "at most 1,048,576 are stored"),
    ],
)
def test_arguments_that_cannot_be_are_refused(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(HeadboxError, match=sentence):
        queue.enqueue(sync, **arguments)


# options


def test_options_of_the_call_go_before_those_of_the_decorator() -> None:
    task = queue.enqueue(careful)
    assert (task.callable, task.method_name) == ("careful", "careful")
    assert (task.timeout, task.weight, task.priority, task.queue, task.attempts) == (
        timedelta(minutes=1), 3, 5, "disk", 2,
    )  # fmt: skip
    task = queue.enqueue(careful, timeout=None, weight=0, priority=-9, queue="net", attempts=1, job_id="j", owner="ann")
    assert (task.timeout, task.weight, task.priority, task.queue, task.attempts, task.job_id, task.owner) == (
        None, 0, -9, "net", 1, "j", "ann",
    )  # fmt: skip


def test_settings_give_the_thresholds() -> None:
    settings = Settings(database=queue.store.url, failure_threshold=4, schedule_threshold=SECOND)
    with TaskQueue(settings=settings) as other:
        task = other.enqueue(plain)
        assert (task.failure_threshold, task.schedule_threshold) == (4, timedelta(seconds=1))
        task = other.enqueue(plain, failure_threshold=3, schedule_threshold=timedelta(minutes=2))
        assert (task.failure_threshold, task.schedule_threshold) == (3, timedelta(minutes=2))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"timeuot": 3}, "there is no option timeuot: did you mean timeout"),
        ({"zzzzz": 3}, "there is no option zzzzz: there are attempts, delay"),
        ({"timeout": -1}, "timeout is -1: give more than 0 seconds"),
        ({"timeout": 0}, "timeout is 0: give more than 0 seconds"),
        ({"timeout": "1h"}, "timeout is '1h': give seconds or a timedelta"),
        ({"timeout": float("nan")}, "timeout is nan: give seconds"),
        ({"timeout": True}, "timeout is True: give seconds"),
        ({"timeout": timedelta(days=10**6)}, "at most"),
        ({"schedule_threshold": -1}, "schedule_threshold is -1: give 0 or more"),
        ({"attempts": 0}, "attempts is 0: give a whole number from 1"),
        ({"attempts": 1.5}, "attempts is 1.5: give a whole number"),
        ({"attempts": None}, "attempts is None: give a whole number"),
        ({"failure_threshold": 0}, "failure_threshold is 0"),
        ({"weight": -1}, "weight is -1: give a whole number from 0"),
        ({"priority": 10}, "priority is 10: give a whole number from -9 to 9"),
        ({"priority": -10}, "priority is -10"),
        ({"queue": ""}, "queue is ''"),
        ({"queue": None}, "queue is None"),
        ({"queue": "a,b"}, "without commas"),
        ({"queue": "headbox"}, "headbox is taken"),
        ({"unique": 1}, "unique is 1: give True or False"),
        ({"job_id": 7}, "job_id is 7: give a text"),
        ({"owner": "a\nb"}, "owner is 'a\\\\nb': give a text"),
        ({"progress_arg": "a b"}, "give the name of a parameter"),
        ({"progress_callback": 3}, "give a function"),
        ({"scheduler": 60}, "give one such as IntervalScheduler"),
        ({"delay": -1}, "delay is -1: give 0 or more"),
        ({"delay": 1, "scheduler": ImmediateScheduler()}, "scheduler and delay each say when"),
        ({"delay": 1, "schedule": "PT5M"}, "schedule and delay each say when"),
        ({"schedule": "daily"}, "cannot be understood"),
    ],
    ids=repr,
)
def test_an_option_that_cannot_be_is_refused_in_one_sentence(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises((InvalidTask, InvalidSchedule), match=sentence) as refusal:
        queue.enqueue(sync, ["x"], **options)
    assert "\n" not in str(refusal.value)
    assert queue.count() == 2  # the housekeeping


def test_naive_datetimes_are_refused() -> None:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001
    with pytest.raises(InvalidSchedule, match="no time zone"):
        AtScheduler(naive)
    with pytest.raises(InvalidFilter, match="aware datetime"):
        queue.find(scheduled_before=naive)


# schedules


def test_each_scheduler_gives_its_first_occurrence(clock: FakeClock) -> None:
    start = clock.time + timedelta(days=1)
    cases: list[tuple[dict[str, Any], tuple[Any, ...]]] = [
        ({"scheduler": ImmediateScheduler()}, ("immediate", None, None, None)),
        ({"scheduler": AtScheduler(start)}, ("at", "2026-01-02T12:00:00Z", start, None)),
        ({"delay": 60}, ("at", "2026-01-01T12:01:00Z", clock.time + timedelta(minutes=1), None)),
        (
            {"scheduler": IntervalScheduler(timedelta(hours=6), start, 5)},
            ("interval", "2026-01-02T12:00:00Z/PT6H", start, 5),
        ),
        ({"schedule": "PT30S"}, ("interval", "2026-01-01T12:00:00Z/PT30S", clock.time, None)),
        (
            {"scheduler": CronScheduler("30 2 * * *", "Europe/Paris")},
            ("cron", "cron: 30 2 * * * Europe/Paris", datetime(2026, 1, 2, 1, 30, tzinfo=UTC), None),
        ),
    ]
    for options, expected in cases:
        task = queue.enqueue(sync, ["x"], **options)
        assert (task.scheduler, task.schedule, task.scheduled_time, task.runs_left) == expected


def test_a_delayed_task_runs_when_its_time_has_come(clock: FakeClock) -> None:
    sync.options(delay=timedelta(seconds=90)).enqueue("x")
    clock.advance(89)
    assert run_all() == []
    clock.advance(1)
    assert run_all() == [["x", None]]


def test_a_named_schedule_exists_once_and_the_same_again_changes_nothing(clock: FakeClock) -> None:
    first = queue.schedule("fedora", plain, args=[(1,)], schedule="PT1H")
    assert run_all() == [[[(1,)], {}]]
    clock.advance(60)
    again = queue.schedule("fedora", plain, args=[(1,)], schedule=IntervalScheduler(timedelta(hours=1)))
    assert (again.id, again.run, again.scheduled_time) == (first.id, 2, first.scheduled_time + timedelta(hours=1))
    changed = queue.schedule("fedora", plain, args=[(2,)], schedule="cron: 0 * * * * Europe/Paris", timeout=9)
    assert (changed.id, changed.args, changed.timeout) == (first.id, [(2,)], timedelta(seconds=9))
    clock.advance(3600)
    assert run_all() == [[[(2,)], {}]]
    assert queue.count(method_name="plain", state="incomplete") == 1


def test_a_named_schedule_has_to_recur() -> None:
    with pytest.raises(InvalidTask, match="recurs"):
        queue.schedule("once", sync, ["x"], schedule="2026-12-01T00:00:00Z")
    with pytest.raises(InvalidTask, match="the schedule's name"):
        queue.schedule("", sync, ["x"], schedule="PT1H")
    with pytest.raises(InvalidTask, match="did you mean timeout"):
        queue.schedule("once", sync, ["x"], schedule="PT1H", timeot=3)  # type: ignore[call-arg]


def test_an_application_without_schedules_asks_no_database_for_its_declarations_and_keys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So neither a forkserver nor a child of such an application has PostgreSQL's driver in its memory."""
    monkeypatch.setitem(sys.modules, "headbox.storage.postgres.store", None)
    queue = TaskQueue("postgresql://mill/tasks")
    assert queue.declarations("shop:queue") == []
    assert queue.payloads.keys == ()


def test_declarations_say_the_same_each_time(clock: FakeClock) -> None:
    other = TaskQueue(settings=Settings(database="sqlite:////nowhere/headbox.db"), clock=clock)
    other.task(schedule="R5/PT1H", name="hourly")(plain)
    (task,) = other.declarations("shop:queue")
    assert (task.schedule_name, task.declared_by, task.runs_left, task.schedule) == (
        "shop:queue:hourly", "shop:queue", 5, "2026-01-01T12:00:00Z/PT1H",
    )  # fmt: skip
    clock.advance(7)
    (again,) = other.declarations("shop:queue")
    assert again.definition == task.definition
    assert again.id != task.id
    changed = TaskQueue(settings=other.settings, clock=clock)
    changed.task(schedule="R6/PT1H", name="hourly")(plain)
    assert changed.declarations("shop:queue")[0].definition != task.definition


# unique


def test_a_unique_task_refuses_its_like() -> None:
    first = queue.enqueue(sync, ["x"], {"feed": "a"}, unique=True)
    with pytest.raises(NonUniqueTask) as refusal:
        queue.enqueue(sync, ["x"], {"feed": "a"}, unique=True)
    assert refusal.value.task_id == first.id
    queue.enqueue(sync, ["x"], {"feed": "b"}, unique=True)
    queue.enqueue(sync, ["x"], {"feed": "a"})
    queue.enqueue(sync, ["x"], {"feed": "a"}, unique=True, scheduler=IntervalScheduler(60))
    run_all()
    assert queue.enqueue(sync, ["x"], {"feed": "a"}, unique=True).state == "waiting"


def test_unique_tells_times_apart_but_not_the_order_of_keyword_arguments(clock: FakeClock) -> None:
    queue.enqueue(plain, [{"b": 1, "a": 2}], {"x": 1, "y": 2}, unique=True, delay=60)
    queue.enqueue(plain, [{"b": 1, "a": 2}], {"x": 1, "y": 2}, unique=True, delay=61)
    with pytest.raises(NonUniqueTask):
        queue.enqueue(plain, [{"a": 2, "b": 1}], {"y": 2, "x": 1}, unique=True, delay=60)


def test_unique_takes_plain_arguments_only() -> None:
    for function, args in ((plain, [(1,)]), (Repo("x").sync, [])):
        with pytest.raises(InvalidTask, match="unique tasks take plain JSON arguments"):
            queue.enqueue(function, args, unique=True)


# many, hooks, inheritance, transactions


def test_many_calls_are_all_accepted_or_none() -> None:
    tasks = queue.enqueue_many(sync.call.options(weight=2, job_id="j")(name) for name in "abc")
    assert [(task.args, task.weight, task.job_id) for task in tasks] == [([name], 2, "j") for name in "abc"]
    assert queue.enqueue_many([]) == []
    with pytest.raises(InvalidTask, match="'x' is not a call: give calls such as"):
        queue.enqueue_many([sync.call("fine"), "x"])  # type: ignore[list-item]
    with pytest.raises(PayloadRefused):
        queue.enqueue_many([sync.call("fine"), sync.call("x" * 2**20)])
    with pytest.raises(NonUniqueTask):
        queue.enqueue_many(sync.call.options(unique=True)("same") for _ in range(2))
    assert queue.count(method_name="sync") == 3


def test_a_hook_may_change_a_draft_or_refuse_it() -> None:
    def hook(draft: Draft) -> None:
        if draft.args == ["bad"]:
            raise ValueError("not this one")
        draft.args.append("seen by the hook")
        draft.options["priority"] = 4

    queue.on_enqueue(hook)
    try:
        task = sync.enqueue("fine")
        assert (task.args, task.priority) == (["fine", "seen by the hook"], 4)
        with pytest.raises(ValueError, match="not this one"):
            sync.enqueue("bad")
    finally:
        queue.registry.hooks["on_enqueue"].clear()


@queue.task
def parent() -> list[str]:
    own = current_task()
    child = sync.enqueue("child")
    stranger = sync.options(job_id="other", owner="eve").enqueue("stranger")
    queue.schedule("by a task", sync, args=["x"], schedule="P1D")
    return [own.id, child.id, stranger.id]


def test_what_a_task_enqueues_is_of_its_job_and_owner_unless_it_says_otherwise(clock: FakeClock) -> None:
    parent.options(job_id="j", owner="ann").enqueue()
    parent_id, child_id, stranger_id = drain(queue)[0].result
    assert {task.id: (task.job_id, task.owner) for task in queue.find(id=[parent_id, child_id, stranger_id])} == {
        parent_id: ("j", "ann"), child_id: ("j", "ann"), stranger_id: ("other", "eve"),
    }  # fmt: skip
    (scheduled,) = [task for task in queue.find() if task.schedule_name == "by a task"]
    assert (scheduled.job_id, scheduled.owner) == (None, None)


def test_enqueueing_joins_the_callers_own_transaction(tmp_path: Path) -> None:
    assert queue.count() == 2
    connection = sqlite3.connect(tmp_path / "headbox.db", isolation_level=None)
    for end, count in (("ROLLBACK", 2), ("COMMIT", 3)):
        connection.execute("BEGIN IMMEDIATE")
        queue.enqueue(sync, ["x"], connection=connection)
        connection.execute(end)
        assert queue.count() == count
    connection.close()


def test_published_callables_are_enqueued_by_name(clock: FakeClock) -> None:
    published = Published(
        name="shop:pack", short_name="pack", parameters=("order", "token"), defaults={"timeout": MINUTE, "weight": 4}
    )
    task = queue.enqueue_published(
        published, [7, "s3cret"], {}, owner="ann", schedule=IntervalScheduler(60, runs=2), timeout=None, weight=None,
        attempts=3, unique=True,
    )  # fmt: skip
    assert (task.callable, task.method_name, task.owner, task.timeout, task.weight, task.attempts) == (
        "shop:pack", "pack", "ann", MINUTE, 4, 3,
    )  # fmt: skip
    assert (task.scheduler, task.runs_left, task.args) == ("interval", 2, b'[7,"s3cret"]')
    assert json.loads(task.public_args or "") == [7, "********"]
    with pytest.raises(NonUniqueTask):
        queue.enqueue_published(published, [7, "s3cret"], {}, owner=None, schedule=IntervalScheduler(60), unique=True)


def test_what_is_shown_of_arguments_hides_secrets() -> None:
    record = queue.enqueue(careful, ["s3cret"]).record
    assert json.loads(record.public_args or "") == ["********"]
    record = queue.enqueue(careful, kwargs={"api_key": "s3cret"}).record
    assert json.loads(record.public_kwargs or "") == {"api_key": "********"}


# finding and changing


def test_tasks_are_found_by_filters() -> None:
    first, second = sync.enqueue("a"), careful.options(job_id="j").enqueue()
    assert queue.find(method_name="sync") == [first]
    assert queue.find(job_id="j", state=["waiting", "RUNNING"]) == [second]
    assert queue.find(id=[first.id, second.id], limit=1) == [first]
    assert queue.count(queue="disk") == 1
    assert queue.job("j") == [second]
    with pytest.raises(UnknownName):
        queue.job("none")
    with pytest.raises(InvalidFilter, match="there is no filter colour: valid are id, state"):
        queue.find(colour="red")  # type: ignore[call-arg]
    with pytest.raises(InvalidFilter, match="'ready' is no state: valid are waiting"):
        queue.count(state="ready")
    with pytest.raises(InvalidFilter, match="5 is no id"):
        queue.find(id=5)  # type: ignore[arg-type]


def test_tasks_are_changed_by_id_or_by_themselves(clock: FakeClock) -> None:
    task = queue.enqueue(sync, ["x"], delay=60)
    assert queue.suspend(task.id).state == "suspended"
    assert queue.resume(task.id).state == "waiting"
    assert queue.cancel(task.id).state == "canceled"
    with pytest.raises(StateConflict):
        task.cancel()
    assert task.reset().state == "reset"
    assert task.reschedule(IntervalScheduler(60, runs=2)).runs_left == 2
    assert queue.reschedule(task.id, AtScheduler(clock.time)).scheduler == "at"
    assert queue.reschedule(task.id, "PT5M").scheduler == "interval"
    with pytest.raises(InvalidTask, match="give one such as IntervalScheduler"):
        task.reschedule(300)  # type: ignore[arg-type]
    assert task.remove().state == "canceled"
    assert [run.run for run in queue.history(task.id)] == [2, 1]
    assert queue.get(task.id) == task
    with pytest.raises(UnknownTask):
        queue.get("nobody")


def test_a_job_is_canceled_as_a_whole() -> None:
    tasks = queue.enqueue_many(sync.call.options(job_id="j")(name) for name in "ab")
    assert queue.cancel_job("j") == tasks


# waiting


def test_wait_gives_the_result_or_raises_what_became_of_the_task(clock: FakeClock) -> None:
    task = sync.enqueue("x")
    run_all()
    assert task.wait(timeout=10) == ["x", None]
    failed = careful.options(attempts=1).enqueue()
    run_all()
    with pytest.raises(TaskFailed, match="ended in error: the disk is full") as failure:
        failed.wait()
    assert "OSError" in failure.value.task.traceback
    canceled = sync.enqueue("y")
    canceled.cancel()
    with pytest.raises(TaskCanceled):
        canceled.wait(timeout=timedelta(seconds=10))


def test_wait_tells_a_timeout_of_the_task_from_its_own() -> None:
    task = sync.enqueue("x")
    with pytest.raises(TimeoutError, match=r"\(sync\) is still waiting"):
        task.wait(timeout=0)
    with _TestWorker(queue, queue.store) as worker:
        claimed = worker._claim()
        assert claimed is not None
        worker._exchange(Report(outcomes=[Outcome(claimed.id, 1, "expire", queue.clock.now())]))
    with pytest.raises(TaskTimedOut):
        task.wait(timeout=10)


def test_wait_follows_attempts_to_the_last_and_a_schedule_to_its_current_occurrence(clock: FakeClock) -> None:
    task = queue.enqueue(careful, attempts=2)
    for _ in range(2):
        run_all()
        clock.advance(10)
    with pytest.raises(TaskFailed):
        task.wait(timeout=10)
    assert task.run == 2
    recurring = queue.enqueue(sync, ["x"], schedule="PT1M")
    run_all()
    assert recurring.wait(timeout=10) == ["x", None]
    assert recurring.refresh().run == 2
    with pytest.raises(TimeoutError):
        recurring.wait(timeout=0)


def test_wait_is_woken_by_another_process() -> None:
    task = sync.enqueue("x")
    fork = multiprocessing.get_context("fork").Process(target=drain, args=(queue,))
    fork.start()
    assert task.wait(timeout=30) == ["x", None]
    fork.join()
    assert fork.exitcode == 0


def test_wait_async_leaves_the_event_loop_free() -> None:
    async def scenario() -> Any:
        task = await queue.enqueue_async(sync, ["x"])
        waits = [asyncio.create_task(task.wait_async(timeout=30)) for _ in range(20)]
        await asyncio.to_thread(drain, queue)
        return await asyncio.gather(*waits)

    assert asyncio.run(scenario()) == [["x", None]] * 20


def test_every_waiting_call_has_a_twin() -> None:
    async def scenario() -> None:
        task = await sync.enqueue_async("x")
        assert await queue.count_async(method_name="sync") == 1
        assert (await queue.get_async(task.id)) == task
        assert (await queue.cancel_async(task.id)).state == "canceled"
        assert (await task.reset_async()).state == "reset"
        assert (await queue.enqueue_many_async([sync.call("y")]))[0].args == ["y"]
        with pytest.raises(TimeoutError):
            await task.wait_async(timeout=0.01)

    asyncio.run(scenario())
    for call in ("enqueue", "schedule", "get", "find", "count", "history", "job", "suspend", "resume", "remove"):
        assert asyncio.iscoroutinefunction(getattr(TaskQueue, f"{call}_async")), call


# the queue itself


def test_it_is_at_the_database_that_was_given_or_set_or_else_beside_the_program(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    default = TaskQueue()
    assert (default.database, default.database_is_default) == ("sqlite:///headbox.db", True)
    monkeypatch.setenv("HEADBOX_DATABASE", "sqlite:////srv/a.db")
    assert (TaskQueue().database, TaskQueue().database_is_default) == ("sqlite:////srv/a.db", False)
    given = TaskQueue("sqlite:////srv/b.db")
    assert (given.database, given.database_is_default) == ("sqlite:////srv/b.db", False)
    with pytest.raises(ConfigError, match=r"TaskQueue\(database\): 'b.db' is not a database URL"):
        _ = TaskQueue("b.db").database
    assert list(folder.iterdir()) == []  # nothing was opened


def test_it_is_closed_and_opened_again(tmp_path: Path) -> None:
    settings = Settings(database=f"sqlite:///{tmp_path / 'closed.db'}")
    with TaskQueue(settings=settings) as other:
        other.enqueue(plain)
    assert other.count(method_name="plain") == 1
    other.close()


def test_it_may_be_used_from_many_threads(tmp_path: Path) -> None:
    with TaskQueue(settings=Settings(database=f"sqlite:///{tmp_path / 'threads.db'}")) as other:
        threads = [threading.Thread(target=lambda: [other.enqueue(plain, [n]) for n in range(20)]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert other.count(method_name="plain") == 160


def test_a_fork_enqueues_too() -> None:
    sync.enqueue("before")
    fork = multiprocessing.get_context("fork").Process(target=sync.enqueue, args=("in the fork",))
    fork.start()
    fork.join()
    assert fork.exitcode == 0
    assert [task.args for task in queue.find(method_name="sync")] == [["before"], ["in the fork"]]


def test_a_key_in_the_settings_signs(tmp_path: Path) -> None:
    settings = Settings(database=queue.store.url, secret_keys=("a key of 16 letters",))
    with TaskQueue(settings=settings) as keyed:
        task = keyed.enqueue(plain, [(1,)])
    assert task.args == [(1,)]
    with pytest.raises(PayloadRefused, match="signature"):
        _ = queue.get(task.id).args


@queue.task(attempts=3, retry_on=ConnectionError)
def flaky(kind: str) -> None:
    if kind == "retry":
        raise Retry(after=30)
    raise {"connection": ConnectionError, "value": ValueError}[kind](kind)


def test_attempts_are_made_after_the_errors_that_retry_on_names(clock: FakeClock) -> None:
    tasks = [flaky.enqueue(kind) for kind in ("retry", "connection", "value")]
    run_all()
    assert [task.refresh().state for task in tasks] == ["waiting", "waiting", "error"]
    assert tasks[0].record.due_time == clock.now() + 30 * SECOND


@queue.task
def with_progress(progress: Any, total: int) -> None:
    for done in range(total):
        progress(done + 1, total)


def shown_progress(done: int, total: int) -> dict[str, int]:
    return {"done": done, "total": total}


def test_progress_arrives_in_pulps_own_form() -> None:
    task = queue.enqueue(with_progress, kwargs={"total": 3}, progress_arg="progress", progress_callback=shown_progress)
    run_all()
    assert task.refresh().progress == {"done": 3, "total": 3}


def test_a_task_that_the_application_lacks_is_given_back_and_held() -> None:
    sync_task = sync.enqueue("x")
    queue.enqueue_published(
        Published(name="ghost:f", short_name="f"), [], {}, owner=None, schedule=ImmediateScheduler()
    )
    assert [task.id for task in drain(queue)] == [sync_task.id]
    assert drain(queue) == []
    (ghost,) = queue.find(method_name="f")
    assert (ghost.state, ghost.record.held) == ("waiting", 1)
    assert queue.store.ready(ClaimRequest(queues=(), limit=1), queue.clock.now()) is None


def test_nothing_of_a_suspended_queue_runs_until_it_is_resumed() -> None:
    queue.suspend_queue("default")
    task = sync.enqueue("x")
    assert queue.suspended_queues() == ["default"]
    assert run_all() == [] and task.refresh().state == "waiting"
    asyncio.run(queue.resume_queue_async("default"))
    assert asyncio.run(queue.suspended_queues_async()) == []
    assert len(run_all()) == 1 and task.refresh().state == "finished"


def test_what_cannot_be_a_queues_name_is_refused() -> None:
    with pytest.raises(InvalidTask, match="queue"):
        queue.suspend_queue("")
