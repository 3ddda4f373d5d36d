from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from headbox.domain.errors import InvalidFilter, UnknownTask
from headbox.domain.states import COMPLETE, INCOMPLETE, STATES
from headbox.domain.task import DAY, HOUR, MINUTE, SECOND, SYSTEM_QUEUE
from headbox.storage import lookups
from headbox.storage.records import Filter, Report, Start
from headbox.storage.store import Store

if TYPE_CHECKING:
    from headbox.domain.task import Task
    from tests.conformance.conftest import Scene

LIFETIME = HOUR


def find(scene: Scene, **filter: Any) -> list[Task]:
    """What the filter finds, asked in each of the five ways; the housekeeping left out."""
    asked = Filter(**filter)
    found = list(scene.store.stream(asked, scene.now))
    assert list(scene.store.rows(asked, scene.now, ("state", "id"))) == [(task.state, task.id) for task in found]
    assert scene.store.count(asked, scene.now) == len(found)
    assert scene.store.find(asked, scene.now, limit=1_000).tasks == found
    assert paged(scene.store, asked, scene.now, 2) == found
    return [task for task in found if task.queue != SYSTEM_QUEUE]


def paged(store: Store, filter: Filter, now: int, limit: int) -> list[Task]:
    tasks, cursor = [], None
    while True:
        page = store.find(filter, now, limit, cursor)
        assert len(page.tasks) == limit or page.cursor is None
        tasks += page.tasks
        if (cursor := page.cursor) is None:
            return tasks


def states(tasks: list[Task]) -> set[str]:
    return {task.state for task in tasks}


@pytest.fixture
def one_of_each(scene: Scene) -> Scene:
    for state in STATES:
        scene.in_state(state)
    return scene


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("waiting", {"waiting", "reset", "suspended"}),
        ("running", {"running"}),
        ("incomplete", {"waiting", "reset", "suspended", "running"}),
        ("complete", set(COMPLETE)),
        ("current", set(STATES)),
        ("archived", {*COMPLETE, "reset"}),
        *[(state, {state}) for state in (*COMPLETE, "reset", "suspended")],
    ],
)
def test_a_state_filter_finds_its_group(one_of_each: Scene, name: str, expected: set[str]) -> None:
    assert states(find(one_of_each, states=(name,))) == expected


def test_no_state_at_all_means_the_current_tasks(one_of_each: Scene) -> None:
    assert find(one_of_each) == find(one_of_each, states=("current",))
    assert len(find(one_of_each)) == len(STATES)


def test_states_are_alternatives(one_of_each: Scene) -> None:
    assert states(find(one_of_each, states=("running", "suspended", "error"))) == {"running", "suspended", "error"}


def test_one_run_is_never_listed_twice(one_of_each: Scene) -> None:
    for names in (("current", "archived"), ("complete", "archived", "finished"), ("finished", "archived")):
        runs = [(task.id, task.run) for task in find(one_of_each, states=names)]
        assert len(runs) == len(set(runs))


def test_current_tasks_come_oldest_first_then_archived_runs_newest_first(scene: Scene) -> None:
    ended = [scene.in_state("finished") for _ in range(3) if scene.pass_time(SECOND)]
    live = [scene.enqueue(), scene.enqueue_hourly()]
    scene.finish(scene.claim(limit=2)[1])
    current = find(scene, states=("current",))
    assert [task.id for task in current] == [task.id for task in (*ended, *live)]
    scene.pass_time(LIFETIME)
    everything = find(scene, states=("archived", "current"))
    assert [task.id for task in everything[:2]] == [task.id for task in live]
    times = [task.finish_time or 0 for task in everything[2:]]
    assert times == sorted(times, reverse=True) and len(times) == 4


def test_an_ended_task_is_current_for_its_lifetime_and_archived_for_good(scene: Scene) -> None:
    task = scene.in_state("finished")
    scene.pass_time(LIFETIME - 1)
    assert find(scene) == find(scene, states=("complete",)) == [scene.get(task)]
    scene.pass_time(1)
    assert find(scene) == find(scene, states=("complete",)) == find(scene, states=("finished",)) == []
    assert find(scene, states=("archived",)) == [scene.get(task)]


def test_a_run_of_a_schedule_is_archived_and_not_complete(scene: Scene) -> None:
    task = scene.enqueue_hourly()
    scene.finish(scene.claim()[0])
    assert find(scene, states=("complete",)) == []
    assert [(run.id, run.run) for run in find(scene, states=("archived",))] == [(task.id, 1)]
    assert [(run.id, run.run) for run in find(scene)] == [(task.id, 2)]


