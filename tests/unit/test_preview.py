"""What a schedule means is told as it will run."""

from __future__ import annotations

from itertools import islice

import pytest

from headbox.domain.iso8601 import format_instant, parse_instant
from headbox.domain.preview import describe, occurrences_from, upcoming
from headbox.domain.schedulers import parse_schedule

NOON = parse_instant("2026-12-01T12:00:00Z")


def shown(expression: str, count: int) -> list[str]:
    return [format_instant(time) for time in islice(upcoming(parse_schedule(expression), NOON), count)]


@pytest.mark.parametrize(
    ("expression", "times"),
    [
        ("PT1H", ["2026-12-01T12:00:00Z", "2026-12-01T13:00:00Z", "2026-12-01T14:00:00Z"]),
        ("R2/2026-12-01T00:00:00Z/P1D", ["2026-12-02T00:00:00Z", "2026-12-03T00:00:00Z"]),
        ("2026-12-24T18:00:00Z", ["2026-12-24T18:00:00Z"]),
        ("cron: 0 0 1 1 * UTC", ["2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z", "2029-01-01T00:00:00Z"]),
    ],
)
def test_the_next_times_are_those_at_which_it_will_run(expression: str, times: list[str]) -> None:
    assert shown(expression, 3) == times


def test_occurrences_go_on_from_the_one_that_is_given_and_stay_on_the_grid() -> None:
    scheduler = parse_schedule("2026-12-01T00:00:00Z/PT6H")
    times = islice(occurrences_from(scheduler, parse_instant("2026-12-01T12:34:00Z")), 2)
    assert [format_instant(time) for time in times] == ["2026-12-01T12:34:00Z", "2026-12-01T18:00:00Z"]


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("PT1.5S", "every 1 s 500 ms"),
        ("2026-12-01T00:00:00Z/PT6H", "every 6 h"),
        ("P1DT30M", "every 1 d 30 min"),
        ("cron: 30 2 * * 1-5 Europe/Paris", "At 02:30 on Monday through Friday, Europe/Paris"),
        ("2026-12-24T18:00:00Z", "at 2026-12-24T18:00:00Z"),
    ],
)
def test_a_schedule_is_told_in_words(expression: str, words: str) -> None:
    assert describe(parse_schedule(expression)) == words
