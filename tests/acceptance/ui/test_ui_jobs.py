from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from typing import TYPE_CHECKING

import pytest

from headbox.domain.task import HOUR

if TYPE_CHECKING:
    from tests.acceptance.http.conftest import Mill
    from tests.acceptance.ui.conftest import Person

    People = Callable[..., Person]

HOSTILE = '"><script>alert(1)</script>\u202e&job=other '


@pytest.fixture
def operator(person: People) -> Person:
    return person("operators")


def rows(page: str) -> list[str]:
    return re.findall(r"<tr>\s*<td data-label=\"Job\".*?</tr>", page, re.DOTALL)


def parts(row: str) -> dict[str, str]:
    """How many tasks are in which state."""
    return dict(re.findall(r'class="state (\w+)".*?<b>([^<]*)</b>', row, re.DOTALL))


def link(row: str, state: str) -> str:
    found = re.search(rf'href="([^"]*state={state}[^"]*)"', row)
    assert found, row
    return unescape(found[1])


def a_job(mill: Mill, id: str) -> None:
    """One task of it has finished, one has failed, one runs, two wait."""
    mill.finished(job_id=id)
    mill.finish(mill.running(job_id=id), "fail")
    mill.running(job_id=id)
    for _ in range(2):
        mill.task(job_id=id)


def test_without_jobs_it_says_what_makes_one(operator: Person) -> None:
    page = operator.get("/ui/jobs/").text
    assert "No job is in progress." in page and "job_id" in page and "Ended lately" not in page


def test_a_job_shows_how_far_it_is(operator: Person, mill: Mill) -> None:
    a_job(mill, "nightly")
    (row,) = rows(operator.get("/ui/jobs/").text)
    assert parts(row) == {"finished": "1", "error": "1", "running": "1", "waiting": "2"}
    assert "40 %" in row and re.findall(r'<rect class="(\w+)"', row) == ["finished", "error", "running", "waiting"]


def test_each_number_leads_to_its_tasks(operator: Person, mill: Mill) -> None:
    a_job(mill, HOSTILE)
    mill.task(job_id="other")
    row, _ = rows(operator.get("/ui/jobs/").text)
    for state, count in (("error", 1), ("running", 1), ("waiting", 2)):
        assert operator.get(link(row, state)).text.count('<tr id="task-') == count


def test_a_job_is_canceled_after_it_was_said_how_many_tasks_that_is(operator: Person, mill: Mill) -> None:
    a_job(mill, HOSTILE)
    mill.task(job_id="other")
    page = operator.get("/ui/jobs/").text
    search = unescape(re.findall(r'name="search" value="([^"]*)"', page)[0])
    asked = operator.post("/ui/tasks/change/", {"verb": "cancel", "all": "1", "search": search})
    assert asked.status_code == 200 and "Cancel 3 tasks?" in asked.text
    done = operator.post("/ui/tasks/change/", {"verb": "cancel", "all": "1", "search": search, "confirmed": "1"})
    assert done.status_code == 303
    left = {job.id: job.states for job in mill.store.jobs_in_progress(mill.clock.time, 10)}
    assert left[HOSTILE] == {"finished": 1, "error": 1, "canceled": 2, "running": 1}
    assert left["other"] == {"waiting": 1}


def test_a_job_that_has_ended_is_listed_for_a_while(operator: Person, mill: Mill) -> None:
    mill.finished(job_id="nightly")
    mill.clock.time += 2 * HOUR
    mill.finish(mill.running(job_id="nightly"), "fail")
    page = operator.get("/ui/jobs/").text
    assert "No job is in progress." in page and "Ended lately" in page
    (row,) = rows(page)
    assert parts(row) == {"error": "1"} and "100 %" in row and "<button" not in row
    everything = re.search(r'href="(/ui/tasks/\?ended=1[^"]*)" title="nightly"', row)
    assert everything and operator.get(unescape(everything[1])).text.count('<tr id="task-') == 1


def test_jobs_are_listed_a_page_at_a_time(operator: Person, mill: Mill) -> None:
    for number in range(30):
        mill.task(job_id=f"{number:02} {HOSTILE}")
    page = operator.get("/ui/jobs/").text
    assert len(rows(page)) == 25
    following = re.search(r'href="(/ui/jobs/\?after=[^"]+)" rel="next"', page)
    assert following
    page = operator.get(unescape(following[1])).text
    assert len(rows(page)) == 5 and "First page" in page and 'rel="next"' not in page


def test_of_a_job_with_very_many_tasks_it_says_that_some_are_not_counted(
    operator: Person, mill: Mill, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headbox.storage.jobs.COUNTED", 2)
    monkeypatch.setattr("headbox.storage.jobs.LEAST", 2)
    a_job(mill, "huge")
    (row,) = rows(operator.get("/ui/jobs/").text)
    assert "and more, not counted" in row and " %" not in row


def test_a_reader_sees_no_buttons_and_is_refused(person: People, mill: Mill) -> None:
    reader = person("readers")
    a_job(mill, "nightly")
    page = reader.get("/ui/jobs/").text
    assert len(rows(page)) == 1 and '<button class="small' not in page
    fields = {"verb": "cancel", "all": "1", "search": "job=nightly", "confirmed": "1"}
    assert reader.post("/ui/tasks/change/", fields).status_code == 403
    assert mill.store.jobs_in_progress(mill.clock.time, 1)[0].states["waiting"] == 2


def test_names_are_shown_as_text(operator: Person, mill: Mill) -> None:
    mill.task(job_id=HOSTILE)
    page = operator.get("/ui/jobs/").text
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)" in page
