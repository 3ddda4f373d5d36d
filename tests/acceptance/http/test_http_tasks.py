"""What A.20 names: one task, all tasks, their filters (API.md)."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from headbox.domain.task import HOUR, MINUTE
from headbox.identifiers import new_id
from headbox.storage.records import Report, Start

KEYS = [
    "id", "job_id", "class_name", "method_name", "args", "state", "start_time", "finish_time", "result", "exception",
    "traceback", "progress", "scheduled_time", "scheduler", "snapshot_id",
]  # fmt: skip
ABSENT = "01912345-0000-7000-8000-000000000000"


def ids(response: Any) -> list[str]:
    assert response.status_code == 200, response.text
    return [task["id"] for task in response.json()]


def test_a_fresh_server_shows_the_two_housekeeping_tasks_of_the_documents_sample(fresh: Any) -> None:
    tasks = fresh.admin.get("/tasks/").json()
    nothing = dict.fromkeys(KEYS) | {"args": [], "state": "waiting", "scheduler": "interval"}
    assert [task | {"id": None} for task in tasks] == [
        nothing | {"method_name": "cull_audited_events", "scheduled_time": "2026-12-02T01:00:00Z"},
        nothing | {"method_name": "cull_history", "scheduled_time": "2026-12-02T06:00:00Z"},
    ]


def test_a_task_has_exactly_its_fifteen_keys_in_order(mill: Any) -> None:
    task = mill.task(args=b'["fedora-41",{"deep":[1,2.5,null]}]', job_id="nightly")
    response = mill.admin.get(f"/tasks/{task.id}/")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert list(body) == KEYS
    assert body == dict.fromkeys(KEYS) | {
        "id": task.id,
        "job_id": "nightly",
        "method_name": "pack",
        "args": ["fedora-41", {"deep": [1, 2.5, None]}],
        "state": "waiting",
        "scheduler": "immediate",
    }


def test_a_run_in_flight_shows_its_snapshot_and_progress(mill: Any) -> None:
    task = mill.running()
    mill.progress(task, '{"done":3,"total":10}')
    body = mill.admin.get(f"/tasks/{task.id}/").json()
    assert body["state"] == "running"
    assert body["snapshot_id"] == task.snapshot_id is not None
    assert body["progress"] == {"done": 3, "total": 10}


def test_a_failed_task_says_how(mill: Any) -> None:
    task = mill.running()
    mill.pass_time(250_000)
    mill.finish(task, "fail", start_time=task.enqueue_time, exception="no such disk", traceback="Traceback …\n")
    body = mill.admin.get(f"/tasks/{task.id}/").json()
    assert body["state"] == "error"
    assert (body["exception"], body["traceback"]) == ("no such disk", "Traceback …\n")
    assert body["start_time"] == "2026-12-01T12:00:00Z"
    assert body["finish_time"] == "2026-12-01T12:00:00.250000Z"
    assert body["snapshot_id"] is None


def test_an_unknown_task_is_a_404_in_a_problem_document(mill: Any) -> None:
    response = mill.admin.get(f"/tasks/{ABSENT}/")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["status"] == 404
    assert response.json()["detail"]


def test_a_task_is_found_in_the_history_after_it_is_no_longer_current(mill: Any) -> None:
    task = mill.finished()
    mill.pass_time(2 * HOUR)
    assert mill.admin.get(f"/tasks/{task.id}/").json()["state"] == "finished"
    assert task.id not in ids(mill.admin.get("/tasks/"))
    assert task.id in ids(mill.admin.get("/tasks/", params={"state": "archived"}))


def test_groups_and_single_states_select_what_they_say(mill: Any) -> None:
    waiting, suspended = mill.task(due_time=mill.clock.time + HOUR), mill.task()
    mill.store.suspend(suspended.id, mill.clock.time)
    lost = mill.running()
    running = mill.running()
    finished, failed = mill.running(), mill.running()
    mill.finish(finished)
    mill.finish(failed, "fail")
    mill.finish(lost, "lose")
    mine = {task.id for task in (waiting, suspended, lost, running, finished, failed)}

    def found(*states: str) -> set[str]:
        return mine & set(ids(mill.admin.get("/tasks/", params={"state": list(states)})))

    assert found("waiting") == {waiting.id, suspended.id, lost.id}
    assert found("WAITING", "Running") == found("incomplete") == {waiting.id, suspended.id, lost.id, running.id}
    assert found("running") == {running.id}
    assert found("complete") == {finished.id, failed.id}
    assert found("current") == found() == mine
    assert found("finished") == {finished.id}
    assert found("error") == {failed.id}
    assert found("reset") == {lost.id}
    assert found("suspended") == {suspended.id}
    assert found("canceled") == found("timed_out") == set()


def test_archived_runs_come_newest_first_and_none_twice(mill: Any) -> None:
    first = mill.finished()
    mill.pass_time(MINUTE)
    second = mill.finished()
    assert ids(mill.admin.get("/tasks/?state=archived")) == [second.id, first.id]
    assert sorted(ids(mill.admin.get("/tasks/?state=archived&state=complete"))) == sorted([first.id, second.id])


def test_every_run_of_a_recurring_task_is_archived(mill: Any) -> None:
    task = mill.hourly()
    for _ in range(3):
        mill.finish(mill.claim()[0])
        mill.pass_time(HOUR)
    assert ids(mill.admin.get("/tasks/?state=archived")) == [task.id] * 3
    assert ids(mill.admin.get("/tasks/?state=complete")) == []
    runs = mill.admin.get(f"/tasks/{task.id}/runs/?fields=run,state").json()
    assert runs == [{"state": "finished", "run": run} for run in (3, 2, 1)]


def test_current_tasks_come_oldest_first(mill: Any) -> None:
    tasks = [mill.task() for _ in range(5)]
    assert ids(mill.admin.get("/tasks/?method_name=pack")) == [task.id for task in tasks]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("method_name=pack", {"a", "b", "d"}),
        ("method_name=pack&method_name=ship", {"a", "b", "c", "d"}),
        ("class_name=Repo", {"b"}),
        ("job_id=j1", {"a", "c"}),
        ("queue=slow", {"c"}),
        ("owner=bob", {"a"}),
        ("job_id=j1&method_name=ship", {"c"}),
        ("scheduled_before=2026-12-01T14:00:00Z", {"d"}),
        ("scheduled_after=2026-12-01T13:59:59%2B01:00", {"d"}),
        ("scheduled_after=2026-12-01T13:00:00Z&method_name=pack", set()),
    ],
)
def test_filters_select(mill: Any, query: str, expected: set[str]) -> None:
    tasks = {
        "a": mill.task(job_id="j1", owner="bob"),
        "b": mill.task(class_name="Repo"),
        "c": mill.task(job_id="j1", queue="slow", method_name="ship"),
        "d": mill.task(scheduler="at", schedule="2026-12-01T13:00:00Z", scheduled_time=mill.clock.time + HOUR),
    }
    names = {task.id: name for name, task in tasks.items()}
    assert {names[id] for id in ids(mill.admin.get(f"/tasks/?{query}")) if id in names} == expected


def test_outcome_filters_archived_runs(mill: Any) -> None:
    finished, failed = mill.running(), mill.running()
    mill.finish(finished)
    mill.finish(failed, "fail")
    assert ids(mill.admin.get("/tasks/?state=archived&outcome=error")) == [failed.id]
    assert ids(mill.admin.get("/tasks/?outcome=Finished")) == [finished.id]


def test_ids_select_and_only_an_id_that_no_chosen_state_has_is_a_404(mill: Any) -> None:
    one, other = mill.task(), mill.finished()
    get = mill.admin.get
    assert ids(get("/tasks/", params={"id": [one.id, other.id]})) == sorted([one.id, other.id])
    assert ids(get("/tasks/", params={"id": [one.id, ABSENT]})) == [one.id]
    assert get("/tasks/", params={"id": ABSENT}).status_code == 404
    assert get("/tasks/", params={"id": one.id, "state": "complete"}).status_code == 404
    assert ids(get("/tasks/", params={"id": one.id, "method_name": "other"})) == []
    assert ids(get("/tasks/", params={"method_name": "other"})) == []


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("state=sleeping", "waiting, running, incomplete, complete, current, archived"),
        ("state=", "archived"),
        ("colour=red", "method_name"),
        ("outcome=waiting", "timed_out"),
        ("scheduled_before=tomorrow", "2026-12-01T06:00:00Z"),
        ("scheduled_before=2026-12-01T12:00:00", "time zone"),
        ("limit=0", "10000"),
        ("limit=-1", "10000"),
        ("limit=1e3", "10000"),
        ("limit=1&limit=2", "once"),
        ("limit=1&cursor=nonsense", "cursor"),
        ("limit=1&cursor=WyJhIiwxMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwLDFd", "cursor"),
        ("cursor=abc", "limit"),
        ("fields=id,colour", "snapshot_id"),
        ("fields=", "snapshot_id"),
        ("id=%zz", "%25"),
        ("id=%ff", "UTF-8"),
        ("id=%00", "control character"),
        ("State=waiting", "state"),
    ],
)
def test_what_cannot_be_is_a_400_that_says_what_can(mill: Any, query: str, named: str) -> None:
    response = mill.admin.get(f"/tasks/?{query}")
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert named in response.text


def test_several_wrong_parameters_are_all_named(mill: Any) -> None:
    errors = mill.admin.get("/tasks/?colour=red&size=big").json()["errors"]
    assert [error["parameter"] for error in errors] == ["colour", "size"]


def test_fields_asks_for_fewer_or_for_all(mill: Any) -> None:
    task = mill.running(kwargs=b'{"feed":"x"}', timeout=30 * MINUTE, owner="bob", priority=3)
    one = mill.admin.get(f"/tasks/{task.id}/?fields=state,id,progress").json()
    assert one == {"id": task.id, "state": "running", "progress": None}
    everything = mill.admin.get(f"/tasks/{task.id}/?fields=all").json()
    assert list(everything)[:15] == KEYS
    assert everything["kwargs"] == {"feed": "x"}
    assert (everything["timeout"], everything["schedule_threshold"]) == ("PT30M", None)
    assert (everything["owner"], everything["priority"], everything["run"]) == ("bob", 3, 1)
    assert (everything["queue"], everything["weight"], everything["callable"]) == ("default", 1, "shop:pack")
    assert (everything["worker"], everything["enqueue_time"]) == ("a", "2026-12-01T12:00:00Z")
    assert {"failure_threshold", "consecutive_failures", "cancel_attempts", "waiting_for"} <= set(everything)


def reasons(client: Any, task: Any) -> Any:
    return client.get(f"/tasks/{task.id}/?fields=waiting_for").json()["waiting_for"]


def test_waiting_for_says_why_a_task_does_not_run(mill: Any) -> None:
    later = mill.hourly(scheduled_time=mill.clock.time + HOUR, due_time=mill.clock.time + HOUR)
    assert reasons(mill.admin, later) == [
        {"reason": "time", "text": "it is due in 1 h", "due_time": "2026-12-01T13:00:00Z"}
    ]
    first, second = mill.task(queue="q"), mill.task(queue="q")
    assert reasons(mill.admin, first) == []
    assert reasons(mill.admin, second) == [
        {"reason": "before", "text": "1 ready task of its queue is before it", "count": 1, "more": False}
    ]
    mill.admin.post("/queues/q/suspend/")
    assert reasons(mill.admin, second) == [
        {"reason": "queue_suspended", "text": "its queue q is suspended", "queue": "q"}
    ]
    suspended = mill.store.suspend(mill.task().id, mill.clock.time)
    assert reasons(mill.admin, suspended) == [{"reason": "suspended", "text": "it is suspended; resume it"}]
    assert reasons(mill.admin, mill.finished()) == []


def test_waiting_for_says_which_weight_is_in_the_way(mill: Any) -> None:
    running = mill.running(weight=3)
    start = Start(running.id, 1, mill.clock.time)
    mill.store.exchange("a", Report(starts=[start]), None, mill.clock.time)
    (reason,) = reasons(mill.admin, mill.task(weight=2))
    assert reason["text"] == "weight 3 of 4 is taken by pack, and it takes 2"
    assert (reason["taken"], reason["concurrency"], reason["tasks"]) == (3, 4, [running.id])
    assert reasons(mill.admin, mill.task(weight=0))[0]["reason"] == "before"
    assert reasons(mill.admin, running) == []


def test_waiting_for_in_lists_leaves_out_what_would_be_counted_for_each(mill: Any) -> None:
    for _ in range(2):
        mill.task()
    mill.task(callable="shop:unheard_of")
    found = mill.admin.get("/tasks/?method_name=pack&fields=waiting_for").json()
    assert [[reason["reason"] for reason in task["waiting_for"]] for task in found] == [[], [], ["callable"]]


def test_what_is_due_next_comes_soonest_first(mill: Any) -> None:
    mill.task()
    later, soon = (mill.task(due_time=mill.clock.time + minutes * MINUTE, queue=f"q{minutes}") for minutes in (30, 15))
    assert ids(mill.admin.get("/tasks/upcoming/"))[:2] == [soon.id, later.id]
    assert ids(mill.admin.get("/tasks/upcoming/?limit=1&fields=id")) == [soon.id]
    assert mill.admin.get("/tasks/upcoming/?limit=0").status_code == 400
    assert mill.client("operators").get("/tasks/upcoming/").status_code == 200
    assert mill.client().get("/tasks/upcoming/").status_code == 403


def test_a_limit_pages_and_the_link_header_leads_on(mill: Any) -> None:
    tasks = [mill.finished() for _ in range(3)] + [mill.task() for _ in range(4)]
    found, url, pages = [], "/tasks/?method_name=pack&limit=3&fields=id&state=archived&state=current", 0
    while url:
        response = mill.admin.get(url)
        found += ids(response)
        pages += 1
        url = response.links["next"]["url"] if "next" in response.links else ""
    assert sorted(found) == sorted(task.id for task in tasks)
    assert pages == 3


def test_a_list_longer_than_memory_is_spooled_and_whole(mill: Any) -> None:
    task = mill.task(args=b'["' + b"x" * 2000 + b'"]')
    more = [replace(task, id=new_id()) for _ in range(999)]
    tasks = [task, *mill.store.enqueue(more, mill.clock.time)]
    response = mill.admin.get("/tasks/?method_name=pack")
    assert ids(response) == [task.id for task in tasks]
    assert int(response.headers["content-length"]) == len(response.content) > 2_000_000


def test_what_is_shown_of_arguments_is_their_public_form(mill: Any) -> None:
    pickled = b"\x80HB1" + bytes(32) + b"\x80\x04."
    task = mill.task(
        args=pickled, public_args='["(1, 2)"]', kwargs=b'{"password":"x"}', public_kwargs='{"password":"***"}'
    )
    body = mill.admin.get(f"/tasks/{task.id}/?fields=args,kwargs").json()
    assert body == {"args": ["(1, 2)"], "kwargs": {"password": "***"}}


def test_a_damaged_payload_shows_nothing_and_spoils_no_list(mill: Any) -> None:
    damaged, sound = mill.task(args=b'["half'), mill.task(args=b'["whole"]')
    bodies = mill.admin.get("/tasks/?method_name=pack&fields=id,args").json()
    assert bodies == [{"id": damaged.id, "args": None}, {"id": sound.id, "args": ["whole"]}]


def test_head_answers_like_get_without_a_body(mill: Any) -> None:
    task = mill.task()
    for path in (f"/tasks/{task.id}/", "/tasks/", "/health/live", "/docs/"):
        head, get = mill.admin.head(path), mill.admin.get(path)
        assert (head.status_code, head.headers["content-length"]) == (200, get.headers["content-length"])
        assert head.content == b""
