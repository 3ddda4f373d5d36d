from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from typing import TYPE_CHECKING

import pytest

from headbox.domain.task import DAY
from headbox.web.ui.segments import LEAST, WIDTH, segments

if TYPE_CHECKING:
    from tests.acceptance.http.conftest import Mill
    from tests.acceptance.ui.conftest import Person

    People = Callable[..., Person]


@pytest.fixture
def reader(person: People) -> Person:
    return person("readers")


def days(page: str) -> list[str]:
    """What the days of the calendar say, as a screen reader tells them."""
    return [unescape(text) for text in re.findall(r'aria-label="(\w+day \d[^"]*)"', page)]


def a_past(mill: Mill, reader: Person) -> None:
    """On the 1st of December two runs finish, on the 2nd one finishes and one fails."""
    mill.finished()
    mill.finished(method_name="ship", queue="slow")
    mill.clock.time += DAY
    mill.finish(mill.running(method_name="ship", queue="slow"), "fail")
    mill.finished()
    reader.log_in()  # nobody stays logged in for a day without a look


def test_before_anything_has_ended_it_says_so(reader: Person) -> None:
    page = reader.get("/ui/history/").text
    assert "Nothing has ended yet." in page and "<table" not in page


def test_each_day_tells_how_its_runs_ended(reader: Person, mill: Mill) -> None:
    a_past(mill, reader)
    page = reader.get("/ui/history/").text
    assert days(page) == ["Tuesday 1 December: 2 finished", "Wednesday 2 December: 1 finished, 1 error"]
    assert "December 2026" in page and "4 runs ended" in page


def test_only_the_outcomes_that_are_asked_for_are_counted(reader: Person, mill: Mill) -> None:
    a_past(mill, reader)
    page = reader.get("/ui/history/?state=error").text
    assert days(page) == ["Wednesday 2 December: 1 error"] and "1 run ended" in page
    assert "Nothing is found." in reader.get("/ui/history/?state=timed_out").text


@pytest.mark.parametrize("which", ["method=ship", "queue=slow"])
def test_the_runs_of_one_method_or_queue_are_counted_one_by_one(reader: Person, mill: Mill, which: str) -> None:
    a_past(mill, reader)
    page = reader.get(f"/ui/history/?{which}").text
    assert days(page) == ["Tuesday 1 December: 1 finished", "Wednesday 2 December: 1 error"]
    assert days(reader.get(f"/ui/history/?{which}&state=error").text) == ["Wednesday 2 December: 1 error"]
    assert "Nothing is found." in reader.get(f"/ui/history/?{which}x").text


def test_it_says_how_far_back_it_has_looked(reader: Person, mill: Mill, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headbox.web.ui.search.NEWEST", 2)
    a_past(mill, reader)
    page = reader.get("/ui/history/?method=ship").text
    assert days(page) == ["Wednesday 2 December: 1 error"] and "looked back to" in page


def test_a_day_leads_to_its_runs(reader: Person, mill: Mill) -> None:
    a_past(mill, reader)
    link = re.search(r'href="(/ui/history/\?[^"]*day=2026-12-02#chosen)"', reader.get("/ui/history/?method=ship").text)
    assert link
    page = reader.get(unescape(link[1])).text
    assert "Wednesday, 2 December 2026" in page and 'aria-current="date"' in page
    (runs,) = re.findall(r'href="(/ui/tasks/\?ended=1&amp;state=error[^"]*)"', page)
    found = reader.get(unescape(runs)).text
    assert found.count("<tr id=") == 1 and "ship" in found


def test_a_day_tells_what_else_has_happened_on_it(reader: Person, mill: Mill) -> None:
    a_past(mill, reader)
    assert "2 tasks were enqueued" in reader.get("/ui/history/?day=2026-12-02").text
    empty = reader.get("/ui/history/?day=2026-11-30").text
    assert "Monday, 30 November 2026" in empty and "0 runs ended" in empty


def test_days_stay_when_their_runs_are_no_longer_kept(reader: Person, mill: Mill) -> None:
    a_past(mill, reader)
    mill.clock.time += 100 * DAY
    reader.log_in()
    mill.store.cull_history(mill.clock.time - 90 * DAY, 1000, 1000)
    page = reader.get("/ui/history/?day=2026-12-01").text
    assert len(days(page)) == 2 and "single runs are no longer kept" in page
    assert re.findall(r"<caption>(.*?)</caption>", page) == [
        "March 2027", "February 2027", "January 2027", "December 2026",
    ]  # fmt: skip


@pytest.mark.parametrize("day", ["yesterday", "2026-02-30", "2026-12-01T00:00", "99999-01-01", "9999-12-31"])
def test_what_is_no_day_is_refused_on_a_page(reader: Person, day: str) -> None:
    refused = reader.get(f"/ui/history/?day={day}")
    assert refused.status_code == 400 and "give one as" in refused.text and "<html" in refused.text


def test_the_first_and_nearly_the_last_day_there_is_can_be_asked_for(reader: Person, mill: Mill) -> None:
    mill.finished()
    for day in ("0001-01-01", "9999-12-30"):
        assert "0 runs ended" in reader.get(f"/ui/history/?day={day}").text


def test_what_is_looked_for_is_shown_as_text(reader: Person, mill: Mill) -> None:
    mill.finished()
    page = reader.client.get("/ui/history/", params={"method": '"><script>alert(1)</script>\u202e'}).text
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)" in page


def test_who_may_not_read_everything_does_not_see_it(person: People) -> None:
    somebody = person()
    assert somebody.get("/ui/history/").status_code == 403
    assert "/ui/history/" not in somebody.get("/ui/tasks/").text


def test_a_bar_shows_what_is_rare_too() -> None:
    bar = segments({"finished": 100_000, "error": 1, "canceled": 0}, ("finished", "error", "canceled"))
    assert [segment.state for segment in bar] == ["finished", "error"]
    assert bar[1].width >= LEAST and sum(segment.width for segment in bar) == pytest.approx(WIDTH)
    assert segments({}, ("finished",)) == []
