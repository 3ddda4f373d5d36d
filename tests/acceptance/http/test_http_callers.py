"""Who may call: credentials, roles, owners, users, tokens, and what the audit log keeps (API.md, Who is asking)."""

from __future__ import annotations

from typing import Any

import pytest

from headbox.domain.task import HOUR
from headbox.storage.records import User
from headbox.web.accounts import ensure_admin, issue_local_token, revoke_token


@pytest.fixture
def olga(mill: Any, password: str, password_hash: str) -> tuple[str, str]:
    """An operator with a password."""
    mill.store.create_user(User(name="olga", password_hash=password_hash, roles=("operators",), create_time=0))
    return "olga", password


@pytest.mark.parametrize(
    "header",
    [
        None, "Basic", "Basic !!!", "Basic b2xnYQ==", "Basic /w==", "Basic b2xnYTp3cm9uZw==", "Bearer",
        "Bearer nonsense",         "Digest username=olga", "Bearer ÿ", "",
    ],
)  # fmt: skip
def test_no_or_wrong_credentials_are_a_401_that_says_how(mill: Any, olga: Any, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    response = mill.anonymous().get("/tasks/", headers=headers)
    assert response.status_code == 401
    challenges = response.headers.get_list("www-authenticate")
    assert [challenge.split()[0] for challenge in challenges] == ["Basic", "Bearer"]
    assert response.headers["content-type"] == "application/problem+json"


def test_passwords_and_tokens_let_in(mill: Any, olga: tuple[str, str]) -> None:
    assert mill.anonymous(auth=olga).get("/tasks/").status_code == 200
    token = mill.anonymous(auth=olga).post("/tokens/", json={"name": "laptop"}).json()["token"]
    bearer = mill.anonymous(headers={"Authorization": f"bearer {token}"})
    assert bearer.get("/tasks/").status_code == 200


def test_failed_logins_are_throttled_for_that_user_from_that_address_only(mill: Any, olga: tuple[str, str]) -> None:
    client = mill.anonymous()
    statuses = [client.get("/tasks/", auth=("olga", f"guess {number}")).status_code for number in range(6)]
    assert statuses == [401] * 5 + [429]
    assert client.get("/tasks/", auth=olga).status_code == 429
    response = client.get("/tasks/", auth=("nobody", "guess"))
    assert response.status_code == 401


def test_forwarded_addresses_count_only_from_trusted_proxies(mill: Any, serve: Any, olga: tuple[str, str]) -> None:
    def guess(url: str, address: str) -> int:
        client = mill.anonymous(headers={"X-Forwarded-For": address})
        client.base_url = url
        return int(client.get("/tasks/", auth=("olga", "guess")).status_code)

    untrusted, trusted = mill.url, serve(trusted_proxies=("127.0.0.0/8",))
    assert [guess(untrusted, f"10.0.0.{number}") for number in range(6)] == [401] * 5 + [429]
    assert [guess(trusted, f"10.0.0.{number}") for number in range(6)] == [401] * 6
    assert [guess(trusted, "10.0.0.9") for number in range(6)] == [401] * 5 + [429]


READS = ("/tasks/", "/tasks/{id}/", "/tasks/{id}/runs/", "/jobs/", "/jobs/j/", "/callables/", "/workers/")
UPDATES = (
    "/tasks/{id}/suspend/", "/tasks/{id}/resume/", "/tasks/{id}/cancel/", "/tasks/{id}/reset/",
    "/tasks/cancel/?id={id}", "/jobs/j/cancel/",
)  # fmt: skip
SUPER = ("/tasks/snapshots/", "/tasks/{id}/snapshot/", "/users/", "/audit/")


@pytest.mark.parametrize(
    ("role", "may_read", "may_update", "may_create", "is_super"),
    [("super-users", 1, 1, 1, 1), ("operators", 1, 1, 1, 0), ("readers", 1, 0, 0, 0)],
)
def test_roles_bundle_permissions(
    mill: Any, role: str, may_read: int, may_update: int, may_create: int, is_super: int
) -> None:
    client = mill.client(role)
    id = mill.running(job_id="j").id
    for path in READS:
        assert client.get(path.format(id=id)).status_code == (200 if may_read else 403), path
    for path in SUPER:
        assert client.get(path.format(id=id)).status_code == (200 if is_super else 403), path
    assert client.delete(f"/tasks/{id}/").status_code == (202 if is_super else 403)
    assert client.post("/tasks/", json={"method_name": "pack"}).status_code == (202 if may_create else 403)
    for path in UPDATES:
        status = client.post(path.format(id=id)).status_code
        assert status in (202, 409) if may_update else status == 403, path
    schedule = client.put(f"/tasks/{id}/schedule/", json={"schedule": "PT1H"})
    assert schedule.status_code == (202 if may_update else 403)


def test_without_read_a_caller_sees_only_its_own(mill: Any) -> None:
    bob = mill.client(name="bob")
    mine, other = mill.task(owner="bob", job_id="j"), mill.task(owner="eve", job_id="j")
    assert [task["id"] for task in bob.get("/tasks/").json()] == [mine.id]
    assert bob.get(f"/tasks/{mine.id}/").status_code == 200
    assert bob.get(f"/tasks/{other.id}/").status_code == 404
    assert bob.get(f"/tasks/?id={other.id}").status_code == 404
    assert bob.get(f"/tasks/{other.id}/").json() == bob.get("/tasks/none/").json()
    assert [len(job["tasks"]) for job in bob.get("/jobs/").json()] == [1]
    assert bob.get("/callables/").status_code == 403
    assert bob.post(f"/tasks/{other.id}/cancel/").status_code == 404
    assert bob.delete(f"/tasks/{other.id}/").status_code == 403


def test_an_owner_may_change_its_own_tasks(mill: Any) -> None:
    bob = mill.client("readers", name="bob")
    mine, other = mill.task(owner="bob", job_id="j"), mill.task(owner="eve", job_id="j")
    assert bob.post(f"/tasks/{mine.id}/suspend/").status_code == 202
    assert bob.post(f"/tasks/{mine.id}/resume/").status_code == 202
    assert bob.put(f"/tasks/{mine.id}/schedule/", json={"schedule": "PT1H"}).status_code == 202
    assert bob.post(f"/tasks/{mine.id}/cancel/").status_code == 202
    assert bob.delete(f"/tasks/{mine.id}/").status_code == 403
    assert bob.post(f"/tasks/{other.id}/cancel/").status_code == 403
    assert bob.post("/jobs/j/cancel/").status_code == 403
    assert bob.post("/tasks/cancel/?job_id=j").status_code == 403
    assert [task["id"] for task in bob.post("/tasks/cancel/?job_id=j&owner=bob").json()] == [mine.id]
    assert mill.admin.get(f"/tasks/{other.id}/").json()["state"] == "waiting"


def test_who_enqueues_over_http_owns_the_task(mill: Any) -> None:
    olga = mill.client("operators", name="olga")
    id = olga.post("/tasks/", json={"method_name": "pack"}).json()["id"]
    assert mill.admin.get(f"/tasks/{id}/?fields=owner").json() == {"owner": "olga"}


def test_users_are_managed_by_super_users(mill: Any) -> None:
    admin = mill.admin
    made = admin.post("/users/", json={"name": "ann", "password": "long enough", "roles": ["readers"]})
    assert (made.status_code, made.headers["location"]) == (201, "/users/ann/")
    assert made.json() == {"name": "ann", "roles": ["readers"], "create_time": "2026-12-01T12:00:00Z"}
    assert admin.post("/users/", json={"name": "ann", "password": "long enough"}).status_code == 409
    ann = mill.anonymous(auth=("ann", "long enough"))
    assert ann.get("/tasks/").status_code == 200
    assert ann.post("/tasks/", json={"method_name": "pack"}).status_code == 403
    assert admin.patch("/users/ann/", json={"roles": ["operators"]}).json()["roles"] == ["operators"]
    assert ann.post("/tasks/", json={"method_name": "pack"}).status_code == 202
    assert {user["name"] for user in admin.get("/users/").json()} == {"admin", "ann"}
    assert admin.delete("/users/ann/").status_code == 200
    assert ann.get("/tasks/").status_code == 401
    assert admin.delete("/users/ann/").status_code == 404


def test_a_user_may_change_its_own_password_but_not_its_roles(mill: Any, olga: tuple[str, str]) -> None:
    client = mill.anonymous(auth=olga)
    assert client.get("/users/olga/").json()["roles"] == ["operators"]
    assert client.get("/users/admin/").status_code == 404
    assert client.get("/users/").status_code == 403
    assert client.patch("/users/olga/", json={"roles": ["super-users"]}).status_code == 403
    assert client.patch("/users/admin/", json={"password": "long enough"}).status_code == 404
    assert client.patch("/users/olga/", json={"password": "quite another"}).status_code == 200
    assert client.get("/users/olga/").status_code == 401
    assert mill.anonymous(auth=("olga", "quite another")).get("/users/olga/").status_code == 200


def test_a_token_may_not_change_its_users_password(mill: Any) -> None:
    assert (
        mill.client("operators", name="tom").patch("/users/tom/", json={"password": "long enough"}).status_code == 403
    )


def test_the_last_super_user_stays(mill: Any) -> None:
    assert mill.admin.delete("/users/admin/").status_code == 409
    assert mill.admin.patch("/users/admin/", json={"roles": []}).status_code == 409
    mill.client("super-users", name="second")
    assert mill.admin.patch("/users/admin/", json={"roles": []}).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"name": "a:b", "password": "long enough"},
        {"name": "", "password": "long enough"},
        {"name": "a/b", "password": "long enough"},
        {"name": "ann", "password": "short"},
        {"name": "ann", "password": "long enough", "roles": ["kings"]},
        {"name": "ann"},
    ],
)
def test_impossible_users_are_a_400(mill: Any, body: dict[str, Any]) -> None:
    assert mill.admin.post("/users/", json=body).status_code == 400