def test_a_run_that_was_reset_is_no_longer_complete(scene: Scene) -> None:
    task = scene.in_state("error")
    scene.store.reset(task.id, scene.now)
    assert find(scene, states=("complete",)) == [] and states(find(scene)) == {"reset"}


@pytest.mark.parametrize(
    ("filter", "field"),
    [
        ("ids", "id"),
        ("method_names", "method_name"),
        ("class_names", "class_name"),
        ("job_ids", "job_id"),
        ("queues", "queue"),
        ("owners", "owner"),
    ],
)
def test_values_of_a_filter_are_alternatives_and_null_is_none_of_them(scene: Scene, filter: str, field: str) -> None:
    values = ["one", "tw'o", "thrée"]
    for value in values:
        scene.enqueue(**{field: value})
    scene.enqueue()
    assert [getattr(task, field) for task in find(scene, **{filter: ("tw'o",)})] == ["tw'o"]
    assert {getattr(task, field) for task in find(scene, **{filter: ("one", "thrée", "none")})} == {"one", "thrée"}
    assert find(scene, **{filter: ("none",)}) == [] == find(scene, **{filter: ("",)})


def test_filters_narrow_each_other(scene: Scene) -> None:
    wanted = scene.enqueue(job_id="job", owner="ann")
    scene.enqueue(job_id="job", owner="bob")
    scene.enqueue(owner="ann")
    assert find(scene, job_ids=("job",), owners=("ann",)) == [wanted]
    assert find(scene, job_ids=("job",), owners=("ann",), states=("complete",)) == []


def test_a_caller_without_read_sees_what_it_owns(scene: Scene) -> None:
    mine = scene.enqueue(owner="ann")
    scene.enqueue(owner="bob")
    scene.enqueue()
    assert find(scene, visible_to="ann") == [mine]
    assert find(scene, visible_to="nobody") == [] == find(scene, visible_to="")
    assert find(scene, visible_to="ann", owners=("bob",)) == []
    scene.store.cancel(mine.id, scene.now)
    assert [task.id for task in find(scene, visible_to="ann", states=("archived",))] == [mine.id]


def test_scheduled_times_are_bounds_and_an_immediate_task_has_none(scene: Scene) -> None:
    early, late = (
        scene.enqueue(scheduler="at", scheduled_time=scene.now + wait, due_time=scene.now + wait)
        for wait in (MINUTE, HOUR)
    )
    scene.enqueue()
    queues = ("default",)
    assert find(scene, scheduled_before=scene.now + HOUR, queues=queues) == [early]
    assert find(scene, scheduled_after=scene.now + MINUTE, queues=queues) == [late]
    assert find(scene, scheduled_after=scene.now, scheduled_before=scene.now + 2 * HOUR, queues=queues) == [early, late]
    assert find(scene, scheduled_before=scene.now) == []


def test_outcomes_choose_among_archived_runs(one_of_each: Scene) -> None:
    for outcome in (*COMPLETE, "reset"):
        assert states(find(one_of_each, outcomes=(outcome,))) == {outcome}
        assert states(find(one_of_each, outcomes=(outcome,), states=("archived",))) == {outcome}
    assert states(find(one_of_each, outcomes=("error", "reset"))) == {"error", "reset"}


def test_pages_of_any_size_make_the_whole_list(one_of_each: Scene) -> None:
    asked = Filter(states=("current", "archived"))
    whole = list(one_of_each.store.stream(asked, one_of_each.now))
    for limit in range(1, len(whole) + 2):
        assert paged(one_of_each.store, asked, one_of_each.now, limit) == whole


def test_a_page_of_many_runs_that_ended_at_one_instant_loses_none(scene: Scene) -> None:
    for _ in range(7):
        scene.in_state("finished")
    runs = paged(scene.store, Filter(states=("archived",)), scene.now, 3)
    assert len({task.id for task in runs}) == len(runs) == 7


@pytest.mark.parametrize(
    "cursor", ["", "x", "bnVsbA", "WyJhIiw5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OSwxXQ", "é", "W10", "WyJhIiwxLCJiIl0"]
)
def test_a_cursor_that_was_never_given_is_refused(scene: Scene, cursor: str) -> None:
    with pytest.raises(InvalidFilter, match="cursor"):
        scene.store.find(Filter(states=("archived",)), scene.now, 5, cursor)


