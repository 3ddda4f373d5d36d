from __future__ import annotations

from datetime import UTC, datetime

import pytest

from headbox.domain.errors import InvalidSchedule
from headbox.domain.iso8601 import MAX_INSTANT, MIN_INSTANT
from headbox.domain.schedulers import format_duration, format_instant, parse_duration, parse_instant
from headbox.domain.task import DAY, HOUR, MINUTE, SECOND

SIX_O_CLOCK = 1_325_743_200 * SECOND  # 2012-01-05T06:00:00Z, as in the document's sample


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("90", 90 * SECOND),
        ("1.5", 1_500_000),
        ("0", 0),
        ("PT30M", 30 * MINUTE),
        ("pt30m", 30 * MINUTE),
        ("P1D", DAY),
        ("P1W", 7 * DAY),
        ("PT0.25S", 250_000),
        ("PT0,25S", 250_000),
        ("PT0.000001S", 1),
        ("P1DT2H", DAY + 2 * HOUR),
        ("P1W1DT1H1M1S", 8 * DAY + HOUR + MINUTE + SECOND),
        ("PT1.5H", 90 * MINUTE),
        ("P36525D", 36_525 * DAY),
    ],
)
def test_a_duration_is_seconds_or_iso_8601(text: str, span: int) -> None:
    assert parse_duration(text) == span


@pytest.mark.parametrize(
    "text",
    ["", " ", "P", "PT", "P1DT", "-PT5M", "PT-5M", "5M", "PT5", "1e9", "nan", "inf", "0x10", "1_000", "PT1M1H", "P1S",
     "٣", "PT٣S", "PT30ſ", "PT5M\0", "1" * 30, "PT" + "9" * 70 + "S", "P36526D", "9" * 20, "P1H"],
)  # fmt: skip
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidSchedule, match=r"such as .*P\w+"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["P1M", "P1Y", "P1Y2M3DT4H", "P0.5M"])
def test_months_and_years_have_no_fixed_length_and_lead_to_cron(text: str) -> None:
    with pytest.raises(InvalidSchedule, match=r"no fixed length.*cron"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (0, "PT0S"),
        (1, "PT0.000001S"),
        (250_000, "PT0.25S"),
        (90 * SECOND, "PT1M30S"),
        (10 * SECOND, "PT10S"),
        (30 * MINUTE, "PT30M"),
        (DAY, "P1D"),
        (26 * HOUR, "P1DT2H"),
        (DAY + 500_000, "P1DT0.5S"),
    ],
)
def test_a_duration_is_written_in_days_hours_minutes_and_seconds(span: int, text: str) -> None:
    assert format_duration(span) == text


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2012-01-05T06:00:00Z", SIX_O_CLOCK),
        ("2012-01-05t06:00:00z", SIX_O_CLOCK),
        ("2012-01-05 06:00:00Z", SIX_O_CLOCK),
        ("2012-01-05T06:00Z", SIX_O_CLOCK),
        ("20120105T060000Z", SIX_O_CLOCK),
        ("2012-01-05T07:30:00+01:30", SIX_O_CLOCK),
        ("2012-01-05T01:00:00-0500", SIX_O_CLOCK),
        ("2012-01-05T07:00:00+01", SIX_O_CLOCK),
        ("2012-01-05T06:00:00.25Z", SIX_O_CLOCK + 250_000),
        ("2012-01-05T06:00:00,250000Z", SIX_O_CLOCK + 250_000),
        ("1969-12-31T23:59:59Z", -SECOND),
        ("0001-01-01T00:00:00Z", MIN_INSTANT),
        ("9999-12-31T23:59:59.999999Z", MAX_INSTANT),
    ],
)
def test_an_instant_is_iso_8601_with_an_offset(text: str, instant: int) -> None:
    assert parse_instant(text) == instant


@pytest.mark.parametrize("text", ["2012-01-05T06:00:00", "20120105T060000", "2012-01-05T06:00"])
def test_an_instant_without_an_offset_is_refused(text: str) -> None:
    with pytest.raises(InvalidSchedule, match="no time zone; add Z"):
        parse_instant(text)


@pytest.mark.parametrize(
    "text",
    ["", "now", "2012-01-05", "2012-W01-1T00:00Z", "2012-02-30T00:00:00Z", "2012-01-05T24:00:00Z",
     "2012-01-05T23:59:60Z", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00",
     "10000-01-01T00:00:00Z", "٢012-01-05T06:00:00Z", "2012-01-05🎉06:00:00Z", "2012-01-05T06:00:00+25:00",
     "2012-01-05T06:00:00Z" + "0" * 80, "1325743200", "2012-01-05T06:00:00Z\0"],
)  # fmt: skip
def test_what_is_no_instant_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidSchedule, match="such as 2026-12-01T06:00:00Z"):
        parse_instant(text)


def test_an_error_quotes_what_was_typed_but_never_all_of_something_long() -> None:
    with pytest.raises(InvalidSchedule) as refused:
        parse_instant("x" * 1_000_000)
    assert "'xxx" in str(refused.value) and len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (SIX_O_CLOCK, "2012-01-05T06:00:00Z"),
        (SIX_O_CLOCK + 250_000, "2012-01-05T06:00:00.250000Z"),
        (SIX_O_CLOCK + 1, "2012-01-05T06:00:00.000001Z"),
        (0, "1970-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
        (MIN_INSTANT, "0001-01-01T00:00:00Z"),
        (MAX_INSTANT, "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_an_instant_is_written_with_a_fraction_only_where_it_is_not_zero(instant: int, text: str) -> None:
    assert format_instant(instant) == text


def test_the_sample_of_the_document_is_what_it_says() -> None:
    assert datetime.fromtimestamp(SIX_O_CLOCK / SECOND, UTC) == datetime(2012, 1, 5, 6, tzinfo=UTC)
