from __future__ import annotations

from typing import Any

import pytest

from headbox.domain.task import MINUTE


def test_a_queue_is_suspended_and_resumed(mill: Any) -> None:
    task = mill.task(queue="reports/daily")
    mill.pass_time(MINUTE)
    answer = mill.admin.post("/queues/reports/daily/suspend/")
    assert answer.status_code == 202
    assert answer.json() == {
        "name": "reports/daily",
        "is_suspended": True,
        "suspend_time": "2026-12-01T12:01:00Z",
        "waiting": 1,
        "running": 0,
        "reset": 0,
        "suspended": 0,
        "oldest_ready_seconds": None,
        "workers": 1,
    }
    assert mill.claim() == []
    assert mill.admin.get("/statistics/").json()["queues"][-1]["is_suspended"]
    resumed = mill.admin.post("/queues/reports/daily/resume/").json()
    assert (resumed["is_suspended"], resumed["suspend_time"], resumed["oldest_ready_seconds"]) == (False, None, 60.0)
    assert [claimed.id for claimed in mill.claim()] == [task.id]
    paths = [(event.path, event.user, event.status) for event in mill.store.events(10)]
    assert ("/queues/reports/daily/suspend/", "admin", 202) in paths
    assert ("/queues/reports/daily/resume/", "admin", 202) in paths


def test_queues_are_listed(mill: Any) -> None:
    mill.task(queue="b")
    mill.task(queue="a")
    mill.admin.post("/queues/c/suspend/")
    assert [queue["name"] for queue in mill.admin.get("/queues/").json()] == ["a", "b", "c", "headbox"]


def test_a_queue_may_be_suspended_before_it_has_tasks(mill: Any) -> None:
    assert mill.admin.post("/queues/new/suspend/").json()["waiting"] == 0
    assert mill.admin.post("/queues/new/resume/").json()["is_suspended"] is False
    mill.admin.post("/queues/new/suspend/")
    mill.task(queue="new")
    assert mill.claim() == []


@pytest.mark.parametrize(("name", "status"), [("headbox", 409), ("x" * 300, 400)])
def test_a_queue_that_cannot_be_suspended_is_refused_with_the_reason(mill: Any, name: str, status: int) -> None:
    answer = mill.admin.post(f"/queues/{name}/suspend/")
    assert answer.status_code == status and answer.json()["detail"]


def test_who_may_read_sees_queues_and_who_may_update_suspends_them(mill: Any) -> None:
    assert mill.client().get("/queues/").status_code == 403
    reader = mill.client("readers")
    assert reader.get("/queues/").status_code == 200
    assert reader.post("/queues/a/suspend/").status_code == 403
    assert mill.client("operators").post("/queues/a/suspend/").status_code == 202
