"""Values come back as they went in, types included; what is not plain is signed; what is shown hides secrets."""

from __future__ import annotations

import enum
import json
import math
import pickle
import threading
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headbox.domain.errors import PayloadRefused
from headbox.domain.snapshot import PICKLE_MARK
from headbox.storage.payload import MAX_PAYLOAD, Payloads, pickled

KEY, OLD_KEY = b"k" * 32, b"o" * 32
BOUND: dict[str, Any] = {"task_id": "t-1", "field": "args", "callable": "m:f"}

Point = namedtuple("Point", "x y")


class Colour(enum.IntEnum):
    RED = 1


class Name(enum.StrEnum):
    A = "a"


class Text(str):
    __slots__ = ()


@dataclass
class Login:
    user: str
    password: str


class Explosive:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class Surrogate:
    def __repr__(self) -> str:
        return "\ud800"


@pytest.fixture
def payloads() -> Payloads:
    return Payloads((KEY,))


def round_trip(payloads: Payloads, value: Any) -> tuple[bytes, Any]:
    stored = payloads.encode(value, **BOUND)
    assert stored is not None
    return stored, payloads.decode(stored, **BOUND, empty=[])


PLAIN = [
    ["fedora-41"], [1, 2.5, True, None, "é", "\x00", {"a": [{}]}], [-0.0], [2**70], [10**600], [-(2**63) - 1], [1e308],
    [1.0], {"b": 1, "a": 2}, [[]], "", 0, False, [""],
]  # fmt: skip

NOT_PLAIN = [
    [(1, 2)], [{1}], [datetime(2026, 1, 1, tzinfo=UTC)], [{1: "a"}], [math.inf], [Colour.RED], [Name.A],
    [Text("x")], [b"x"], [bytearray(b"x")], [Decimal("1")], [OrderedDict(a=1)], [Login("a", "b")], [Point(1, 2)],
    ["\ud800"], [1j], {"a": {None: 1}}, (), [frozenset()],
]  # fmt: skip


@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_a_plain_value_is_stored_as_its_json_and_comes_back_equal(payloads: Payloads, value: Any) -> None:
    stored, back = round_trip(payloads, value)
    assert json.loads(stored) == value
    assert repr(back) == repr(value)


@pytest.mark.parametrize("value", NOT_PLAIN, ids=lambda value: ascii(value)[:60])
def test_any_other_value_is_stored_as_a_signed_pickle_and_comes_back_with_its_types(
    payloads: Payloads, value: Any
) -> None:
    stored, back = round_trip(payloads, value)
    assert stored.startswith(PICKLE_MARK)
    assert back == value
    assert type(back) is type(value)
    assert repr(back) == repr(value)


def test_not_a_number_comes_back_as_not_a_number(payloads: Payloads) -> None:
    _, back = round_trip(payloads, [math.nan])
    assert math.isnan(back[0])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.tuples(st.integers()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner, inner),
    max_leaves=12,
)


@given(json_values)
def test_whatever_the_value_it_comes_back_the_same(value: Any) -> None:
    payloads = Payloads((KEY,))
    stored = payloads.encode(value, **BOUND)
    back = payloads.decode(stored, **BOUND, empty=[])
    assert repr(back) == repr(value)
    json.loads(payloads.public(value))


def test_the_empty_value_of_a_field_is_stored_as_nothing(payloads: Payloads) -> None:
    for field, empty in (("args", []), ("kwargs", {}), ("result", None)):
        assert payloads.encode(empty, task_id="t", field=field, callable="f") is None
        assert payloads.decode(None, task_id="t", field=field, callable="f", empty=empty) == empty


def test_an_empty_list_is_not_mistaken_for_no_result(payloads: Payloads) -> None:
    stored, public, warning = payloads.encode_result([], task_id="t", field="result", callable="f")
    assert (stored, public, warning) == (b"[]", None, None)


@pytest.mark.parametrize("change", [{"task_id": "t-2"}, {"field": "kwargs"}, {"callable": "m:g"}])
def test_a_pickle_moved_to_another_place_is_refused(payloads: Payloads, change: dict[str, str]) -> None:
    stored = payloads.encode([(1,)], **BOUND)
    with pytest.raises(PayloadRefused, match="signature"):
        payloads.decode(stored, **(BOUND | change), empty=[])


def test_a_tampered_pickle_is_refused_before_it_is_loaded(payloads: Payloads) -> None:
    stored = payloads.encode([(1,)], **BOUND)
    assert stored is not None
    evil = pickle.dumps(Bomb())
    with pytest.raises(PayloadRefused, match="signature"):
        payloads.decode(stored[:36] + evil, **BOUND, empty=[])
    with pytest.raises(PayloadRefused, match="signature"):
        payloads.decode(PICKLE_MARK, **BOUND, empty=[])
    assert not Bomb.went_off


class Bomb:
    went_off = False

    def __reduce__(self) -> Any:
        return setattr, (Bomb, "went_off", True)


def test_the_first_key_signs_and_all_verify() -> None:
    stored = Payloads((OLD_KEY,)).encode([(1,)], **BOUND)
    rotated = Payloads((KEY, OLD_KEY))
    assert rotated.decode(stored, **BOUND, empty=[]) == [(1,)]
    with pytest.raises(PayloadRefused, match="signature"):
        Payloads((KEY,)).decode(stored, **BOUND, empty=[])
    assert Payloads((KEY,)).decode(rotated.encode([(2,)], **BOUND), **BOUND, empty=[]) == [(2,)]