def test_tokens_are_ones_own_shown_once_and_revocable(mill: Any) -> None:
    ann, eve = mill.client("readers", name="ann"), mill.client("readers", name="eve")
    made = ann.post("/tokens/", json={"name": "ci", "lifetime": "P1D"})
    assert made.status_code == 201
    token = made.json()
    assert (token["user"], token["expire_time"]) == ("ann", "2026-12-02T12:00:00Z")
    assert "token" not in ann.get(made.headers["location"]).json()
    assert token["token"] not in ann.get("/tokens/").text
    assert {each["user"] for each in ann.get("/tokens/").json()} == {"ann"}
    assert {each["user"] for each in mill.admin.get("/tokens/").json()} == {"admin", "ann", "eve"}
    assert eve.get(made.headers["location"]).status_code == 404
    assert eve.delete(made.headers["location"]).status_code == 404
    assert eve.post("/tokens/", json={"name": "x", "user": "ann"}).status_code == 403
    bearer = mill.anonymous(headers={"Authorization": f"Bearer {token['token']}"})
    assert bearer.get("/tasks/").status_code == 200
    assert ann.delete(made.headers["location"]).status_code == 200
    assert bearer.get("/tasks/").status_code == 401


def test_a_token_expires(mill: Any) -> None:
    token = mill.admin.post("/tokens/", json={"name": "ci", "lifetime": "PT1H"}).json()["token"]
    bearer = mill.anonymous(headers={"Authorization": f"Bearer {token}"})
    assert bearer.get("/tasks/").status_code == 200
    mill.pass_time(HOUR)
    assert bearer.get("/tasks/").status_code == 401


