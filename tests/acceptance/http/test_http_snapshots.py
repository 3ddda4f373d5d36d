"""TaskSnapshots over HTTP (A.20.2): for super users, audited, their pickled fields loadable as promised."""

from __future__ import annotations

import pickle
from datetime import timedelta
from typing import Any

from headbox.domain.task import MINUTE

FIELDS = {
    "id", "class_name", "method_name", "state", "failure_threshold", "cancel_attempts", "callable", "args", "kwargs",
    "progress", "timeout", "schedule_threshold", "_progress_callback", "start_time", "finish_time", "result",
    "exception", "traceback", "snapshot_id", "task_class",
}  # fmt: skip


def load(text: str) -> Any:
    return pickle.loads(text.encode("latin-1"))


def test_a_snapshot_has_the_documents_fields_and_its_pickles_load(mill: Any) -> None:
    task = mill.running(args=b'["fedora-41"]', kwargs=b'{"password":"x"}', timeout=5 * MINUTE)
    response = mill.admin.get(f"/tasks/{task.id}/snapshot/")
    assert response.status_code == 200
    snapshot = response.json()
    assert set(snapshot) == FIELDS
    assert (snapshot["id"], snapshot["snapshot_id"], snapshot["state"]) == (task.id, task.snapshot_id, "running")
    assert load(snapshot["args"]) == ["fedora-41"]
    assert load(snapshot["kwargs"]) == {"password": "x"}
    assert load(snapshot["timeout"]) == timedelta(minutes=5)
    assert load(snapshot["result"]) is None


def test_a_stored_pickle_goes_out_without_being_loaded(mill: Any) -> None:
    pickled = pickle.dumps((1, {2, 3}))
    task = mill.running(args=b"\x80HB1" + bytes(32) + pickled, public_args="[]")
    assert load(mill.admin.get(f"/tasks/{task.id}/snapshot/").json()["args"]) == (1, {2, 3})


def test_only_runs_in_flight_have_one(mill: Any) -> None:
    task = mill.task()
    for call in (mill.admin.get, mill.admin.delete):
        assert call(f"/tasks/{task.id}/snapshot/").status_code == 404
        assert call(f"/tasks/{task.id}/snapshot/").json()["detail"].startswith("this task has no snapshot")
        assert call("/tasks/none/snapshot/").status_code == 404
        assert "knows a task with this id" in call("/tasks/none/snapshot/").json()["detail"]
    assert mill.admin.get("/tasks/snapshots/").json() == []
    running = mill.claim()[0]
    assert [each["id"] for each in mill.admin.get("/tasks/snapshots/").json()] == [running.id]


def test_a_deleted_snapshot_is_returned_once_and_its_lost_run_ends_in_error(mill: Any) -> None:
    task = mill.running()
    deleted = mill.admin.delete(f"/tasks/{task.id}/snapshot/")
    assert (deleted.status_code, deleted.json()["snapshot_id"]) == (200, task.snapshot_id)
    assert mill.admin.delete(f"/tasks/{task.id}/snapshot/").status_code == 404
    mill.finish(task, "lose")
    assert mill.admin.get(f"/tasks/{task.id}/").json()["state"] == "error"


def test_they_are_for_super_users_and_every_look_is_audited(mill: Any) -> None:
    task = mill.running()
    operator = mill.client("operators", name="olga")
    paths = ("/tasks/snapshots/", f"/tasks/{task.id}/snapshot/")
    for path in paths:
        assert operator.get(path).status_code == 403
        assert mill.admin.get(path).status_code == 200
    assert operator.delete(paths[1]).status_code == 403
    seen = [
        (event["user"], event["method"], event["path"], event["status"]) for event in mill.admin.get("/audit/").json()
    ]
    assert seen == [
        ("olga", "DELETE", paths[1], 403),
        ("admin", "GET", paths[1], 200),
        ("olga", "GET", paths[1], 403),
        ("admin", "GET", paths[0], 200),
        ("olga", "GET", paths[0], 403),
    ]