def test_a_stream_is_one_reading_whatever_happens_meanwhile(scene: Scene) -> None:
    tasks = [scene.enqueue() for _ in range(5)]
    stream = scene.store.stream(Filter(queues=("default",)), scene.now)
    seen = [next(stream)]
    for task in tasks:
        scene.store.cancel(task.id, scene.now)
    seen += stream
    assert seen == tasks


def test_a_stream_that_is_left_early_holds_nothing_up(scene: Scene) -> None:
    scene.enqueue()
    stream = scene.store.stream(Filter(), scene.now)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert scene.enqueue() in find(scene)


def test_a_task_is_looked_up_while_it_lives_and_once_it_is_archived(scene: Scene) -> None:
    waiting, ended = scene.enqueue(args=b"[1]", due_time=scene.now + HOUR), scene.running()
    scene.finish(ended)
    for task, state in ((waiting, "waiting"), (ended, "finished")):
        found = asyncio.run(scene.store.look_up_on_loop(lookups.task(task.id)))
        assert found == scene.store.get(task.id) and (found.id, found.state) == (task.id, state)
    with pytest.raises(UnknownTask, match="nobody"):
        asyncio.run(scene.store.look_up_on_loop(lookups.task("nobody")))


def test_the_history_of_a_task_is_its_archived_runs_newest_first(scene: Scene) -> None:
    task = scene.enqueue_hourly()
    assert scene.store.history(task.id) == [] and scene.store.run(task.id, 1) is None
    for _ in range(3):
        scene.finish(scene.claim()[0])
        scene.pass_time(HOUR)
    history = scene.store.history(task.id)
    assert [run.run for run in history] == [3, 2, 1]
    assert [scene.store.run(task.id, number) for number in (3, 2, 1)] == history
    assert scene.store.run(task.id, 4) is None and scene.store.run("nobody", 1) is None
    with pytest.raises(UnknownTask):
        scene.store.history("nobody")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"method_name": "make_Paper"}, "MAKE_p"),
        ({"callable": "mill.wire:press"}, "wire:PR"),
        ({"class_name": "Vat"}, "vat"),
        ({"job_id": "night shift"}, "night s"),
        ({"args": b'["fedora-41"]'}, "FEDORA-4"),
        ({"kwargs": '{"über": "中文 \\\\"}'.encode()}, "中文"),
        ({"args": b'["a\\\\b"]', "public_args": '["a\\\\b"]'}, "A\\\\B"),
        ({"public_args": '["[100%!]"]', "args": b"\x80\xff"}, "100%!"),
        ({"public_kwargs": '{"ÉTÉ": 1}', "kwargs": b"\x80"}, "ÉtÉ"),
    ],
)  # fmt: skip
def test_a_text_is_found_in_names_and_shown_arguments(scene: Scene, changes: dict[str, Any], text: str) -> None:
    task = scene.enqueue(**changes)
    scene.enqueue(args=b'["100 !"]', method_name="makeXpaper")
    assert find(scene, text=text) == [scene.get(task)]
    assert find(scene, text=text + "#") == []


def test_a_text_is_found_in_an_id_and_an_exception_and_never_in_what_is_not_shown(scene: Scene) -> None:
    failed = scene.running()
    scene.finish(failed, "fail", exception="No such Feed")
    secret = scene.enqueue(args=b'["hunter2"]', public_args='["***"]')
    assert find(scene, text="such feed", states=("archived",)) == [scene.get(failed)]
    assert find(scene, text=secret.id.upper()) == [secret]
    assert find(scene, text="hunter2") == []


def test_so_many_runs_of_a_history_are_its_newest(scene: Scene) -> None:
    schedule = scene.enqueue_hourly()
    for _ in range(3):
        scene.pass_time(HOUR)
        scene.finish(scene.claim()[0])
    runs = scene.store.history(schedule.id)
    assert len(runs) == 3 and scene.store.history(schedule.id, 2) == runs[:2]


def test_running_tasks_come_the_longest_running_first(scene: Scene) -> None:
    late, early, starting = (scene.running() for _ in range(3))
    scene.enqueue()
    for task, ago in ((late, 1), (early, 2)):
        start = Start(task.id, task.run, scene.now - ago)
        scene.store.exchange("a", Report(starts=[start]), None, scene.now)
    assert [task.id for task in scene.store.running(10)] == [early.id, late.id, starting.id]
    assert [task.id for task in scene.store.running(2)] == [early.id, late.id]


