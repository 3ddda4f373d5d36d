from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from headbox.domain.task import DAY, HOUR, SECOND
from headbox.web.ui.session import LONGEST

if TYPE_CHECKING:
    from tests.acceptance.http.conftest import Mill
    from tests.acceptance.ui.conftest import Person

    People = Callable[..., Person]


def is_in(somebody: Person) -> bool:
    response = somebody.get("/ui/account/")
    assert response.status_code in (200, 303), response.text
    return response.status_code == 200


def test_who_is_not_logged_in_is_led_to_the_login_and_from_there_to_where_it_wanted(person: People) -> None:
    somebody = person("readers", is_in=False)
    away = somebody.get("/ui/workers/?x=1&y=%2F")
    assert away.status_code == 303
    address = urlsplit(away.headers["location"])
    assert address.path == "/ui/login/" and parse_qs(address.query) == {"next": ["/ui/workers/?x=1&y=%2F"]}
    page = somebody.get(away.headers["location"])
    assert (
        page.status_code == 200 and '<input type="hidden" name="next" value="/ui/workers/?x=1&amp;y=%2F">' in page.text
    )
    there = somebody.post("/ui/login/", {"name": somebody.name, "password": somebody.password, "next": "/ui/workers/"})
    assert there.status_code == 303 and there.headers["location"] == "/ui/workers/"
    assert somebody.get("/ui/workers/").status_code == 200


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/", "//evil.example/ui/", "/\\evil.example", "/ui/\\evil", "javascript:alert(1)",
        "/tasks/", "/ui/\r\nset-cookie: a=b", "ui/", "", " /ui/", "/ui/é",
    ],
)  # fmt: skip
def test_a_login_leads_to_no_other_place_than_a_page_of_the_dashboard(person: People, target: str) -> None:
    somebody = person(is_in=False)
    page = somebody.get(f"/ui/login/?next={quote(target)}")
    assert page.status_code == (400 if "\r" in target else 200)
    somebody.get("/ui/login/")
    there = somebody.post("/ui/login/", {"name": somebody.name, "password": somebody.password, "next": target})
    assert there.status_code == 303 and there.headers["location"] == "/ui/"


def test_a_wrong_password_and_an_unknown_user_are_told_alike_and_keep_what_was_typed(person: People) -> None:
    somebody = person(name="ann", is_in=False)
    somebody.get("/ui/login/")
    wrong = somebody.post("/ui/login/", {"name": "ann", "password": "guess"})
    unknown = somebody.post("/ui/login/", {"name": "<b>bob", "password": "guess"})
    for answer in (wrong, unknown):
        assert answer.status_code == 403 and "The user or the password is wrong." in answer.text
    assert 'value="ann"' in wrong.text and 'value="&lt;b&gt;bob"' in unknown.text
    assert "guess" not in wrong.text and not is_in(somebody)


def test_guesses_on_the_page_and_over_the_api_are_slowed_down_together(
    person: People, fresh: Mill, stage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    throttle = stage[0].app.service.authenticator._throttle
    monkeypatch.setattr(throttle, "_monotonic", lambda: 1000.0)  # or a slow machine's pause would be over
    somebody = person(name="ann", is_in=False)
    for _ in range(5):
        assert fresh.anonymous(auth=("ann", "guess")).get("/tasks/").status_code == 401
    somebody.get("/ui/login/")
    answer = somebody.post("/ui/login/", {"name": "ann", "password": somebody.password})
    assert answer.status_code == 429 and "too many wrong passwords" in answer.text


def test_the_cookie_is_for_this_site_and_path_and_from_scripts_alone_kept(person: People) -> None:
    somebody = person(is_in=False)
    somebody.get("/ui/login/")
    cookies = somebody.post("/ui/login/", {"name": somebody.name, "password": somebody.password}).headers
    session = next(c for c in cookies.get_list("set-cookie") if c.startswith("headbox_session_"))
    attributes = set(session.split("; ")[1:])
    assert {"Path=/", "SameSite=Strict", "HttpOnly"} <= attributes and "Secure" not in attributes


def test_the_cookie_does_not_open_the_api_nor_a_password_the_dashboard(person: People, fresh: Mill) -> None:
    somebody = person("super-users")
    assert somebody.client.get("/tasks/").status_code == 401
    by_password = fresh.anonymous(auth=(somebody.name, somebody.password)).get("/ui/account/")
    assert by_password.status_code == 303
    assert fresh.admin.get("/ui/account/").status_code == 303


def test_a_form_without_the_token_or_with_another_sessions_is_refused(person: People) -> None:
    ann, bob = person("super-users", name="ann"), person("super-users", name="bob")
    for token in ("", "x", bob.token):
        answer = ann.post("/ui/account/tokens/", {"form_token": token, "name": "mine", "lifetime": ""})
        assert answer.status_code == 403 and "out of date" in answer.text, token
    assert ann.post("/ui/account/tokens/", {"name": "mine", "lifetime": ""}).status_code == 200


def test_the_login_form_is_bound_to_the_browser_that_asked_for_it(person: People, password: str) -> None:
    ann, bob = person(name="ann", is_in=False), person(name="bob", is_in=False)
    ann.get("/ui/login/")
    bob.get("/ui/login/")
    bob.token = ann.token
    assert bob.post("/ui/login/", {"name": "ann", "password": password}).status_code == 403
    bob.client.cookies.clear()
    assert bob.post("/ui/login/", {"name": "bob", "password": password}).status_code == 403


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}]
)
def test_a_form_that_another_sites_page_sends_is_refused(person: People, headers: dict[str, str]) -> None:
    somebody = person("super-users")
    assert somebody.post("/ui/account/tokens/", {"name": "mine", "lifetime": ""}, **headers).status_code == 403


