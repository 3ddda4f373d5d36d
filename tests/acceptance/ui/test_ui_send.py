from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from headbox.domain.task import HOUR
from headbox.storage import records
from headbox.storage.records import Filter

if TYPE_CHECKING:
    from headbox.domain.task import Task
    from tests.acceptance.http.conftest import Mill
    from tests.acceptance.ui.conftest import Person

    People = Callable[..., Person]

SYNC = records.Callable(
    name="shop:sync",
    short_name="sync",
    signature="(repo: str, rate: int = 3, *, feed: str | None = None)",
    parameters=("repo", "rate"),
    docstring="Synchronise a repository into `<rep>o`.\n\nWith <all> of it, ``at `once` `` a ` or `.",
    defaults={"queue": "slow", "timeout": HOUR},
)
FORM = {"method": "shop:sync", "arg.repo": "fedora", "when": "now"}


@pytest.fixture
def operator(person: People, mill: Mill) -> Person:
    mill.publish(SYNC, worker="sender")
    return person("operators")


def send(somebody: Person, **fields: Any) -> Any:
    somebody.get("/ui/send/?method=shop:sync")
    return somebody.post("/ui/send/", FORM | {name.replace("__", "."): value for name, value in fields.items()})


def sent(mill: Mill) -> list[Task]:
    return list(mill.store.stream(Filter(method_names=("sync",)), mill.clock.time))


def test_what_workers_have_published_is_listed_and_found_by_name_or_description(operator: Person) -> None:
    page = operator.get("/ui/send/").text
    assert "/ui/send/?method=shop%3Async" in page and "Synchronise a repository into <code>" in page
    assert "shop%3Async" in operator.get("/ui/send/?text=REPOSITORY").text
    assert "Nothing is found." in operator.get("/ui/send/?text=unheard").text


def test_the_form_is_made_from_signature_docstring_and_defaults(operator: Person) -> None:
    page = operator.get("/ui/send/?method=sync").text
    assert "Synchronise a repository into <code>&lt;rep&gt;o</code>." in page and "With &lt;all&gt; of it" in page
    assert "a ` or `." in page
    assert re.search(r'name="arg.repo" value=""[^>]* required', page)
    assert re.search(r'name="arg.rate" value="" placeholder="3"[^>]*inputmode="decimal"', page)
    assert re.search(r'name="arg.feed" value="" placeholder="None"', page)
    assert re.search(r'name="queue" value="" placeholder="slow"', page)


def test_a_call_is_sent_as_somebody_would_write_it_and_its_task_is_shown(operator: Person, mill: Mill) -> None:
    done = send(operator, arg__rate="5", arg__feed="x y")
    (task,) = sent(mill)
    assert (done.status_code, done.headers["location"]) == (303, f"/ui/tasks/{task.id}/")
    assert (json.loads(task.args), json.loads(task.kwargs)) == (["fedora"], {"rate": 5, "feed": "x y"})
    assert (task.owner, task.queue, task.timeout, task.scheduler) == (operator.name, "slow", HOUR, "immediate")


def test_options_are_those_of_the_api(operator: Person, mill: Mill) -> None:
    send(operator, queue="fast", priority="-3", timeout="PT5S", job_id="nightly", unique="1", attempts="2")
    (task,) = sent(mill)
    assert (task.queue, task.priority, task.timeout, task.attempts) == ("fast", -3, 5_000_000, 2)
    assert task.job_id == "nightly" and task.unique_key
    refused = send(operator, unique="1")
    assert refused.status_code == 409 and task.id in refused.text and len(sent(mill)) == 1


@pytest.mark.parametrize(
    ("fields", "schedule"),
    [
        ({"when": "at", "at": "2030-01-02T03:04"}, "2030-01-02T03:04:00Z"),
        ({"when": "every", "every": "90", "unit": "M", "start": "2030-01-01T00:00"}, "2030-01-01T00:00:00Z/PT1H30M"),
        ({"when": "cron", "cron": "30 2 * * *", "zone": "Europe/Paris"}, "cron: 30 2 * * * Europe/Paris"),
    ],
)
def test_a_schedule_that_was_built_is_the_tasks(
    operator: Person, mill: Mill, fields: dict[str, str], schedule: str
) -> None:
    assert send(operator, **fields).status_code == 303
    assert sent(mill)[0].schedule == schedule


def test_the_next_times_are_shown_and_nothing_is_sent_or_audited(operator: Person, mill: Mill) -> None:
    operator.get("/ui/send/?method=sync")
    audited = len(mill.store.events(1000))
    page = operator.post("/ui/send/preview/", FORM | {"when": "cron", "cron": "0 12 * * 1", "zone": "UTC"})
    assert page.status_code == 200 and "At 12:00" in page.text
    assert page.text.count("<li><time") == 10 and 'value="fedora"' in page.text
    wrong = operator.post("/ui/send/preview/", FORM | {"when": "cron", "cron": "61 * * * *"})
    assert wrong.status_code == 200 and "write one such as 30 2 * * *" in wrong.text
    assert sent(mill) == [] and len(mill.store.events(1000)) == audited


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"arg__repo": ""}, "This is needed."),
        ({"arg__rate": "many"}, "This takes a number."),
        ({"priority": "77"}, "&lt;= 9"),
        ({"queue": "headbox"}, "the system&#39;s own queue"),
        ({"timeout": "soon"}, "soon"),
        ({"attempts": "2.5"}, "Expected"),
        ({"when": "every", "every": "0"}, 'id="schedule-wrong"'),
        ({"when": "every", "every": "5", "runs": "many"}, "many"),
        ({"when": "at", "at": "tomorrow"}, "tomorrow"),
    ],
)
def test_what_is_wrong_is_said_in_the_form_which_keeps_what_was_typed(
    operator: Person, mill: Mill, fields: dict[str, str], sentence: str
) -> None:
    page = send(operator, arg__feed="<kept>", **fields)
    assert page.status_code == 400 and sentence in page.text
    assert "&lt;kept&gt;" in page.text and sent(mill) == []


def test_who_may_not_create_sees_no_way_there_and_is_refused(person: People, mill: Mill) -> None:
    mill.publish(SYNC, worker="sender")
    reader = person("readers")
    assert "/ui/send/" not in reader.get("/ui/").text
    assert reader.get("/ui/send/").status_code == 403
    assert reader.post("/ui/send/", FORM).status_code == 403 and sent(mill) == []


def test_a_callable_that_nobody_has_published_is_said(operator: Person, mill: Mill) -> None:
    assert "no worker has published" in operator.get("/ui/send/?method=os:system").text
    operator.get("/ui/send/")
    refused = operator.post("/ui/send/", FORM | {"method": "os:system"})
    assert refused.status_code == 400 and "no worker has published" in refused.text
