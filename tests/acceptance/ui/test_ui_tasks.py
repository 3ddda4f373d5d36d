from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from headbox.domain.task import HOUR, MINUTE
from headbox.web.ui import search
from headbox.web.ui.pages import changes

if TYPE_CHECKING:
    from headbox.domain.task import Task
    from tests.acceptance.http.conftest import Mill
    from tests.acceptance.ui.conftest import Person

    People = Callable[..., Person]

LIST = "/ui/tasks/"
CHANGE = "/ui/tasks/change/"
HOSTILE = "<script>alert(1)</script>"


def listed(page: str) -> list[str]:
    """The ids of the tasks in the list, in its order."""
    return re.findall(r'<tr id="task-([0-9a-f-]{36})-\d+">', page)


def find(somebody: Person, **query: Any) -> list[str]:
    page = somebody.get(f"{LIST}?{urlencode(query, doseq=True)}")
    assert page.status_code == 200, page.text
    return listed(page.text)


def ids(*tasks: Task) -> list[str]:
    return [task.id for task in tasks]


@pytest.fixture
def operator(person: People) -> Person:
    return person("operators")


def test_what_is_live_is_listed_oldest_first_and_what_has_ended_newest_first(operator: Person, mill: Mill) -> None:
    first, second = mill.finished(), mill.finished()
    waiting, running = mill.task(due_time=mill.clock.time + HOUR), mill.running()
    assert [id for id in find(operator) if id in ids(waiting, running)] == ids(waiting, running)
    assert not set(ids(first, second)) & set(find(operator))
    assert find(operator, ended=1) == ids(second, first)


@pytest.mark.parametrize("state", ["waiting", "running", "suspended"])
def test_a_state_finds_that_state_alone(operator: Person, mill: Mill, state: str) -> None:
    tasks = {"running": mill.running(), "waiting": mill.task(), "suspended": mill.task()}
    mill.store.suspend(tasks["suspended"].id, mill.clock.time)
    found = find(operator, state=state)
    assert tasks[state].id in found and not {task.id for name, task in tasks.items() if name != state} & set(found)


def test_each_field_of_the_search_narrows_it(operator: Person, mill: Mill) -> None:
    task = mill.task(queue="heavy", job_id="night", method_name="press", owner="ann", args=b'["fedora-41"]')
    mill.task()
    for query in (
        {"queue": "heavy"}, {"job": "night"}, {"method": "press"}, {"owner": "ann"}, {"text": "FEDORA"},
        {"queue": "heavy", "job": "night", "state": ["waiting", "reset"]},
    ):  # fmt: skip
        assert find(operator, **query) == [task.id], query
        assert find(operator, **query | {"text": "nowhere"}) == []


def test_a_search_stands_in_the_form_again_and_in_the_pages_that_follow(operator: Person, mill: Mill) -> None:
    for _ in range(51):
        mill.task(job_id="a&b")
    page = operator.get(f"{LIST}?job=a%26b&method=&text=&state=waiting").text
    assert 'name="job" value="a&amp;b"' in page and 'value="waiting" checked' in page
    assert len(listed(page)) == 50 and "51 tasks" in page
    following = re.search(r'href="([^"]+)" rel="next"', page)
    assert following is not None
    rest = operator.get(unescape(following[1])).text
    assert len(listed(rest)) == 1 and not set(listed(rest)) & set(listed(page)) and "First page" in rest


def test_runs_are_found_by_how_long_ago_and_between_which_times_they_ended(operator: Person, mill: Mill) -> None:
    old = mill.finished()
    mill.pass_time(2 * HOUR)
    new = mill.finished()
    mill.pass_time(5 * MINUTE)
    assert find(operator, ended=1, since="PT1H") == [new.id]
    assert find(operator, ended=1, since="P1D") == [new.id, old.id]
    assert find(operator, ended=1, before="2026-12-01T13:00") == [old.id]
    assert find(operator, ended=1, after="2026-12-01T13:00") == [new.id]
    assert find(operator, ended=1, after="2026-12-01T11:00", before="2026-12-01T12:30:00Z") == [old.id]


@pytest.mark.parametrize(
    "query",
    ["state=nonsense", "ended=1&state=waiting", "since=PT5M", "ended=1&after=yesterday", "cursor=x", "nonsense=1",
     "queue=a&queue=b", "text=" + 201 * "x", "text=%00"],
)  # fmt: skip
def test_a_search_that_no_form_sends_is_a_page_that_says_what_is_wrong(operator: Person, query: str) -> None:
    answer = operator.get(f"{LIST}?{query}")
    assert answer.status_code == 400 and 'id="detail"' in answer.text


