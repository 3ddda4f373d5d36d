from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from headbox.storage.records import User

if TYPE_CHECKING:
    from tests.acceptance.http.conftest import Mill
    from tests.acceptance.ui.conftest import Person

    People = Callable[..., Person]

LIST = "/ui/users/"
NEW = {"name": "tom", "password": "correct horse", "role": ["readers"]}


@pytest.fixture
def boss(person: People, mill: Mill) -> Person:
    """The one super user there is beside the tests' own `admin`."""
    return person("super-users", name="boss")


def user(mill: Mill, name: str) -> User:
    found = mill.store.user(name)
    assert found is not None
    return found


def test_a_user_is_added_and_may_log_in_with_its_roles(boss: Person, person: People, mill: Mill) -> None:
    boss.get(LIST)
    done = boss.post(LIST, NEW)
    assert done.status_code == 303 and "tom may log in now." in boss.get(LIST).text
    assert user(mill, "tom").roles == ("readers",)
    assert mill.anonymous(auth=("tom", "correct horse")).get("/tasks/").status_code == 200
    event = mill.admin.get("/audit/").json()[0]
    assert (event["user"], event["path"], event["detail"]) == ("boss", LIST, "user tom, roles: readers")


@pytest.mark.parametrize(
    ("wrong", "status", "said"),
    [
        ({"name": ""}, 400, "Take letters"),
        ({"name": "<b>tom</b>"}, 400, "Take letters"),
        ({"name": "boss"}, 409, "There is a user of this name already."),
        ({"password": "short"}, 400, "Take 8 characters"),
        ({"role": ["gods"]}, 400, "there is no role"),
    ],
)
def test_what_is_wrong_is_said_and_what_was_given_stands_there_again(
    boss: Person, mill: Mill, wrong: dict[str, str], status: int, said: str
) -> None:
    boss.get(LIST)
    answer = boss.post(LIST, NEW | wrong)
    assert answer.status_code == status and said in answer.text and "correct horse" not in answer.text
    if status != 409 and "role" not in wrong:
        assert 'value="readers" checked' in answer.text
    assert len(mill.store.users()) == 2


def test_a_user_gets_other_roles_and_another_password(boss: Person, person: People, mill: Mill) -> None:
    ann = person("readers", name="ann")
    page = boss.get(f"{LIST}ann/").text
    assert 'value="readers" checked' in page and 'value="operators">' in page
    boss.post(f"{LIST}ann/roles/", {"role": ["operators"]})
    assert user(mill, "ann").roles == ("operators",) and ann.get("/ui/send/").status_code == 200
    boss.post(f"{LIST}ann/password/", {"password": "another horse"})
    assert ann.get("/ui/").status_code == 303  # she is logged out
    assert mill.anonymous(auth=("ann", "another horse")).get("/tasks/").status_code == 200
    assert boss.post(f"{LIST}ann/password/", {"password": "short"}).status_code == 400
    boss.post(f"{LIST}ann/roles/")
    assert user(mill, "ann").roles == ()


def test_a_user_is_removed_with_its_sessions_and_its_tasks_stay(boss: Person, person: People, mill: Mill) -> None:
    ann, task = person("readers", name="ann"), mill.task(owner="ann")
    assert boss.post(f"{LIST}ann/remove/").headers["location"] == LIST
    assert mill.store.user("ann") is None and mill.store.get(task.id).owner == "ann"
    assert ann.get("/ui/").status_code == 303
    for path in ("", "roles/", "password/", "remove/"):
        answer = boss.post(f"{LIST}ann/{path}", {"password": "another horse"}) if path else boss.get(f"{LIST}ann/")
        assert answer.status_code == 404, path


def test_the_last_super_user_stays_one(boss: Person, mill: Mill) -> None:
    mill.store.delete_user("admin")
    for path in ("roles/", "remove/"):
        answer = boss.post(f"{LIST}boss/{path}")
        assert answer.status_code == 409 and "boss is the last super user" in answer.text
    assert user(mill, "boss").roles == ("super-users",)


def test_who_gives_up_being_a_super_user_is_led_to_a_page_that_it_may_see(boss: Person, mill: Mill) -> None:
    done = boss.post(f"{LIST}boss/roles/", {"role": ["readers"]})
    assert done.headers["location"] == "/ui/account/"
    assert boss.get(done.headers["location"]).status_code == 200 and boss.get(LIST).status_code == 403


@pytest.mark.parametrize("roles", [("operators",), ("readers",), ()])
def test_nobody_else_sees_or_changes_users(person: People, mill: Mill, roles: tuple[str, ...]) -> None:
    somebody = person(*roles, name="ann")
    assert ">Users</a>" not in somebody.get("/ui/account/").text
    assert somebody.get(LIST).status_code == somebody.get(f"{LIST}ann/").status_code == 403
    assert somebody.post(LIST, NEW).status_code == 403
    for path in ("roles/", "password/", "remove/"):
        fields = {"role": ["super-users"], "password": "another horse"}
        assert somebody.post(f"{LIST}ann/{path}", fields).status_code == 403
    assert user(mill, "ann").roles == roles and mill.store.user("tom") is None
