from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec

from headbox.domain.task import HOUR, MINUTE, SECOND

if TYPE_CHECKING:
    from tests.acceptance.http.conftest import Mill
    from tests.acceptance.ui.conftest import Person

    People = Callable[..., Person]

HOSTILE = "<script>alert(1)</script>\u202eevil"


def tiles(page: str) -> dict[str, str]:
    """The numbers on the page, by state."""
    found = re.findall(r'class="tile (\w+).*?<b>([^<]*)</b>', page, re.DOTALL)
    return dict(found)


def test_an_empty_system_says_that_there_is_no_worker_and_what_to_do(person: People) -> None:
    page = person("readers").get("/ui/").text
    assert "No worker is here" in page and "Nothing runs now." in page
    assert tiles(page)["running"] == "0" and tiles(page)["finished"] == "0"


def test_states_and_ends_are_counted(person: People, mill: Mill) -> None:
    somebody = person("readers")
    mill.finished()
    mill.finish(mill.running(), "fail")
    mill.running()
    mill.store.suspend(mill.task(due_time=mill.clock.time + HOUR).id, mill.clock.time)
    mill.task()
    page = somebody.get("/ui/").text
    assert tiles(page) == {
        "waiting": "3", "running": "1", "suspended": "1", "reset": "0",
        "finished": "1", "error": "1", "timed_out": "0", "canceled": "0",
    }  # fmt: skip
    assert "1 run failed in the last hour." in page


def test_all_is_well_where_nothing_is_wrong(person: People, mill: Mill) -> None:
    somebody = person("readers")
    mill.finished()
    assert "All is well." in somebody.get("/ui/").text
    mill.pass_time(MINUTE)
    assert "1 worker not heard of in time." in somebody.get("/ui/").text
    mill.task(due_time=mill.clock.time - 10 * MINUTE)
    assert "A task has been ready for 10 min" in somebody.get("/ui/").text


def test_what_waits_for_a_queue_that_nothing_is_taken_from_is_said(person: People, mill: Mill) -> None:
    somebody = person("readers")
    mill.task(queue="slow")
    mill.store.suspend_queue("slow", mill.clock.time)
    assert "The queue slow is suspended: 1 task waits in it." in somebody.get("/ui/").text
    mill.store.suspend_queue("mail", mill.clock.time)
    assert "2 queues are suspended: 1 task waits in them." in somebody.get("/ui/").text
    for queue in ("slow", "mail"):
        mill.store.resume_queue(queue)
    mill.store.deregister("a", mill.clock.time)
    mill.publish(worker="b", queues=("slow",))
    mill.task(queue="mail")
    assert "The queue mail has no worker: 1 task waits in it." in somebody.get("/ui/").text


def test_a_running_task_shows_how_far_it_is_and_how_long_it_has_run(person: People, mill: Mill) -> None:
    somebody = person("readers")
    task = mill.running(args=msgspec.json.encode([HOSTILE]), method_name="<b>pack")
    mill.progress(task, '{"done": 3, "total": 4}')
    page = somebody.get("/ui/").text
    assert '<progress max="1000" value="750"' in page and "<small>3/4</small>" in page
    assert f'href="/ui/tasks/{task.id}/"' in page
    assert "<script>alert" not in page and "&lt;script&gt;alert" in page and "<bdi>&lt;b&gt;pack</bdi>" in page


def test_what_is_due_next_is_told_in_its_order(person: People, mill: Mill) -> None:
    somebody = person("readers")
    for minutes in (30, 10, 20):
        mill.task(due_time=mill.clock.time + minutes * MINUTE, method_name=f"in_{minutes}", queue=f"queue-{minutes}")
    page = somebody.get("/ui/").text
    assert re.findall(r"<bdi>(in_\d+)</bdi>", page) == ["in_10", "in_20", "in_30"]
    assert "in 10 min" in page


def test_the_charts_have_a_minute_for_each_column(person: People, mill: Mill) -> None:
    somebody = person("readers")
    mill.finish(mill.running(), "fail")
    for _ in range(3):
        mill.finished()
    page = somebody.get("/ui/").text
    series = [msgspec.json.decode(unescape(text)) for text in re.findall(r'data-series="([^"]*)"', page)]
    times, ended, failed = series[0]
    assert len(times) == 60 and all(later - earlier == 60 for earlier, later in pairwise(times))
    assert sum(ended) == 4 and sum(failed) == 1 and times[-1] == mill.clock.time // SECOND
    assert series[1][1] == [None] * 60


def test_who_may_not_read_all_starts_at_its_own_tasks(person: People) -> None:
    start = person().get("/ui/")
    assert start.status_code == 303 and start.headers["location"] == "/ui/tasks/"


def test_a_queue_is_suspended_and_resumed_by_who_may_change(person: People, mill: Mill) -> None:
    operator, reader = person("operators"), person("readers")
    mill.task(queue="reports / daily")
    assert "formaction" not in reader.get("/ui/workers/").text
    assert reader.post("/ui/queues/suspend/", {"queue": "reports / daily"}).status_code == 403
    assert 'formaction="/ui/queues/suspend/" name="queue" value="reports / daily"' in operator.get("/ui/workers/").text
    done = operator.post("/ui/queues/suspend/", {"queue": "reports / daily"})
    page = operator.get(done.headers["location"]).text
    assert "Nothing of the queue reports / daily starts" in page and 'formaction="/ui/queues/resume/"' in page
    assert mill.claim() == []
    operator.post("/ui/queues/resume/", {"queue": "reports / daily"})
    assert len(mill.claim()) == 1
    assert operator.post("/ui/queues/suspend/", {"queue": ""}).status_code == 400
    assert operator.post("/ui/queues/suspend/", {"queue": "headbox"}).status_code == 409


def test_a_workers_load_is_the_weight_of_what_it_holds(person: People, mill: Mill) -> None:
    somebody = person("readers")
    mill.running(weight=3)
    for path in ("/ui/", "/ui/workers/"):
        page = somebody.get(path).text
        assert '<progress max="4" value="3" aria-label="load">' in page and "<small>3/4</small>" in page