def test_a_form_of_another_kind_is_refused(person: People) -> None:
    somebody = person("super-users")
    for kind in ("application/json", "text/plain", "multipart/form-data; boundary=x"):
        answer = somebody.client.post("/ui/account/tokens/", content=b"{}", headers={"content-type": kind})
        assert answer.status_code == 415
    answer = somebody.client.post(
        "/ui/account/tokens/", content=b"a=%ff", headers={"content-type": "application/x-www-form-urlencoded"}
    )
    assert answer.status_code == 400
    assert somebody.post("/ui/account/tokens/", {"name": "a\0", "lifetime": ""}).status_code == 400


def test_logging_out_ends_the_session_on_the_server_too(person: People) -> None:
    somebody = person()
    cookies = dict(somebody.client.cookies)
    away = somebody.post("/ui/logout/")
    assert away.status_code == 303 and away.headers["location"] == "/ui/login/"
    assert "You are logged out." in somebody.get("/ui/login/").text
    assert "You are logged out." not in somebody.get("/ui/login/").text
    somebody.client.cookies.update(cookies)
    assert not is_in(somebody)


def test_a_session_ends_unused_after_a_day(person: People, fresh: Mill) -> None:
    somebody = person()
    fresh.pass_time(DAY - SECOND)
    assert is_in(somebody)  # and lasts another day
    fresh.pass_time(DAY - SECOND)
    assert is_in(somebody)
    fresh.pass_time(DAY + SECOND)
    assert not is_in(somebody)


def test_a_session_ends_after_thirty_days_however_much_it_is_used(person: People, fresh: Mill) -> None:
    somebody = person()
    steps = 0
    while is_in(somebody):
        fresh.pass_time(12 * HOUR)
        steps += 1
    assert steps == LONGEST // (12 * HOUR)


def test_another_password_ends_all_sessions_but_the_one_that_changed_it(person: People, fresh: Mill) -> None:
    here, there = person(name="ann"), person(name="ann")
    changed = here.post(
        "/ui/account/password/", {"present": here.password, "new": "battery staple", "again": "battery staple"}
    )
    assert changed.status_code == 303
    assert is_in(here) and not is_in(there)
    assert fresh.anonymous(auth=("ann", "battery staple")).get("/tasks/").status_code == 200
    fresh.admin.patch("/users/ann/", json={"password": "changed by the admin"})
    assert not is_in(here)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"present": "wrong", "new": "battery staple", "again": "battery staple"}, "not your present password"),
        ({"new": "battery staple", "again": "battery stable"}, "differs from the new password"),
        ({"new": "short", "again": "short"}, "8 characters"),
    ],
)
def test_a_password_that_is_not_to_be_changed_stays(person: People, fields: dict[str, str], said: str) -> None:
    somebody = person()
    answer = somebody.post("/ui/account/password/", {"present": somebody.password} | fields)
    assert answer.status_code == 400 and said in answer.text
    assert somebody.log_in() and is_in(somebody)


def test_a_user_that_is_deleted_is_out_at_once(person: People, fresh: Mill) -> None:
    somebody = person(name="ann")
    fresh.admin.delete("/users/ann/")
    assert not is_in(somebody)


def test_logging_out_everywhere_leaves_tokens_alone(person: People, fresh: Mill) -> None:
    here, there = person(name="ann"), person(name="ann")
    page = here.post("/ui/account/tokens/", {"name": "script", "lifetime": "P30D"})
    secret = re.search(r'id="secret" value="([^"]+)"', page.text)
    assert secret is not None
    here.token = re.search(r'name="form_token" value="([^"]*)"', page.text)[1]  # type: ignore[index]
    assert here.post("/ui/account/sessions/end/").status_code == 303
    assert not is_in(here) and not is_in(there)
    client = fresh.anonymous(headers={"Authorization": f"Bearer {secret[1]}"})
    assert client.get("/tasks/").status_code == 200


def test_a_token_is_shown_once_and_can_be_revoked(person: People, fresh: Mill) -> None:
    somebody = person(name="ann")
    page = somebody.post("/ui/account/tokens/", {"name": "<script>alert(1)</script>", "lifetime": ""})
    secret = re.search(r'id="secret" value="([^"]+)"', page.text)
    assert secret is not None and "<script>alert" not in page.text and "&lt;script&gt;alert" in page.text
    again = somebody.get("/ui/account/").text
    assert secret[1] not in again and "&lt;script&gt;alert" in again
    revoke = re.search(r'action="(/ui/account/tokens/[^"]+/revoke/)"', again)
    assert revoke is not None
    bob = person(name="bob")
    assert bob.post(revoke[1]).status_code == 404
    assert somebody.post(revoke[1]).status_code == 303
    client = fresh.anonymous(headers={"Authorization": f"Bearer {secret[1]}"})
    assert client.get("/tasks/").status_code == 401


def test_logging_in_and_out_is_audited_and_a_guess_is_not_the_users(person: People, fresh: Mill) -> None:
    somebody = person(name="ann")
    somebody.post("/ui/logout/")
    somebody.get("/ui/login/")
    somebody.post("/ui/login/", {"name": "ann", "password": "guess"})
    events = fresh.admin.get("/audit/").json()
    assert [(event["user"], event["path"], event["detail"]) for event in events] == [
        ("ann", "/ui/logout/", "logged out"),
        ("ann", "/ui/login/", "logged in"),
    ]
