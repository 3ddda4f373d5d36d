"""The calls that enqueue tasks and change them (API.md, Beyond it)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import httpx2 as httpx
import pytest

from headbox.domain.task import HOUR


def enqueue(mill: Any, **body: Any) -> Any:
    return mill.admin.post("/tasks/", json={"method_name": "shop:pack"} | body)


def test_enqueuing_is_a_202_with_the_task_and_where_it_is(mill: Any) -> None:
    response = enqueue(mill, args=["fedora-41", 2], kwargs={"password": "hunter2"}, job_id="nightly")
    assert response.status_code == 202, response.text
    task = response.json()
    assert (task["state"], task["method_name"], task["args"]) == ("waiting", "pack", ["fedora-41", 2])
    assert response.headers["location"] == f"/tasks/{task['id']}/"
    seen = mill.admin.get(response.headers["location"], params={"fields": "all"}).json()
    assert (seen["callable"], seen["owner"], seen["job_id"]) == ("shop:pack", "admin", "nightly")
    assert "hunter2" not in str(seen["kwargs"])
    claimed = mill.claim()[0]
    assert claimed.args == b'["fedora-41",2]'
    assert claimed.kwargs == b'{"password":"hunter2"}'


def test_every_option_arrives(mill: Any) -> None:
    options = {
        "schedule": "R5/2026-12-02T00:00:00Z/PT5M",
        "timeout": "PT30M",
        "attempts": 3,
        "failure_threshold": 4,
        "schedule_threshold": "PT1M",
        "weight": 2,
        "priority": -9,
        "queue": "slow",
    }
    id = enqueue(mill, **options).json()["id"]
    seen = mill.admin.get(f"/tasks/{id}/?fields=all").json()
    assert {name: seen[name] for name in options if name != "schedule"} == {
        name: value for name, value in options.items() if name != "schedule"
    }
    assert seen["schedule"] == "2026-12-02T00:00:00Z/PT5M"
    assert (seen["scheduler"], seen["runs_left"], seen["scheduled_time"]) == ("interval", 5, "2026-12-02T00:00:00Z")


@pytest.mark.parametrize(
    ("schedule", "scheduler", "time"),
    [
        (None, "immediate", None),
        ("2026-12-24T18:00:00+01:00", "at", "2026-12-24T17:00:00Z"),
        ("2026-12-01T00:00:00Z/P1D", "interval", "2026-12-02T00:00:00Z"),
        ("PT30S", "interval", "2026-12-01T12:00:00Z"),
        ("cron: 30 2 * * * Europe/Paris", "cron", "2026-12-02T01:30:00Z"),
    ],
)
def test_schedules_are_iso_8601_or_cron(mill: Any, schedule: str | None, scheduler: str, time: str | None) -> None:
    task = enqueue(mill, schedule=schedule).json()
    assert (task["scheduler"], task["scheduled_time"]) == (scheduler, time)


@pytest.mark.parametrize("name", ["pack", "shop:pack", "send", "shop:ship", "yard:ship"])
def test_callables_are_found_by_name_alias_or_unambiguous_short_name(mill: Any, name: str) -> None:
    assert enqueue(mill, method_name=name).status_code == 202


@pytest.mark.parametrize(
    ("name", "named"), [("ship", "shop:ship, yard:ship"), ("os:system", "/callables/"), ("", "method_name")]
)
def test_other_callables_are_a_400(mill: Any, name: str, named: str) -> None:
    response = enqueue(mill, method_name=name)
    assert response.status_code == 400
    assert named in response.json()["detail"]


def test_what_is_wrong_with_a_body_is_all_said(mill: Any) -> None:
    response = enqueue(mill, weight="heavy", priority=10, colour="red", timeout="soon", args={})
    assert response.status_code == 400
    pointers = [error["pointer"] for error in response.json()["errors"]]
    assert pointers == ["#/colour", "#/args", "#/weight", "#/priority"]
    response = enqueue(mill, timeout="soon", schedule="P1M", schedule_threshold="x")
    assert [error["pointer"] for error in response.json()["errors"]] == [
        "#/schedule",
        "#/timeout",
        "#/schedule_threshold",
    ]


@pytest.mark.parametrize(
    "body",
    [
        {"method_name": "pack", "attempts": 0},
        {"method_name": "pack", "attempts": True},
        {"method_name": "pack", "attempts": 1.5},
        {"method_name": "pack", "failure_threshold": 2**70},
        {"method_name": "pack", "weight": -1},
        {"method_name": "pack", "unique": "yes"},
        {"method_name": "pack", "queue": "a,b"},
        {"method_name": "pack", "queue": "headbox"},
        {"method_name": "pack", "job_id": "tab\there"},
        {"method_name": "pack", "job_id": ""},
        {"method_name": "pack", "kwargs": []},
        {"method_name": "pack", "timeout": "PT0S"},
        {"method_name": "pack", "timeout": "P1M"},
        {"method_name": "pack", "schedule": "cron: 99 * * * *"},
        {"method_name": "pack", "schedule": "R0/PT5M"},
        {"method_name": 7},
        {},
    ],
)
def test_what_cannot_be_is_a_400(mill: Any, body: dict[str, Any]) -> None:
    response = mill.admin.post("/tasks/", json=body)
    assert response.status_code == 400, response.text
    assert response.headers["content-type"] == "application/problem+json"


def test_a_unique_task_in_the_way_is_a_409_that_names_it(mill: Any) -> None:
    first = enqueue(mill, args=["a"], unique=True).json()["id"]
    response = enqueue(mill, args=["a"], unique=True)
    assert response.status_code == 409
    assert response.json()["task_id"] == first
    assert enqueue(mill, args=["b"], unique=True).status_code == 202


def test_json_values_come_back_as_they_went_in(mill: Any) -> None:
    values = ["é\u0000\U0001f600", 2**80, -0.0, 1e300, {"b": 1, "a": {"": []}}, None, True, [[[]]]]
    task = enqueue(mill, args=values).json()
    assert task["args"] == values
    assert list(task["args"][4]) == ["b", "a"]


def test_a_waiting_task_is_canceled_and_a_complete_one_is_a_409(mill: Any) -> None:
    task = mill.task()
    response = mill.admin.post(f"/tasks/{task.id}/cancel/")
    assert (response.status_code, response.json()["state"]) == (202, "canceled")
    again = mill.admin.post(f"/tasks/{task.id}/cancel/")
    assert again.status_code == 409
    assert "waiting" in again.json()["detail"]


def test_a_running_task_is_asked_to_stop(mill: Any) -> None:
    task = mill.running()
    response = mill.admin.post(f"/tasks/{task.id}/cancel/?fields=state,cancel_attempts,cancel_asked")
    assert response.text == '{"state":"running","cancel_attempts":1,"cancel_asked":true}'


def test_canceling_a_schedule_ends_the_occurrence_and_the_schedule_goes_on(mill: Any) -> None:
    task = mill.hourly()
    body = mill.admin.post(f"/tasks/{task.id}/cancel/").json()
    assert (body["state"], body["scheduled_time"]) == ("waiting", "2026-12-01T13:00:00Z")
    assert mill.admin.get(f"/tasks/{task.id}/runs/").json()[0]["state"] == "canceled"


def test_suspend_resume_and_reset(mill: Any) -> None:
    task = mill.task()
    post = mill.admin.post
    assert post(f"/tasks/{task.id}/suspend/").json()["state"] == "suspended"
    refused = post(f"/tasks/{task.id}/suspend/")
    assert refused.status_code == 409
    assert "waiting" in refused.json()["detail"]
    assert post(f"/tasks/{task.id}/resume/").json()["state"] == "waiting"
    refused = post(f"/tasks/{task.id}/reset/")
    assert refused.status_code == 409
    assert "finished" in refused.json()["detail"]
    mill.finish(mill.claim()[0], "fail")
    again = post(f"/tasks/{task.id}/reset/?fields=state,run")
    assert (again.status_code, again.json()) == (202, {"state": "reset", "run": 2})


def test_a_task_is_put_on_another_schedule(mill: Any) -> None:
    task = mill.hourly()
    response = mill.admin.put(f"/tasks/{task.id}/schedule/", json={"schedule": "cron: 0 4 * * *"})
    assert response.status_code == 202
    assert (response.json()["scheduler"], response.json()["scheduled_time"]) == ("cron", "2026-12-02T04:00:00Z")
    for body in ({"schedule": "sometimes"}, {"schedule": 5}, {}, {"schedule": "PT1H", "colour": 1}):
        assert mill.admin.put(f"/tasks/{task.id}/schedule/", json=body).status_code == 400


def test_removing_a_waiting_task_archives_it_and_a_running_one_ends_undisturbed(mill: Any) -> None:
    schedule, running = mill.hourly(due_time=mill.clock.time + HOUR), mill.running()
    response = mill.admin.delete(f"/tasks/{schedule.id}/")
    assert (response.status_code, response.json()["state"]) == (202, "canceled")
    assert schedule.id not in mill.admin.get("/tasks/?state=incomplete").text
    response = mill.admin.delete(f"/tasks/{running.id}/")
    assert (response.status_code, response.json()["state"]) == (202, "running")
    mill.finish(running)
    assert mill.admin.get(f"/tasks/{running.id}/").json()["state"] == "finished"


def test_canceling_by_filter_cancels_what_the_filter_selects(mill: Any) -> None:
    mine = [mill.task(job_id="j"), mill.running(job_id="j"), mill.task(job_id="j")]
    other = mill.task()
    response = mill.admin.post("/tasks/cancel/?job_id=j")
    assert response.status_code == 202
    assert [task["id"] for task in response.json()] == [task.id for task in mine]
    assert mill.admin.get(f"/tasks/{other.id}/").json()["state"] == "waiting"
    assert mill.admin.post("/tasks/cancel/").status_code == 400
    assert mill.admin.post("/tasks/cancel/?fields=id").status_code == 400
    assert mill.admin.post("/tasks/cancel/?job_id=none").json() == []


def test_unknown_tasks_are_404_for_every_change(mill: Any) -> None:
    admin = mill.admin
    for verb in ("cancel", "suspend", "resume", "reset"):
        assert admin.post(f"/tasks/none/{verb}/").status_code == 404
    assert admin.put("/tasks/none/schedule/", json={"schedule": "PT1H"}).status_code == 404
    assert admin.delete("/tasks/none/").status_code == 404
    assert admin.get("/tasks/none/runs/").status_code == 404


def test_a_wait_ends_as_soon_as_the_task_is_complete(
    mill: Any, in_background: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = mill.running()
    is_waiting = threading.Event()
    watch = mill.store.watch

    def watched() -> Any:
        is_waiting.set()
        return watch()

    monkeypatch.setattr(mill.store, "watch", watched)
    result = in_background(lambda: mill.admin.get(f"/tasks/{task.id}/?wait=60"))
    assert is_waiting.wait(20)
    mill.finish(task, result=b'{"packed":3}')
    body = result().json()
    assert (body["state"], body["result"]) == ("finished", {"packed": 3})
    assert result().elapsed.total_seconds() < 30


@pytest.fixture
def look(mill: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Waits until the server has read a task once more."""
    looks = threading.Semaphore(0)
    get, look_up_on_loop = mill.store.get, mill.store.look_up_on_loop

    def counted(id: str) -> Any:
        found = get(id)
        if threading.current_thread() is not threading.main_thread():  # where the test itself reads
            looks.release()
        return found

    async def counted_on_loop(lookup: Any) -> Any:
        found = await look_up_on_loop(lookup)
        if "live" in lookup.names:
            looks.release()
        return found

    monkeypatch.setattr(mill.store, "get", counted)
    monkeypatch.setattr(mill.store, "look_up_on_loop", counted_on_loop)

    def look() -> None:
        assert looks.acquire(timeout=20)

    return look


