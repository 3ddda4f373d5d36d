"""Hosts and origins."""

from __future__ import annotations

from typing import Any

import pytest

from headbox.web.origin import Hosts, check_same_origin, split_authority
from headbox.web.problems import Problem


def scope(*headers: tuple[str, str], server: Any = ("127.0.0.1", 8000)) -> dict[str, Any]:
    return {"headers": [(name.encode(), value.encode()) for name, value in headers], "server": server}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("localhost", ("localhost", None)), ("Example.ORG:80", ("example.org", "80")), ("[::1]:8000", ("::1", "8000")),
        ("::1", None), ("", None), ("a b", None), ("a:b", None), ("a:", None), ("a/b", None), ("[a", None),
    ],
)  # fmt: skip
def test_an_authority_is_a_host_and_perhaps_a_port(text: str, parts: Any) -> None:
    assert split_authority(text) == parts


@pytest.mark.parametrize(
    ("names", "host", "is_known"),
    [
        ((), "localhost", True), ((), "[::1]", True), ((), "example.org", False),
        (("example.org",), "EXAMPLE.org:443", True), (("example.org",), "a.example.org", False),
        (("*.example.org",), "a.b.example.org", True), (("*.example.org",), "example.org", False),
        (("*.example.org",), "badexample.org", False), (("*",), "anything", True),
    ],
)  # fmt: skip
def test_hosts_are_loopback_names_and_those_given(names: Any, host: str, is_known: bool) -> None:
    if is_known:
        Hosts(names).check(scope(("host", host)))
    else:
        with pytest.raises(Problem) as raised:
            Hosts(names).check(scope(("host", host)))
        assert raised.value.status == 421


def test_the_address_that_a_call_came_to_is_known_too() -> None:
    Hosts(("0.0.0.0",)).check(scope(("host", "10.0.0.5:8000"), server=("10.0.0.5", 8000)))
    with pytest.raises(Problem):
        Hosts(("0.0.0.0",)).check(scope(("host", "10.0.0.6:8000"), server=("10.0.0.5", 8000)))


def test_default_ports_are_the_same_origin() -> None:
    check_same_origin(scope(("host", "example.org"), ("origin", "http://example.org:80")))
    check_same_origin(scope(("host", "example.org:443"), ("origin", "https://example.org")))
    with pytest.raises(Problem):
        check_same_origin(scope(("host", "example.org"), ("origin", "http://example.org:8080")))
