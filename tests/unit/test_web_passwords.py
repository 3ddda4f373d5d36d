"""Verifying passwords without blocking, without telling, and without doing the work twice."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from argon2 import extract_parameters

from headbox.web import passwords
from headbox.web.passwords import Passwords, hash_password, impossible_hash, matches
from headbox.web.problems import Problem


@pytest.fixture(scope="module")
def stored() -> str:
    return hash_password("correct horse")


@pytest.fixture
def verifier() -> Iterator[Passwords]:
    verifier = Passwords()
    yield verifier
    verifier.close()


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passwords that were really hashed."""
    seen: list[str] = []
    real = passwords.matches

    def counted(stored_hash: str, password: str) -> bool:
        seen.append(password)
        return real(stored_hash, password)

    monkeypatch.setattr(passwords, "matches", counted)
    return seen


def test_hashes_have_owasps_parameters(stored: str) -> None:
    parameters = extract_parameters(stored)
    assert (parameters.type.name, parameters.memory_cost, parameters.time_cost, parameters.parallelism) == (
        "ID",
        19456,
        2,
        1,
    )
    assert hash_password("correct horse") != stored


def test_only_the_right_password_matches(stored: str) -> None:
    assert matches(stored, "correct horse")
    assert not matches(stored, "correct horse ")
    assert not matches("-", "correct horse")
    assert not matches("", "")


def test_what_an_unknown_user_is_compared_with_costs_the_same_and_matches_nothing() -> None:
    assert extract_parameters(impossible_hash()) == extract_parameters(hash_password("x"))
    assert not matches(impossible_hash(), "")


def test_a_right_password_is_hashed_once_however_often_it_comes(
    stored: str, verifier: Passwords, looked_at: list[str]
) -> None:
    async def come_often() -> list[bool]:
        return await asyncio.gather(*(verifier.verify(stored, "correct horse") for _ in range(20)))

    assert asyncio.run(come_often()) == [True] * 20
    assert looked_at == ["correct horse"]
    assert verifier.remembers(stored, "correct horse")
    assert not verifier.remembers(stored, "wrong")


def test_a_new_hash_of_the_same_password_is_looked_at_again(stored: str, verifier: Passwords) -> None:
    asyncio.run(verifier.verify(stored, "correct horse"))
    assert not verifier.remembers(hash_password("correct horse"), "correct horse")


def test_an_unknown_user_is_looked_at_like_any_other(verifier: Passwords, looked_at: list[str]) -> None:
    assert asyncio.run(verifier.verify(None, "guess")) is False
    assert looked_at == ["guess"]
    assert not verifier.remembers(None, "guess")


def test_too_many_at_once_are_turned_away(stored: str, verifier: Passwords, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "WAITING", 2)

    async def guess() -> list[Any]:
        guesses = (verifier.verify(stored, str(number)) for number in range(5))
        return await asyncio.gather(*guesses, return_exceptions=True)

    found = asyncio.run(guess())
    refused = [each.status for each in found if isinstance(each, Problem)]
    assert refused == [503] * 3
    assert [each for each in found if not isinstance(each, Problem)] == [False, False]