def test_names_and_arguments_are_text(operator: Person, mill: Mill) -> None:
    hostile = f'["{HOSTILE}", "\\u202eevil"]'.encode()
    task = mill.task(method_name=HOSTILE, queue=HOSTILE, job_id=f'"{HOSTILE}', args=hostile, class_name="</table>")
    for path in (f"{LIST}?{urlencode({'text': HOSTILE})}", f"/ui/tasks/{task.id}/", "/ui/"):
        page = operator.get(path).text
        assert (HOSTILE not in page and "&lt;script&gt;alert(1)" in page) or path == "/ui/", path
        assert "</table>" not in page.replace("</tbody>\n</table>", ""), path
        assert '"\\u202eevil"' in page.replace("&#34;", '"') or path == "/ui/", path


def test_secrets_are_masked_on_pages_too(operator: Person, mill: Mill) -> None:
    asked = {"method_name": "pack", "args": ["box"], "kwargs": {"password": "hunter2"}}
    made = mill.admin.post("/tasks/", json=asked).json()
    for path in (LIST, f"/ui/tasks/{made['id']}/"):
        assert "hunter2" not in operator.get(path).text


def test_one_confirmation_says_how_many_and_then_they_are_canceled(operator: Person, mill: Mill) -> None:
    tasks = [mill.task(job_id="night") for _ in range(12)]
    other, running = mill.task(), mill.running(job_id="night")
    operator.get(f"{LIST}?job=night")
    asked = operator.post(CHANGE, {"verb": "cancel", "all": "1", "search": "job=night"})
    assert asked.status_code == 200 and "<h1>Cancel 13 tasks?</h1>" in asked.text and "and 3 more" in asked.text
    assert mill.store.get(running.id).cancel_attempts == 0
    done = operator.post(CHANGE, {"verb": "cancel", "all": "1", "search": "job=night", "confirmed": "1"})
    assert done.status_code == 303 and done.headers["location"] == "/ui/tasks/?job=night"
    assert "13 tasks are canceled." in operator.get(done.headers["location"]).text
    assert all(mill.store.get(task.id).cancel_attempts == 1 for task in (*tasks, running))
    assert mill.store.get(other.id).cancel_attempts == 0
    event = mill.admin.get("/audit/").json()[0]
    assert (event["user"], event["path"], event["detail"]) == (operator.name, CHANGE, "cancel: 13 tasks")


def test_the_confirmation_counts_so_far_and_no_further(
    operator: Person, mill: Mill, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "COUNTED", 11)
    for _ in range(11):
        mill.task(job_id="night")
    form = {"verb": "cancel", "all": "1", "search": "job=night"}
    assert "<h1>Cancel 11 tasks?</h1>" in operator.post(CHANGE, form).text
    mill.task(job_id="night")
    mill.task(job_id="night")
    asked = operator.post(CHANGE, form).text
    assert "<h1>Cancel more than 11 tasks?</h1>" in asked and "and many more" in asked
    done = operator.post(CHANGE, form | {"confirmed": "1"})
    assert "13 tasks are canceled." in operator.get(done.headers["location"]).text


def test_no_runs_are_run_again_that_the_search_does_not_find(
    operator: Person, mill: Mill, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "NEWEST", 2)
    failed = []
    for _ in range(3):
        failed.append(mill.running())
        mill.finish(failed[-1], "fail")
        mill.pass_time(MINUTE)
    assert find(operator, ended=1, state="error") == ids(failed[2], failed[1])
    form = {"verb": "reset", "all": "1", "search": "ended=1&state=error"}
    assert "Run again 2 tasks?" in operator.post(CHANGE, form).text
    operator.post(CHANGE, form | {"confirmed": "1"})
    assert [mill.store.get(task.id).state for task in failed] == ["error", "reset", "reset"]


def test_all_that_failed_since_are_run_again(operator: Person, mill: Mill) -> None:
    old = mill.running()
    mill.finish(old, "fail")
    mill.pass_time(2 * HOUR)
    failed, late, fine = mill.running(), mill.running(), mill.running()
    mill.finish(failed, "fail")
    mill.finish(late, "expire")
    mill.finish(fine)
    retried = mill.running(attempts=2)
    mill.finish(retried, "fail")
    form = {"verb": "reset", "all": "1", "search": "ended=1&since=PT1H"}
    assert "Run again 2 tasks?" in operator.post(CHANGE, form).text
    operator.post(CHANGE, form | {"confirmed": "1"})
    states = {task.id: mill.store.get(task.id).state for task in (old, failed, late, fine, retried)}
    assert [*states.values()] == ["error", "reset", "reset", "finished", "waiting"]


