from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from headbox.config import Settings
from headbox.domain.errors import StorageError
from headbox.task_queue.queue import TaskQueue
from headbox.web import asgi_app, waiting
from headbox.web.app import build
from headbox.web.ui import live
from headbox.web.ui.assets import Assets
from tests.acceptance.ui.conftest import Person

if TYPE_CHECKING:
    from tests.acceptance.http.conftest import Mill

    People = Callable[..., Person]

ADDRESS = re.compile(r'(?:href|src|action|sse-connect)="([^"]*)"')


def test_the_root_leads_to_the_dashboard(fresh: Mill) -> None:
    for path in ("/", "/ui"):
        answer = fresh.anonymous().get(path)
        assert answer.status_code == 307 and answer.headers["location"] == "/ui/"


def test_pages_allow_nothing_inline_and_nothing_from_elsewhere(person: People) -> None:
    insider, outsider = person("super-users"), person(is_in=False)
    for somebody, path in ((outsider, "/ui/login/"), (insider, "/ui/workers/"), (insider, "/ui/nowhere/")):
        answer = somebody.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
        assert "frame-ancestors 'none'" in policy and "base-uri 'none'" in policy and "form-action 'self'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
        assert not re.search(r"\son\w+=|\sstyle=|<style|javascript:|<script(?! src=)", answer.text)


def test_what_pages_load_is_kept_for_good_under_an_address_that_names_its_content(person: People) -> None:
    somebody = person("super-users")
    page = somebody.get("/ui/workers/").text
    loaded = [address for address in ADDRESS.findall(page) if "/static/" in address]
    assert len(loaded) >= 6
    for address in loaded:
        answer = somebody.client.get(address, headers={"accept-encoding": "gzip"})
        assert answer.status_code == 200 and "immutable" in answer.headers["cache-control"], address
        assert len(answer.headers.get_list("cache-control")) == 1
        plain = somebody.client.get(address, headers={"accept-encoding": "identity"})
        assert "content-encoding" not in plain.headers and plain.content == answer.content
    old = re.sub(r"\.[0-9a-f]{16}\.", ".0123456789abcdef.", loaded[0])
    assert somebody.client.get(old).status_code == 404
    assert somebody.client.get("/ui/static/../../../pyproject.toml").status_code == 404
    assert somebody.client.get("/ui/static/%2e%2e/templates/docs.html").status_code == 404


def test_pictures_in_style_sheets_are_found(fresh: Mill) -> None:
    style = Assets().address("headbox.css")
    text = fresh.anonymous().get(style).text
    names = re.findall(r'url\("([^"]+)"\)', text)
    assert names
    for name in names:
        assert fresh.anonymous().get(f"/ui/static/{name}").status_code == 200


def test_compressed_files_say_so_and_are_what_they_were() -> None:
    assets = Assets()
    for asset in assets._by_name.values():
        assert gzip.decompress(asset.compressed) == asset.content


def test_errors_are_pages_here_and_problem_documents_elsewhere(person: People, fresh: Mill) -> None:
    somebody = person("readers")
    for path, status in (("/ui/nowhere/", 404), ("/ui/workers/?nonsense=1", 400), ("/ui/workers/%ff", 400)):
        answer = somebody.get(path)
        assert answer.status_code == status, path
        assert answer.headers["content-type"].startswith("text/html") and f"<small>{status}</small>" in answer.text
    wrong_method = somebody.client.put("/ui/workers/")
    assert wrong_method.status_code == 405 and wrong_method.headers["allow"] == "GET, HEAD"
    assert wrong_method.headers["content-type"].startswith("text/html")
    elsewhere = fresh.anonymous(headers={"Host": "evil.example"}).get("/ui/")
    assert elsewhere.status_code == 421 and elsewhere.headers["content-type"].startswith("text/html")
    assert fresh.anonymous().get("/nowhere/").headers["content-type"] == "application/problem+json"


def test_a_database_that_is_away_is_a_page_that_tries_again(
    person: People, fresh: Mill, monkeypatch: pytest.MonkeyPatch
) -> None:
    somebody = person("readers")

    def fail(*_: Any) -> None:
        raise StorageError("it is gone")

    monkeypatch.setattr(fresh.store, "session", fail)
    answer = somebody.get("/ui/workers/")
    assert answer.status_code == 503 and answer.headers["retry-after"]
    assert "it is gone" in answer.text and '<meta http-equiv="refresh" content="5">' in answer.text


def test_what_a_problem_quotes_is_text(person: People) -> None:
    somebody = person("readers")
    page = somebody.get("/ui/workers/?<script>alert(1)</script>=1").text
    assert "<script>alert" not in page and "&lt;script&gt;alert" in page


def test_who_lacks_a_right_sees_no_way_there_and_a_403_when_it_goes_all_the_same(person: People) -> None:
    nobody, reader = person(), person("readers")
    assert ">Workers</a>" not in nobody.get("/ui/account/").text
    assert ">Workers</a>" in reader.get("/ui/account/").text
    refused = nobody.get("/ui/workers/")
    assert refused.status_code == 403 and "permission READ" in refused.text


