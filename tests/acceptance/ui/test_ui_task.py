from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from headbox.domain.task import HOUR, MINUTE, SECOND

if TYPE_CHECKING:
    from headbox.domain.task import Task
    from tests.acceptance.http.conftest import Mill
    from tests.acceptance.ui.conftest import Person

    People = Callable[..., Person]


@pytest.fixture
def operator(person: People) -> Person:
    return person("operators")


def page_of(somebody: Person, task: Task) -> str:
    page = somebody.get(f"/ui/tasks/{task.id}/")
    assert page.status_code == 200, page.text
    return page.text


def buttons(page: str) -> set[str]:
    return {verb for verb in ("cancel", "suspend", "resume", "reset", "remove") if f"/{verb}/" in page}


def test_a_task_shows_its_arguments_by_name(operator: Person, mill: Mill) -> None:
    page = page_of(operator, mill.task(args=b'["box"]', kwargs=b'{"to": ["here", "there"]}'))
    assert "<dt><bdi>what</bdi></dt>" in page and "&#34;box&#34;" in page
    assert "<dt><bdi>to</bdi></dt>" in page and "&#34;there&#34;" in page


def test_a_failure_shows_its_exception_and_folds_its_traceback(operator: Person, mill: Mill) -> None:
    task = mill.running()
    mill.finish(task, "fail", exception="<b>no paper", traceback="Traceback (most recent call last):\n  <i>…")
    page = page_of(operator, task)
    assert "&lt;b&gt;no paper" in page and '<details id="traceback"><summary>Traceback</summary>' in page
    assert "  &lt;i&gt;…" in page and "<b>no" not in page


def test_a_result_is_shown_and_one_that_cannot_be_read_spoils_nothing(operator: Person, mill: Mill) -> None:
    task = mill.running()
    mill.finish(task, result=b'{"packages": 4}')
    assert "&#34;packages&#34;: 4" in page_of(operator, task)
    broken = mill.running(args=b"\x80\x05", kwargs=b"{", progress="[1")
    mill.finish(broken, result=b"\x80\xff")
    assert "finished" in page_of(operator, broken)


def test_progress_is_a_bar_for_each_measure_or_what_was_reported(operator: Person, mill: Mill) -> None:
    task = mill.running()
    mill.progress(task, '{"wheels": {"done": 1, "total": 4}, "bytes": {"done": 2000000, "total": null}}')
    page = page_of(operator, task)
    assert 'value="250" aria-label="wheels"' in page and "2.0 MB" in page
    mill.progress(task, '"<i>half"')
    assert "&lt;i&gt;half" in page_of(operator, task)


def test_each_run_has_a_bar_as_long_as_it_took(operator: Person, mill: Mill) -> None:
    task = mill.hourly()
    for seconds in (5, 10):
        (claimed,) = mill.claim()
        start = mill.clock.time
        mill.pass_time(seconds * SECOND)
        mill.finish(claimed, "fail" if seconds == 5 else "succeed", start_time=start)
        mill.pass_time(HOUR)
    page = page_of(operator, task)
    assert '<rect width="500"' in page and '<rect width="1000"' in page
    assert 'class="span error"' in page and 'class="span finished"' in page


def test_the_buttons_are_those_that_the_state_allows(person: People, operator: Person, mill: Mill) -> None:
    boss = person("super-users")
    waiting, suspended = mill.task(due_time=mill.clock.time + HOUR), mill.task()
    mill.store.suspend(suspended.id, mill.clock.time)
    assert buttons(page_of(operator, waiting)) == {"cancel", "suspend"}
    assert buttons(page_of(boss, waiting)) == {"cancel", "suspend", "remove"}
    assert buttons(page_of(operator, suspended)) == {"cancel", "resume"}
    running, finished = mill.running(), mill.finished()
    assert buttons(page_of(operator, running)) == {"cancel", "suspend"}
    assert buttons(page_of(operator, finished)) == {"reset"}
    mill.store.suspend(running.id, mill.clock.time)
    page = page_of(operator, running)
    assert buttons(page) == {"cancel", "resume"} and "to be suspended" in page


def test_a_button_does_what_it_says_and_the_page_says_so(operator: Person, mill: Mill) -> None:
    task = mill.task()
    page_of(operator, task)
    done = operator.post(f"/ui/tasks/{task.id}/suspend/")
    assert done.status_code == 303 and done.headers["location"] == f"/ui/tasks/{task.id}/"
    assert "It is suspended" in page_of(operator, task) and mill.store.get(task.id).state == "suspended"
    operator.post(f"/ui/tasks/{task.id}/resume/")
    operator.post(f"/ui/tasks/{task.id}/cancel/")
    assert mill.store.get(task.id).state == "canceled"
    operator.post(f"/ui/tasks/{task.id}/reset/")
    assert mill.store.get(task.id).state == "reset"
    again = operator.post(f"/ui/tasks/{task.id}/reset/")
    assert again.status_code == 409 and 'id="detail"' in again.text
    assert operator.post(f"/ui/tasks/{task.id}/remove/").status_code == 403


def test_a_super_user_removes_a_task(person: People, mill: Mill) -> None:
    boss, task = person("super-users"), mill.hourly()
    assert boss.post(f"/ui/tasks/{task.id}/remove/").status_code == 303
    assert mill.store.get(task.id).final


def test_a_task_is_given_another_schedule_or_told_why_not(operator: Person, mill: Mill) -> None:
    task = mill.task()
    operator.post(f"/ui/tasks/{task.id}/reschedule/", {"schedule": " cron: 0 6 * * * "})
    assert mill.store.get(task.id).schedule == "cron: 0 6 * * * UTC"
    for schedule in ("", "soon", "PT0S", "P1M"):
        answer = operator.post(f"/ui/tasks/{task.id}/reschedule/", {"schedule": schedule})
        assert answer.status_code == 400 and 'id="detail"' in answer.text


def test_a_task_that_waits_says_what_for(operator: Person, mill: Mill) -> None:
    assert ">in 1 h</time>" in page_of(operator, mill.task(due_time=mill.clock.time + HOUR))
    task = mill.task(queue="reports")
    mill.pass_time(3 * MINUTE)
    assert ">3 min</time>" in page_of(operator, task)
    mill.store.suspend_queue("reports", mill.clock.time)
    assert "its queue reports is suspended" in page_of(operator, task)


def test_an_unknown_task_is_a_page(operator: Person) -> None:
    answer = operator.get("/ui/tasks/nobody/")
    assert answer.status_code == 404 and "<small>404</small>" in answer.text


def test_a_loss_of_rights_ends_what_one_sees(person: People, mill: Mill) -> None:
    boss = person("super-users", name="boss")
    assert boss.get("/ui/audit/").status_code == 200 and ">Audit</a>" in boss.get("/ui/").text
    mill.store.change_user("boss", roles=("readers",))
    assert boss.get("/ui/audit/").status_code == 403 and ">Audit</a>" not in boss.get("/ui/").text


def test_the_audit_shows_who_did_what_page_by_page(person: People, mill: Mill) -> None:
    boss = person("super-users", name="boss")
    for number in range(101):
        mill.admin.post(f"/tasks/unknown-{number}/cancel/")
    page = boss.get("/ui/audit/").text
    assert page.count('<tr id="event-') == 100 and "404 refused" in page and "POST /tasks/unknown-100/cancel/" in page
    earlier = boss.get("/ui/audit/" + page.split('href="/ui/audit/')[-1].split('"')[0]).text
    assert "logged in" in earlier and "unknown-0/" in earlier
