from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from headbox.domain.task import HOUR

if TYPE_CHECKING:
    from tests.acceptance.http.conftest import Mill
    from tests.acceptance.ui.conftest import Person

    People = Callable[..., Person]


@pytest.fixture
def operator(person: People) -> Person:
    return person("operators")


def row_of(page: str, id: str) -> str:
    found = re.search(rf'<tr id="schedule-{id}">.*?</tr>', page, re.DOTALL)
    assert found, page
    return found[0]


def test_a_schedule_shows_when_it_runs_and_how_its_last_runs_ended(operator: Person, mill: Mill) -> None:
    task = mill.hourly(schedule_name="fedora")
    for event in ("succeed", "succeed", "fail", "succeed"):
        (claimed,) = [each for each in mill.claim() if each.id == task.id]
        mill.finish(claimed, event)
        mill.clock.time += HOUR
    row = row_of(operator.get("/ui/schedules/").text, task.id)
    assert "fedora" in row and "every 1 h" in row
    assert row.count("<rect") == 4 and row.count('class="error"') == 1
    assert "75 %" in row and row.count("<li>") == 10


def test_only_recurring_tasks_are_listed_a_page_at_a_time(operator: Person, mill: Mill) -> None:
    once = mill.task()
    tasks = [mill.hourly() for _ in range(60)]
    page = operator.get("/ui/schedules/").text
    assert f"schedule-{once.id}" not in page and f"schedule-{tasks[0].id}" in page
    rest = re.search(r'href="(/ui/schedules/\?after=[^"]+)" rel="next"', page)
    assert rest and page.count("<tr id=") == 50
    page = operator.get(rest[1]).text
    assert f"schedule-{tasks[-1].id}" in page and "First page" in page and 'rel="next"' not in page


@pytest.mark.parametrize(("verb", "state"), [("hasten", "waiting"), ("suspend", "suspended"), ("remove", "canceled")])
def test_what_the_buttons_do(person: People, mill: Mill, verb: str, state: str) -> None:
    admin = person("super-users")
    task = mill.hourly(due_time=mill.clock.time + HOUR, scheduled_time=mill.clock.time + HOUR)
    assert f"/ui/schedules/{task.id}/{verb}/" in admin.get("/ui/schedules/").text
    done = admin.post(f"/ui/schedules/{task.id}/{verb}/")
    assert (done.status_code, done.headers["location"]) == (303, "/ui/schedules/")
    now = mill.store.get(task.id)
    assert now.state == state
    if verb == "hasten":
        assert now.due_time == mill.clock.time


def test_a_suspended_schedule_can_be_resumed_and_has_no_next_time(operator: Person, mill: Mill) -> None:
    task = mill.hourly()
    mill.store.suspend(task.id, mill.clock.time)
    row = row_of(operator.get("/ui/schedules/").text, task.id)
    assert "/resume/" in row and "/suspend/" not in row and "/hasten/" not in row and "<li>" not in row
    operator.post(f"/ui/schedules/{task.id}/resume/")
    assert mill.store.get(task.id).state == "waiting"


def test_a_reader_sees_no_buttons_and_is_refused(person: People, mill: Mill) -> None:
    reader = person("readers")
    task = mill.hourly()
    assert '<button class="small' not in reader.get("/ui/schedules/").text
    assert reader.post(f"/ui/schedules/{task.id}/suspend/").status_code == 403
    assert mill.store.get(task.id).state == "waiting"


def test_an_operator_cannot_remove(operator: Person, mill: Mill) -> None:
    task = mill.hourly()
    assert f"/{task.id}/remove/" not in operator.get("/ui/schedules/").text
    assert operator.post(f"/ui/schedules/{task.id}/remove/").status_code == 403


def test_what_is_no_longer_possible_is_said_on_a_page(operator: Person, mill: Mill) -> None:
    task = mill.hourly()
    mill.claim()
    operator.get("/ui/schedules/")
    refused = operator.post(f"/ui/schedules/{task.id}/hasten/")
    assert refused.status_code == 409 and "only a schedule that waits" in refused.text and "<html" in refused.text


def test_names_are_shown_as_text(operator: Person, mill: Mill) -> None:
    mill.hourly(schedule_name="<script>alert(1)</script>\u202e")
    page = operator.get("/ui/schedules/").text
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)" in page
