"""What a person does with queues beside a running service."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.service import Home


def test_a_queue_is_suspended_and_its_tasks_wait_until_it_is_resumed(served: Home) -> None:
    shown = served.ok("queue", "suspend", "default")
    assert shown.splitlines()[0].split()[:2] == ["QUEUE", "WAITING"]
    assert "suspended" in shown.splitlines()[1]
    titles, numbers = shown.splitlines()
    assert titles.index("WAITING") + len("WAITING") == numbers.index("0 ") + len("0")
    task = served.json("task", "enqueue", "add", "1")
    (default,) = [queue for queue in served.json("queue", "list") if queue["name"] == "default"]
    assert (default["is_suspended"], default["waiting"]) == (True, 1)
    assert served.json("task", "info", task["id"])["state"] == "waiting"
    assert served.json("queue", "resume", "default")["is_suspended"] is False
    assert served.ok("task", "watch", task["id"]).splitlines()[-1] == "2"


def test_the_housekeeping_is_refused_in_one_sentence(served: Home) -> None:
    done = served.run("queue", "suspend", "headbox")
    assert done.returncode == 1 and "housekeeping" in done.stderr and "Traceback" not in done.stderr