def test_super_users_make_tokens_for_others_that_exist(mill: Any) -> None:
    mill.client("readers", name="ann")
    assert mill.admin.post("/tokens/", json={"name": "x", "user": "ann"}).json()["user"] == "ann"
    assert mill.admin.post("/tokens/", json={"name": "x", "user": "nobody"}).status_code == 400
    assert mill.admin.post("/tokens/", json={"name": "x", "lifetime": "soon"}).status_code == 400


def test_every_call_of_a_known_user_that_changes_something_or_tried_to_is_audited(mill: Any) -> None:
    task = mill.task()
    olga = mill.client("operators", name="olga")
    olga.get("/tasks/")
    olga.post(f"/tasks/{task.id}/cancel/")
    olga.post(f"/tasks/{task.id}/cancel/")
    olga.delete(f"/tasks/{task.id}/")
    mill.anonymous().post("/tasks/", content=b"{")
    made = olga.post("/tasks/", json={"method_name": "pack", "kwargs": {"password": "hunter2"}})
    events = mill.admin.get("/audit/").json()
    seen = [(event["user"], event["method"], event["path"], event["status"]) for event in events]
    assert seen == [
        ("olga", "POST", "/tasks/", 202),
        ("olga", "DELETE", f"/tasks/{task.id}/", 403),
        ("olga", "POST", f"/tasks/{task.id}/cancel/", 409),
        ("olga", "POST", f"/tasks/{task.id}/cancel/", 202),
    ]
    assert events[0]["detail"] == f"shop:pack as {made.json()['id']}"
    assert {event["address"] for event in events} == {"127.0.0.1"}
    assert {event["time"] for event in events} == {"2026-12-01T12:00:00Z"}
    assert "hunter2" not in str(events)