def test_without_a_key_a_pickle_is_refused_with_what_to_set_and_plain_values_pass() -> None:
    keyless = Payloads(())
    assert keyless.encode([1], **BOUND) == b"[1]"
    with pytest.raises(PayloadRefused, match="HEADBOX_SECRET_KEYS"):
        keyless.encode([(1,)], **BOUND)


def test_a_payload_over_the_limit_is_refused_with_both_sizes(payloads: Payloads) -> None:
    payloads.encode(["x" * (MAX_PAYLOAD - 4)], **BOUND)
    with pytest.raises(PayloadRefused, match=r"1,048,577 bytes and at most 1,048,576"):
        payloads.encode(["x" * (MAX_PAYLOAD - 3)], **BOUND)


def test_what_cannot_be_pickled_is_refused_in_one_sentence(payloads: Payloads) -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for value in (threading.Lock(), lambda: 1, deep):
        with pytest.raises(PayloadRefused, match="cannot be stored"):
            payloads.encode([value], **BOUND)


def test_damaged_json_is_refused_in_one_sentence(payloads: Payloads) -> None:
    for stored in (b"[1,", b"\xff", b""):
        with pytest.raises(PayloadRefused, match="damaged"):
            payloads.decode(stored, **BOUND, empty=[])


def test_a_result_that_cannot_be_stored_becomes_its_repr_with_a_warning(payloads: Payloads) -> None:
    lock = threading.Lock()
    stored, _, warning = payloads.encode_result(lock, task_id="t", field="result", callable="f")
    assert stored is not None and json.loads(stored) == repr(lock)
    assert warning is not None and "cannot be stored" in warning
    stored, _, warning = payloads.encode_result("x" * 2 * MAX_PAYLOAD, task_id="t", field="result", callable="f")
    assert stored is not None and json.loads(stored).startswith("'xxx")
    assert warning is not None and "1,048,576" in warning


def test_plain_arguments_need_no_public_copy_unless_something_is_secret(payloads: Payloads) -> None:
    def beside(value: Any, names: tuple[str, ...] = ()) -> Any:
        return payloads.public_beside(payloads.encode(value, **BOUND), value, names)

    assert beside(["a", {"monkey": 1}], ("repo", "options")) is None
    assert json.loads(beside(["a", "s3cret"], ("user", "api_key"))) == ["a", "********"]
    assert json.loads(beside({"feed": {"accessToken": "x", "name": "y"}})) == {
        "feed": {"accessToken": "********", "name": "y"}
    }
    assert json.loads(beside([(1, 2)])) == ["(1, 2)"]


@pytest.mark.parametrize(
    "name",
    ["password", "db_password", "PASSWORD", "apiKey", "api-key", "X-Auth-Token", "APIKey", "secret2", "_token"],
)  # fmt: skip
def test_a_name_with_a_telling_part_is_sensitive(payloads: Payloads, name: str) -> None:
    assert payloads.is_sensitive(name)


@pytest.mark.parametrize("name", ["monkey", "keyboard", "tokenizer", "author", "", "passenger", "compass_word"])
def test_a_name_that_merely_contains_the_letters_is_not(payloads: Payloads, name: str) -> None:
    assert not payloads.is_sensitive(name)


def test_the_list_of_telling_parts_can_be_given() -> None:
    public = Payloads((), redact=("Pin",)).public({"pin": 1, "password": 2})
    assert json.loads(public) == {"pin": "********", "password": 2}


def test_secrets_inside_of_objects_are_masked_in_their_repr(payloads: Payloads) -> None:
    shown = payloads.public(
        [Login("ann", "hunter2"), ({"token": "hunter2"},), {1: {"api_key": ["hunter2", "hunter2"]}}, Point(1, 2)]
    )
    assert "hunter2" not in shown
    assert json.loads(shown)[0] == "Login(user='ann', password=********)"
    assert json.loads(shown)[3] == "Point(x=1, y=2)"


def test_a_repr_is_shortened_to_200_characters(payloads: Payloads) -> None:
    (shown,) = json.loads(payloads.public([("x" * 500,)]))
    assert len(shown) == 200
    assert shown.endswith("…")


def test_a_repr_that_raises_or_cannot_be_encoded_breaks_nothing(payloads: Payloads) -> None:
    assert payloads.encode([Explosive()], **BOUND)
    assert json.loads(payloads.public([Explosive(), Surrogate(), "\ud800"])) == [
        "<Explosive whose repr fails>", "\\ud800", "'\\ud800'",
    ]  # fmt: skip


def test_what_is_shown_is_bounded_in_depth_and_size(payloads: Payloads) -> None:
    cyclic: list[Any] = [1]
    cyclic.append(cyclic)
    assert json.loads(payloads.public(cyclic)) == [1, "[1, [...]]"]
    deep: Any = "bottom"
    for _ in range(60):
        deep = [deep]
    assert payloads.public(deep).count("[") < 80
    assert payloads.public_beside(payloads.encode(deep, **BOUND), deep) is not None
    assert len(payloads.public([(number,) for number in range(200_000)])) < MAX_PAYLOAD


def test_a_stored_payload_is_given_as_a_pickle_without_unpickling(payloads: Payloads) -> None:
    assert pickle.loads(pickled(None, {}).encode("latin-1")) == {}
    assert pickle.loads(pickled(b'["a"]', []).encode("latin-1")) == ["a"]
    stored = payloads.encode([Bomb()], **BOUND)
    assert pickled(stored, []).encode("latin-1") == stored[36:]  # type: ignore[index]
    assert not Bomb.went_off