def test_what_was_counted_is_what_is_changed_however_long_one_thinks(operator: Person, mill: Mill) -> None:
    task = mill.running()
    mill.finish(task, "fail")
    mill.pass_time(50 * MINUTE)
    asked = operator.post(CHANGE, {"verb": "reset", "all": "1", "search": "ended=1&since=PT1H"}).text
    fixed = re.search(r'name="search" value="([^"]*)"', asked)
    assert fixed is not None and "since" not in fixed[1]
    mill.pass_time(50 * MINUTE)
    operator.post(CHANGE, {"verb": "reset", "all": "1", "search": unescape(fixed[1]), "confirmed": "1"})
    assert mill.store.get(task.id).state == "reset"


def test_those_that_are_ticked_are_suspended_and_resumed(operator: Person, mill: Mill) -> None:
    chosen, other = [mill.task(), mill.task()], mill.task()
    form = {"id": ids(*chosen), "confirmed": "1", "search": ""}
    operator.post(CHANGE, form | {"verb": "suspend"})
    assert [mill.store.get(task.id).state for task in (*chosen, other)] == ["suspended", "suspended", "waiting"]
    operator.post(CHANGE, form | {"verb": "resume"})
    assert [mill.store.get(task.id).state for task in chosen] == ["waiting", "waiting"]


def test_many_are_changed_in_batches(operator: Person, mill: Mill) -> None:
    for _ in range(1100):
        mill.task(job_id="many", due_time=mill.clock.time + HOUR)
    done = operator.post(CHANGE, {"verb": "suspend", "all": "1", "search": "job=many", "confirmed": "1"})
    assert "1,100 tasks are suspended." in operator.get(done.headers["location"]).text


@pytest.mark.parametrize(
    "form",
    [{}, {"verb": "explode", "all": "1"}, {"verb": "cancel"}, {"verb": "cancel", "all": "1", "search": "nonsense=1"},
     {"verb": "reset", "all": "1", "search": "state=waiting"}, {"verb": "cancel", "all": "1", "search": "ended=1"}],
)  # fmt: skip
def test_a_change_that_means_nothing_changes_nothing(operator: Person, mill: Mill, form: dict[str, str]) -> None:
    task = mill.task()
    assert operator.post(CHANGE, form | {"confirmed": "1"}).status_code == 400
    assert mill.store.get(task.id) == task


def test_a_reader_sees_no_button_and_is_refused_if_it_tries(person: People, mill: Mill) -> None:
    reader = person("readers")
    task = mill.task()
    page = reader.get(LIST).text
    assert 'name="verb"' not in page and 'name="id"' not in page and task.id in page
    one = reader.get(f"/ui/tasks/{task.id}/").text
    assert "formaction" not in one and "Reschedule" not in one
    assert reader.post(CHANGE, {"verb": "cancel", "id": task.id, "confirmed": "1"}).status_code == 403
    for verb in ("cancel", "suspend", "resume", "reset", "remove"):
        assert reader.post(f"/ui/tasks/{task.id}/{verb}/").status_code == 403
    assert reader.post(f"/ui/tasks/{task.id}/reschedule/", {"schedule": "PT1H"}).status_code == 403
    assert mill.store.get(task.id) == task


def test_who_may_not_read_sees_and_changes_its_own_alone(person: People, mill: Mill) -> None:
    ann = person(name="ann")
    own, others = mill.task(owner="ann"), mill.task(owner="bob")
    assert find(ann) == [own.id]
    assert ann.get(f"/ui/tasks/{others.id}/").status_code == 404
    assert ann.post(f"/ui/tasks/{others.id}/cancel/").status_code == 404
    ann.post(CHANGE, {"verb": "cancel", "id": ids(own, others), "confirmed": "1"})
    assert mill.store.get(own.id).state == "canceled" and mill.store.get(others.id).state == "waiting"
    again = mill.task(owner="ann")
    ann.post(CHANGE, {"verb": "cancel", "all": "1", "search": "", "confirmed": "1"})
    assert mill.store.get(again.id).state == "canceled" and mill.store.get(others.id).state == "waiting"


def test_the_list_is_sent_anew_as_it_changes(operator: Person, mill: Mill) -> None:
    first = mill.task(job_id="night")
    mill.task()
    with operator.client.stream("GET", f"{LIST}?job=night", headers={"Accept": "text/event-stream"}) as response:
        second = None
        for line in response.iter_lines():
            if first.id in line and second is None:
                second = mill.task(job_id="night")
            elif second is not None and second.id in line:
                break
    assert second is not None