def test_a_wait_on_a_recurring_task_ends_with_its_current_occurrence(mill: Any, in_background: Any, look: Any) -> None:
    task = mill.hourly()
    claimed = mill.claim()[0]
    result = in_background(lambda: mill.admin.get(f"/tasks/{task.id}/?wait=60&fields=state,run"))
    look()
    mill.finish(claimed)
    assert result().json() == {"state": "finished", "run": 1}


def test_a_wait_goes_on_when_a_run_was_lost(mill: Any, in_background: Any, look: Any) -> None:
    task = mill.hourly()
    first = mill.claim()[0]
    result = in_background(lambda: mill.admin.get(f"/tasks/{task.id}/?wait=60&fields=state,run"))
    look()  # the task itself
    look()  # before it waits
    mill.finish(first, "lose")
    look()
    mill.finish(mill.claim()[0])
    assert result().json() == {"state": "finished", "run": 2}


def test_who_hangs_up_waits_no_longer(mill: Any, look: Any, stage: Any) -> None:
    task, service = mill.running(), stage[0].app.service
    ended = threading.Event()
    close = service.waiting._close

    def closed(watcher: Any) -> None:
        close(watcher)
        ended.set()

    service.waiting._close = closed
    with pytest.raises(httpx.ReadTimeout):
        mill.admin.get(f"/tasks/{task.id}/?wait=60", timeout=0.2)
    assert ended.wait(20)


