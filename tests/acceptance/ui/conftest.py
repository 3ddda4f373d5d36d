"""A person with a browser that keeps cookies and sends forms, before the real server of the HTTP tests."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from headbox.storage.records import User
from tests.acceptance.http.conftest import (  # noqa: F401 - fixtures
    Mill,
    clock,
    fresh,
    mill,
    password,
    password_hash,
    queue,
    serve,
    sqlite_database,
    stage,
)

TOKEN = re.compile(r'name="form_token" value="([^"]*)"')


class Person:
    """Follows no redirect by itself, so that a test sees each."""

    def __init__(self, url: str, name: str, password: str) -> None:  # noqa: F811
        self.name = name
        self.password = password
        self.client = httpx.Client(base_url=url, timeout=30, verify=False, trust_env=False)
        self.token = ""

    def get(self, path: str, **headers: str) -> httpx.Response:
        response = self.client.get(path, headers=headers)
        found = TOKEN.search(response.text)
        self.token = unescape(found[1]) if found else self.token
        return response

    def post(self, path: str, fields: dict[str, Any] | None = None, **headers: str) -> httpx.Response:
        """Sends a form with the token of the page that was seen last."""
        form = {"form_token": self.token} | (fields or {})
        return self.client.post(path, data=form, headers=headers)

    def log_in(self, path: str = "/ui/login/") -> Person:
        self.get(path)
        response = self.post("/ui/login/", {"name": self.name, "password": self.password})
        assert response.status_code == 303, response.text
        self.get("/ui/account/")
        return self


@pytest.fixture
def database(tmp_path: Path) -> Iterator[str]:
    """One kind is enough: pages stand on verbs that the conformance suite runs on each."""
    with sqlite_database(tmp_path) as url:
        yield url


@pytest.fixture
def person(fresh: Mill, password: str, password_hash: str) -> Iterator[Callable[..., Person]]:  # noqa: F811
    """Makes a person with those roles, logged in unless it is told otherwise."""
    people: list[Person] = []

    def make(*roles: str, name: str = "", is_in: bool = True, url: str | None = None) -> Person:
        name = name or f"person-{len(people)}"
        user = User(name=name, password_hash=password_hash, roles=roles, create_time=fresh.clock.time)
        fresh.store.create_user(user)
        somebody = Person(url or fresh.url, name, password)
        people.append(somebody)
        return somebody.log_in() if is_in else somebody

    yield make
    for each in people:
        each.client.close()