def test_what_comes_next_is_told_whatever_its_queue_and_priority(scene: Scene) -> None:
    times = {minutes: scene.now + minutes * MINUTE for minutes in (3, 1, 2, 4)}
    for queue, (minutes, due) in zip(("a", "b", "a", "c"), times.items(), strict=True):
        scene.enqueue(due_time=due, queue=queue, priority=minutes % 2, is_async=minutes == 4)
    scene.enqueue()
    suspended = scene.enqueue(due_time=scene.now + SECOND)
    scene.store.suspend(suspended.id, scene.now)
    upcoming = [task for task in scene.store.upcoming(scene.now, 10) if task.queue != SYSTEM_QUEUE]
    assert [task.due_time for task in upcoming] == sorted(times.values())
    assert [task.due_time for task in scene.store.upcoming(scene.now, 2)] == sorted(times.values())[:2]
    assert scene.store.upcoming(scene.now + 10 * DAY, 10) == []


def test_exact_states_are_those_and_no_group(one_of_each: Scene) -> None:
    for state in INCOMPLETE:
        assert states(find(one_of_each, exactly=(state,))) == {state}
    assert states(find(one_of_each, exactly=("waiting", "running"))) == {"waiting", "running"}


def ended(scene: Scene, *names: str) -> list[Task]:
    """Runs of those methods that ended a minute after another."""
    for name in names:
        scene.finish(scene.running(method_name=name))
        scene.pass_time(MINUTE)
    return scene.store.find(Filter(states=("archived",)), scene.now, 100).tasks


def test_runs_are_found_by_when_they_ended(scene: Scene) -> None:
    third, second, first = ended(scene, "first", "second", "third")
    scene.enqueue()
    assert first.finish_time is not None and third.finish_time is not None
    for group in ("archived", "current"):
        after = find(scene, states=(group,), finished_after=first.finish_time)
        before = find(scene, states=(group,), finished_before=third.finish_time)
        assert {task.id for task in after} == {second.id, third.id}
        assert {task.id for task in before} == {first.id, second.id}
    assert find(scene, states=("archived",), finished_after=first.finish_time, finished_before=third.finish_time) == [
        second
    ]


def test_no_more_than_the_newest_runs_of_the_time_are_looked_at(scene: Scene) -> None:
    third, second, first = ended(scene, "common", "rare", "common")
    few = Filter(states=("archived",), method_names=("common",), newest=2)
    assert scene.store.find(few, scene.now, 10).tasks == [third]
    assert scene.store.count(few, scene.now) == 1
    earlier = Filter(states=("archived",), method_names=("common",), newest=2, finished_before=third.finish_time)
    assert scene.store.find(earlier, scene.now, 10).tasks == [first]
    page = scene.store.find(Filter(states=("archived",), newest=1), scene.now, 1)
    assert page.tasks == [third]
    assert second.method_name == "rare"


def test_the_rare_outcomes_and_a_jobs_runs_are_found_however_much_else_has_ended_since(scene: Scene) -> None:
    failed = scene.running(job_id="night")
    scene.finish(failed, "fail")
    ended(scene, "common", "common", "common")
    for asked in (Filter(outcomes=("error",), newest=2), Filter(states=("archived",), job_ids=("night",), newest=2)):
        assert [task.id for task in scene.store.find(asked, scene.now, 10).tasks] == [failed.id]
        assert scene.store.count(asked, scene.now) == 1


def test_a_page_tells_how_many_there_are_as_far_as_they_are_counted(scene: Scene) -> None:
    ended(scene, *5 * ["press"])
    for number in range(5):
        scene.enqueue(method_name="press", job_id=f"{number}")
    for group in ("incomplete", "archived", "current"):
        asked = Filter(states=(group,), method_names=("press",))
        whole = scene.store.find(asked, scene.now, 100)
        for counting in (3, 5, 100):
            page = scene.store.find(asked, scene.now, 2, counting=counting)
            plain = scene.store.find(asked, scene.now, 2)
            assert page.tasks == whole.tasks[:2] and page.cursor == plain.cursor
            assert page.count == scene.store.count(asked, scene.now, counting)
            following = scene.store.find(asked, scene.now, 2, page.cursor, counting)
            assert following.tasks == whole.tasks[2:4] and following.count == page.count
    nothing = scene.store.find(Filter(exactly=("suspended",)), scene.now, 2, counting=10)
    assert (nothing.tasks, nothing.cursor, nothing.count) == ([], None, 0)