def test_a_user_may_have_only_so_many_calls_waiting(mill: Any, in_background: Any, look: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("headbox.web.waiting.PER_USER", 1)
    task = mill.running()
    result = in_background(lambda: mill.admin.get(f"/tasks/{task.id}/?wait=60"))
    look()
    look()
    assert mill.admin.get(f"/tasks/{task.id}/?wait=60").status_code == 429
    other = mill.client("readers")
    assert other.get(f"/tasks/{task.id}/?wait=0.01").status_code == 200
    mill.finish(task)
    assert result().status_code == 200


def test_a_wait_that_is_in_vain_answers_with_the_task_as_it_is(mill: Any) -> None:
    task = mill.task()
    response = mill.admin.get(f"/tasks/{task.id}/?wait=0.05")
    assert (response.status_code, response.json()["state"]) == (200, "waiting")
    assert mill.admin.get(f"/tasks/{mill.finished().id}/?wait=60").json()["state"] == "finished"


@pytest.mark.parametrize("seconds", ["-1", "soon", "nan", "inf", "1e9", "", "0x10"])
def test_a_wait_of_no_seconds_is_a_400(mill: Any, seconds: str) -> None:
    assert mill.admin.get(f"/tasks/{mill.task().id}/", params={"wait": seconds}).status_code == 400


def test_a_wait_that_loses_its_rights_meanwhile_is_refused(mill: Any, in_background: Any) -> None:
    task = mill.running()
    reader = mill.client("readers", name="reader")
    result = in_background(lambda: reader.get(f"/tasks/{task.id}/?wait=1"))
    mill.store.delete_user("reader")
    assert result().status_code == 401


def test_jobs_hold_their_current_tasks(mill: Any) -> None:
    done, waiting, other = mill.finished(job_id="a/b c"), mill.task(job_id="a/b c"), mill.task(job_id="z")
    get = mill.admin.get
    assert get("/jobs/?fields=id").json() == [
        {"id": "a/b c", "tasks": [{"id": done.id}, {"id": waiting.id}]},
        {"id": "z", "tasks": [{"id": other.id}]},
    ]
    assert get("/jobs/a%2Fb%20c/?fields=id").json() == {"id": "a/b c", "tasks": [{"id": done.id}, {"id": waiting.id}]}
    assert get("/jobs/none/").status_code == 404
    canceled = mill.admin.post("/jobs/a%2Fb%20c/cancel/?fields=id,state")
    assert canceled.status_code == 202
    assert canceled.json() == {
        "id": "a/b c",
        "completed": [{"id": done.id, "state": "finished"}],
        "cancelled": [{"id": waiting.id, "state": "canceled"}],
    }
    assert mill.admin.post("/jobs/none/cancel/").status_code == 404
    mill.pass_time(2 * HOUR)
    assert get("/jobs/a%2Fb%20c/").status_code == 404


def test_callables_and_workers_are_listed(mill: Any) -> None:
    callables = mill.admin.get("/callables/").json()
    assert [each["name"] for each in callables] == ["shop:pack", "shop:ship", "yard:ship"]
    assert callables[1] == {
        "name": "shop:ship",
        "method_name": "ship",
        "aliases": ["send"],
        "is_async": False,
        "signature": "()",
        "docstring": "Ships.",
        "defaults": {},
    }
    [worker] = mill.admin.get("/workers/").json()
    assert (worker["id"], worker["host"], worker["concurrency"]) == ("a", "mill", 4)
    assert worker["heartbeat_time"] == "2026-12-01T12:00:00Z"
