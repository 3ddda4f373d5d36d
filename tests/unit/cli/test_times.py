"""Times as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from headbox.cli.times import local_now, relative, show_both, show_span, show_time

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=timezone(timedelta(hours=1)))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (None, ""),
        ("2026-11-24T11:00:00.999999Z", "now"),
        ("2026-11-24T11:00:01Z", "in 1 s"),
        ("2026-11-24T10:58:01Z", "119 s ago"),
        ("2026-11-24T11:03:00Z", "in 3 min"),
        ("2026-11-24T08:59:59Z", "2 h ago"),
        ("2026-11-26T11:00:00Z", "in 2 d"),
        ("2027-01-22T23:30:00Z", "in 59 d"),
        ("2027-01-23T23:30:00Z", "24 Jan 2027"),
        ("1999-12-31T23:30:00Z", "01 Jan 2000"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
        ("2026-11-24T11:00:00", "2026-11-24T11:00:00"),
        ("not a time", "not a time"),
    ],
)
def test_times_are_said_by_how_far_they_are_or_by_their_date(text: str | None, shown: str) -> None:
    assert show_time(text, NOW) == shown


def test_utc_shows_the_time_as_it_is() -> None:
    assert show_time("2026-11-24T13:05:09.000001Z", NOW, utc=True) == "2026-11-24T13:05:09.000001Z"
    assert show_both("2026-11-24T13:05:09.000001Z", NOW, utc=True) == "2026-11-24T13:05:09.000001Z"


def test_alone_a_time_is_exact_as_well_on_the_local_clock() -> None:
    assert show_both("2026-11-24T13:05:09Z", NOW) == "Tue 24 Nov 2026 14:05:09 (in 2 h)"
    assert show_both("2019-11-24T13:05:09Z", NOW) == "Sun 24 Nov 2019 14:05:09 (2556 d ago)"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.9, "now"),
        (-0.9, "now"),
        (172799, "in 47 h"),
        (-7199, "119 min ago"),
    ],
)
def test_the_largest_unit_of_which_there_are_two_says_it(seconds: float, shown: str) -> None:
    assert relative(seconds) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-3, "0 ms"),
        (0, "0 ms"),
        (0.0004, "< 1 ms"),
        (0.0125, "12 ms"),
        (0.9999, "1.0 s"),
        (2.54, "2.5 s"),
        (59, "59 s"),
        (60, "1 min"),
        (185, "3 min 5 s"),
        (7200, "2 h"),
        (7800, "2 h 10 min"),
        (90000, "1 d 1 h"),
    ],
)
def test_spans_are_said_as_people_say_them(seconds: float, shown: str) -> None:
    assert show_span(seconds) == shown


def test_now_has_a_zone() -> None:
    assert abs((local_now() - datetime.now(UTC)).total_seconds()) < 60
