from __future__ import annotations

from typing import Any

import pytest

from headbox.domain.task import HOUR


def test_tasks_are_counted_before_they_are_changed(mill: Any) -> None:
    for _ in range(3):
        mill.task(queue="a")
    mill.finished()
    assert mill.admin.get("/tasks/count/?queue=a").json() == {"count": 3}
    assert mill.admin.get("/tasks/count/").json() == {"count": 6}
    assert mill.admin.get("/tasks/count/?state=finished&state=running").json() == {"count": 4}
    assert mill.admin.get("/tasks/count/?limit=3").status_code == 400


def test_all_that_failed_since_is_run_again(mill: Any) -> None:
    def fail() -> Any:
        task = mill.running()
        mill.finish(task, "fail", exception="no space left")
        return task

    fail()
    mill.pass_time(2 * HOUR)
    since = [fail(), fail()]
    query = "outcome=error&finished_after=2026-12-01T13:00:00Z&text=SPACE"
    assert mill.admin.get(f"/tasks/count/?{query}").json() == {"count": 2}
    answer = mill.admin.post(f"/tasks/reset/?{query}&fields=id,state")
    assert answer.status_code == 202
    assert sorted(answer.json(), key=lambda task: task["id"]) == [{"id": task.id, "state": "reset"} for task in since]
    assert [event.detail for event in mill.store.events(1)] == ["reset 2"]


def test_many_are_suspended_and_resumed_in_steps(mill: Any) -> None:
    for _ in range(5):
        mill.task(queue="a")
    steps = [len(mill.admin.post("/tasks/cancel/?queue=a&limit=2").json()) for _ in range(4)]
    assert steps == [2, 2, 1, 0]
    for _ in range(3):
        mill.task(queue="b")
    assert {task["state"] for task in mill.admin.post("/tasks/suspend/?queue=b").json()} == {"suspended"}
    assert {task["state"] for task in mill.admin.post("/tasks/resume/?queue=b").json()} == {"waiting"}
    assert mill.admin.post("/tasks/resume/?queue=b").json() == []


@pytest.mark.parametrize("verb", ["cancel", "suspend", "resume", "reset"])
def test_a_change_to_all_takes_a_filter_and_the_right(mill: Any, verb: str) -> None:
    assert mill.admin.post(f"/tasks/{verb}/").status_code == 400
    assert mill.admin.post(f"/tasks/{verb}/?limit=1").status_code == 400
    assert mill.client("readers").post(f"/tasks/{verb}/?state=current").status_code == 403
    owner = mill.client(name="owner")
    own, others = mill.task(owner="owner"), mill.task()
    if verb == "cancel":
        assert [task["id"] for task in owner.post("/tasks/cancel/?state=current").json()] == [own.id]
        assert mill.store.get(others.id).state == "waiting"
        assert owner.get("/tasks/count/?state=canceled").json() == {"count": 1}