@pytest.mark.parametrize("prefix", ["/", "/pulp/api"])
def test_every_address_of_a_page_is_under_the_prefix(
    person: People, serve: Callable[..., str], prefix: str, fresh: Mill
) -> None:
    url = serve(prefix=prefix).rstrip("/")
    root = "" if prefix == "/" else prefix
    somebody = person("super-users", url=url.removesuffix(root), is_in=False)
    start = somebody.client.get(f"{root}/ui/workers/")
    assert start.headers["location"].startswith(f"{root}/ui/login/?next=%2Fui%2Fworkers%2F")
    page = somebody.get(start.headers["location"])
    assert all(address.startswith(f"{root}/") for address in ADDRESS.findall(page.text) if not address.startswith("#"))
    fields = {"name": somebody.name, "password": somebody.password, "next": "/ui/workers/"}
    there = somebody.post(f"{root}/ui/login/", fields)
    assert there.headers["location"] == f"{root}/ui/workers/"
    assert all(f"; Path={root}/;" in cookie for cookie in there.headers.get_list("set-cookie"))
    page = somebody.get(f"{root}/ui/workers/")
    assert page.status_code == 200 and f'sse-connect="{root}/ui/workers/"' in page.text
    for address in ADDRESS.findall(page.text):
        assert address.startswith((f"{root}/", "#"))
        if "/static/" in address:
            assert somebody.client.get(address).status_code == 200
    if root:
        assert somebody.client.get("/ui/").status_code == 404


def test_a_mounted_dashboard_works_under_its_mount(person: People, queue: TaskQueue, stage: Any, fresh: Mill) -> None:
    app = asgi_app(queue)
    stage[0].app = Starlette(routes=[Mount("/inner place", app)])
    somebody = person("readers", url=stage[1], is_in=False)
    page = somebody.get("/inner%20place/ui/login/")
    assert page.status_code == 200 and 'action="/inner%20place/ui/login/"' in page.text
    there = somebody.post("/inner%20place/ui/login/", {"name": somebody.name, "password": somebody.password})
    assert there.status_code == 303 and there.headers["location"] == "/inner%20place/ui/"
    workers = somebody.get("/inner%20place/ui/workers/")
    assert workers.status_code == 200 and 'aria-current="page"' in workers.text
    assert somebody.get("/inner%20place/ui/nowhere/").headers["content-type"].startswith("text/html")
    app.service.close()  # type: ignore[attr-defined]


def test_an_installation_without_what_pages_load_says_so(
    tmp_path: Path, person: People, queue: TaskQueue, stage: Any, fresh: Mill
) -> None:
    somebody = person("readers")
    stage[0].app = build(queue, Settings(), assets=Assets(tmp_path))
    for path in ("/ui/account/", "/ui/workers/", "/ui/nowhere/"):
        answer = somebody.get(path)
        assert answer.headers["content-type"].startswith("text/html")
        assert answer.status_code == 503 and "install Headbox from a released wheel" in answer.text
    assert fresh.admin.get("/tasks/").status_code == 200
    stage[0].app.service.close()


def test_a_page_is_sent_its_parts_anew_as_they_change(person: People, fresh: Mill) -> None:
    somebody = person("readers")
    with somebody.client.stream("GET", "/ui/workers/", headers={"Accept": "text/event-stream"}) as response:
        assert response.headers["content-type"] == "text/event-stream"
        lines = response.iter_lines()
        seen: dict[str, str] = {}
        name = ""
        is_published = False
        for line in lines:
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
                seen[name] = ""
            elif line.startswith("data: "):
                seen[name] += line.removeprefix("data: ")
            elif not line and "No worker is here." in seen.get("workers", "") and not is_published:
                fresh.publish()
                is_published = True
            elif not line and "worker-a" in seen.get("workers", ""):
                break
        assert "1 worker on 1 host" in seen["summary"] and seen["trouble"] == ""
        assert "form_token" not in json.dumps(seen)
        fresh.publish(worker="b")
        with somebody.client.stream("GET", "/ui/workers/", headers={"Accept": "text/event-stream"}) as another:
            first = next(line for line in another.iter_lines() if " on 1 host" in line)
        assert "2 workers on 1 host" in first  # not what was rendered before, for the stream that is still there


def test_a_user_with_too_many_streams_is_told_so(person: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "PER_USER", 1)
    somebody = person("readers")
    with somebody.client.stream("GET", "/ui/workers/", headers={"Accept": "text/event-stream"}) as first:
        lines = first.iter_lines()  # which ends the stream where nobody holds it
        next(line for line in lines if line.startswith("event: workers"))
        with somebody.client.stream("GET", "/ui/", headers={"Accept": "text/event-stream"}) as second:
            assert "event: trouble" in second.read().decode()


def test_rights_that_are_lost_end_a_stream(person: People, fresh: Mill, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "RECHECK", 0.0)
    somebody = person("readers", name="ann")
    with somebody.client.stream("GET", "/ui/workers/", headers={"Accept": "text/event-stream"}) as response:
        lines = response.iter_lines()
        next(line for line in lines if line.startswith("event: workers"))
        fresh.store.change_user("ann", roles=())
        assert "event: signed-out" in list(lines)


def test_what_cannot_be_shown_for_now_is_said_on_the_stream(
    person: People, fresh: Mill, monkeypatch: pytest.MonkeyPatch
) -> None:
    somebody = person("readers")

    def fail() -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr(fresh.store, "loads", fail)
    with somebody.client.stream("GET", "/ui/workers/", headers={"Accept": "text/event-stream"}) as response:
        lines = response.iter_lines()
        assert "the disk is full" in next(line for line in lines if line.startswith("data: "))
        monkeypatch.undo()
        fresh.publish()
        assert next(line for line in lines if line.startswith("event: workers"))


def test_who_is_logged_out_hears_so_on_a_stream(person: People) -> None:
    somebody = person("readers")
    somebody.client.cookies.clear()
    answer = somebody.client.get("/ui/workers/", headers={"Accept": "text/event-stream"})
    assert answer.status_code == 200 and answer.text == "event: signed-out\ndata: \n\n"