def test_a_call_of_nobody_known_is_a_sentence_in_the_log(mill: Any, caplog: pytest.LogCaptureFixture) -> None:
    mill.anonymous().post("/tasks/?x=%0A", content=b"{")
    (record,) = [record for record in caplog.records if record.name == "headbox.web.service"]
    begin = "refused: POST /tasks/?x=%0A by nobody known at 127.0.0.1, 2026-12-01T12:00:00Z: 401, "
    assert record.getMessage().startswith(begin), record.getMessage()


def test_the_audit_log_says_what_was_done(mill: Any) -> None:
    mill.task(job_id="j")
    mill.admin.post("/tasks/cancel/?job_id=j")
    mill.admin.post("/users/", json={"name": "ann", "password": "long enough", "roles": ["readers"]})
    mill.admin.patch("/users/ann/", json={"password": "even longer", "roles": []})
    events = [(event["path"], event["detail"]) for event in mill.admin.get("/audit/").json()]
    assert events == [
        ("/users/ann/", "password; roles: none"),
        ("/users/", "user ann, roles: readers"),
        ("/tasks/cancel/?job_id=j", "canceled 1"),
    ]


def test_the_audit_log_pages(mill: Any) -> None:
    for number in range(5):
        mill.admin.post(f"/tasks/{number}/cancel/")
    first = mill.admin.get("/audit/?limit=2")
    second = mill.admin.get(first.links["next"]["url"])
    paths = [event["path"] for event in (*first.json(), *second.json())]
    assert paths == [f"/tasks/{number}/cancel/" for number in (4, 3, 2, 1)]
    assert mill.client("operators").get("/audit/").status_code == 403


def test_the_first_start_makes_an_admin_once(queue: Any) -> None:
    password = ensure_admin(queue, None)
    assert password is not None and len(password) >= 12
    assert ensure_admin(queue, "another") is None
    [admin] = queue.store.users()
    assert (admin.name, admin.roles) == ("admin", ("super-users",))


def test_a_given_admin_password_is_not_told(queue: Any) -> None:
    assert ensure_admin(queue, "given") is None
    assert [user.name for user in queue.store.users()] == ["admin"]


def test_a_local_token_is_a_super_users_and_ends_by_itself_or_at_stop(mill: Any) -> None:
    issued = issue_local_token(mill.queue, HOUR)
    assert issued is not None
    local = mill.anonymous(headers={"Authorization": f"Bearer {issued[1]}"})
    assert local.get("/users/").status_code == 200
    renewed = issue_local_token(mill.queue, 2 * HOUR)
    assert renewed is not None
    mill.pass_time(HOUR)
    assert local.get("/users/").status_code == 401
    revoke_token(mill.queue, renewed[0])
    assert mill.anonymous(headers={"Authorization": f"Bearer {renewed[1]}"}).get("/users/").status_code == 401
