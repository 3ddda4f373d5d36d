from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from headbox.domain.errors import InvalidSchedule
from headbox.domain.schedulers import (
    AtScheduler,
    CronScheduler,
    ImmediateScheduler,
    IntervalScheduler,
    Occurrence,
    Scheduler,
    format_instant,
    parse_instant,
    parse_schedule,
)
from headbox.domain.task import DAY, HOUR, MINUTE, SECOND, Instant

NOON = parse_instant("2026-12-01T12:00:00Z")
NOON_TIME = datetime(2026, 12, 1, 12, tzinfo=UTC)
ALL: list[Scheduler] = [
    ImmediateScheduler(),
    AtScheduler(NOON_TIME),
    IntervalScheduler(300, NOON_TIME, 5),
    CronScheduler("30 2 * * *", "Europe/Paris"),
]


@pytest.mark.parametrize(
    ("text", "scheduler"),
    [
        ("R5/2026-12-01T12:00:00Z/PT5M", IntervalScheduler(300, NOON_TIME, 5)),
        ("R/2026-12-01T12:00:00Z/PT5M", IntervalScheduler(300, NOON_TIME)),
        ("2026-12-01T12:00:00Z/P1D", IntervalScheduler(timedelta(days=1), NOON_TIME)),
        ("2026-12-01T13:00:00+01:00/p1w", IntervalScheduler(timedelta(days=7), NOON_TIME)),
        ("PT30S", IntervalScheduler(30)),
        (" PT30S\n", IntervalScheduler(30)),
        ("R3/PT30S", IntervalScheduler(30, runs=3)),
        ("R/PT1.5S", IntervalScheduler(1.5)),
        ("2026-12-01T12:00:00Z", AtScheduler(NOON_TIME)),
        ("cron: 30 2 * * * Europe/Paris", CronScheduler("30 2 * * *", "Europe/Paris")),
        ("cron:30 2 * * *", CronScheduler("30 2 * * *")),
        ("cron: 0  9 * * mon-fri UTC", CronScheduler("0 9 * * MON-FRI")),
    ],
)
def test_a_schedule_is_read_as_pulp_wrote_it(text: str, scheduler: Scheduler) -> None:
    assert parse_schedule(text) == scheduler


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "such as R5/"),
        ("/", "such as 2026"),
        ("R", "such as R5/"),
        ("R/", "such as PT5M"),
        ("R5", "such as R5/"),
        ("R0/PT5M", "from 1"),
        ("R-1/PT5M", "such as R5/"),
        ("R1.5/PT5M", "such as R5/"),
        ("R9999999999/PT5M", "such as R5/"),
        ("R5/R5/PT5M", "such as 2026"),
        ("R5/2026-12-01T00:00:00Z", "such as PT5M"),
        ("R5/2026-12-01T00:00:00Z/PT5M/x", "such as R5/"),
        ("PT5M/2026-12-01T00:00:00Z", "such as 2026"),
        ("2026-12-01T00:00:00/PT5M", "no time zone"),
        ("2026-12-01T00:00:00Z/90", "such as PT5M"),
        ("2026-12-01T00:00:00Z/P1M", "cron"),
        ("P1Y", "cron"),
        ("PT0S", "from 1 second"),
        ("PT0.999999S", "from 1 second"),
        ("P36526D", "36525 days"),
        ("90", "such as 2026"),
        ("2026-12-01", "such as 2026"),
        ("immediate", "such as R5/"),
        ("PT٣S", "such as R5/"),
        ("PT30ſ", "such as R5/"),
        ("x" * 100_000, "such as R5/"),
        ("R5/" * 50, "such as R5/"),
        ("cron:", "such as R5/"),
        ("cron: * * * *", "such as R5/"),
        ("cron: * * * * * *", "such as R5/"),
        ("cron: @daily", "such as R5/"),
        ("cron: 60 * * * *", "bad minute"),
        ("cron: * 24 * * *", "bad hour"),
        ("cron: */0 * * * *", "bad minute"),
        ("cron: 5-1 * * * *", "bad minute"),
        ("cron: 0 0 * * FRI-MONDAY", "bad day-of-week"),
        ("cron: ² * * * *", "such as R5/"),
        ("cron: 0 0 30 2 *", "bad day-of-month"),
        ("cron: 0 0 31 4,6,9,11 *", "bad day-of-month"),
        ("cron: * * * * * Mars/Olympus", "time zone 'Mars/Olympus' is unknown"),
        ("cron: * * * * * Europe", "time zone 'Europe' is unknown"),
        ("cron: * * * * * europe/../../passwd", "is unknown"),
        ("cron: * * * * * localtime", "is unknown"),
        ("cron: " + "1," * 100 + "1 * * * *", "such as R5/"),
    ],
)
def test_what_is_no_schedule_is_refused_in_one_sentence_with_an_example(text: str, says: str) -> None:
    with pytest.raises(InvalidSchedule, match=says) as refused:
        parse_schedule(text)
    assert len(str(refused.value)) < 300 and "\n" not in str(refused.value)


@pytest.mark.parametrize("scheduler", ALL, ids=lambda scheduler: scheduler.kind)
def test_schedulers_are_values(scheduler: Scheduler) -> None:
    twin = pickle.loads(pickle.dumps(scheduler))
    assert twin == scheduler and hash(twin) == hash(scheduler) and twin is not scheduler
    assert [other == scheduler for other in ALL].count(True) == 1
    with pytest.raises(AttributeError):
        scheduler.kind = "other"  # type: ignore[misc]


def test_a_scheduler_shows_what_it_was_made_of() -> None:
    import datetime

    names = {"datetime": datetime, **{type(scheduler).__name__: type(scheduler) for scheduler in ALL}}
    assert [eval(repr(scheduler), names) for scheduler in ALL] == ALL


def test_the_kind_and_the_number_of_runs_are_told() -> None:
    assert [(s.kind, s.is_recurring, s.runs) for s in ALL] == [
        ("immediate", False, None),
        ("at", False, None),
        ("interval", True, 5),
        ("cron", True, None),
    ]


def test_the_canonical_expression_is_read_back() -> None:
    assert [scheduler.expression() for scheduler in ALL] == [
        None,
        "2026-12-01T12:00:00Z",
        "2026-12-01T12:00:00Z/PT5M",
        "cron: 30 2 * * * Europe/Paris",
    ]
    assert IntervalScheduler(30).expression() == "PT30S"


@pytest.mark.parametrize(
    "time",
    [
        NOON_TIME.replace(tzinfo=None),
        "2026-12-01T00:00:00Z",
        0,
        datetime.max.replace(tzinfo=timezone(-timedelta(hours=1))),
    ],
)
def test_a_time_must_be_an_aware_datetime_inside_the_calendar(time: object) -> None:
    with pytest.raises(InvalidSchedule):
        AtScheduler(time)  # type: ignore[arg-type]
    with pytest.raises(InvalidSchedule):
        IntervalScheduler(60, start_time=time)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "interval", [0, 0.999, -5, "60", None, float("nan"), float("inf"), pytest.param(10**5000, id="huge"), timedelta.max]
)
def test_an_interval_is_a_timedelta_or_seconds_from_one_second_on(interval: object) -> None:
    with pytest.raises(InvalidSchedule, match="interval"):
        IntervalScheduler(interval)  # type: ignore[arg-type]


@pytest.mark.parametrize("runs", [0, -1, 1.5, "3", True, 10**10, pytest.param(10**5000, id="huge")])
def test_the_number_of_runs_is_a_whole_number_from_one_on(runs: object) -> None:
    with pytest.raises(InvalidSchedule, match="number of runs"):
        IntervalScheduler(60, runs=runs)  # type: ignore[arg-type]


def test_immediate_names_no_time() -> None:
    assert ImmediateScheduler().first(NOON) == Occurrence(None, 0)
    assert ImmediateScheduler().following(NOON, NOON).time is None


def test_at_names_its_time_once_even_when_it_is_past() -> None:
    scheduler = AtScheduler(NOON_TIME)
    assert scheduler.first(NOON - DAY) == scheduler.first(NOON + DAY) == Occurrence(NOON, 0)
    assert scheduler.following(NOON, NOON + DAY).time is None


def test_an_interval_without_a_start_begins_now() -> None:
    fixed = IntervalScheduler(300, runs=2).fixed(NOON)
    assert fixed == IntervalScheduler(300, NOON_TIME, 2)
    assert fixed.first(NOON) == Occurrence(NOON, 0)
    assert fixed.fixed(NOON + DAY) is fixed


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (NOON - DAY, (NOON, 0)),
        (NOON, (NOON, 0)),
        (NOON + 1, (NOON + 5 * MINUTE, 1)),
        (NOON + 5 * MINUTE, (NOON + 5 * MINUTE, 1)),
        (NOON + HOUR + 1, (NOON + 65 * MINUTE, 13)),
    ],
)
def test_an_interval_whose_start_is_past_skips_to_its_next_occurrence(now: Instant, expected: tuple[int, int]) -> None:
    assert IntervalScheduler(300, NOON_TIME).first(now) == expected


@pytest.mark.parametrize(
    ("last", "now", "expected"),
    [
        (NOON, NOON + SECOND, (NOON + 5 * MINUTE, 0)),
        (NOON, NOON + 5 * MINUTE, (NOON + 5 * MINUTE, 0)),
        (NOON, NOON + 5 * MINUTE + 1, (NOON + 10 * MINUTE, 1)),
        (NOON, NOON + DAY, (NOON + DAY, 287)),
        (NOON, NOON - DAY, (NOON + 5 * MINUTE, 0)),
        (NOON + MINUTE, NOON + MINUTE, (NOON + 5 * MINUTE, 0)),
        (NOON - HOUR, NOON - HOUR, (NOON, 0)),
    ],
)
def test_an_interval_counts_from_the_scheduled_time(last: Instant, now: Instant, expected: tuple[int, int]) -> None:
    assert IntervalScheduler(300, NOON_TIME).following(last, now) == expected


def test_an_interval_past_the_end_of_the_calendar_has_no_occurrence() -> None:
    late = IntervalScheduler(timedelta(days=36_525), datetime(9999, 1, 1, tzinfo=UTC))
    assert late.following(parse_instant("9999-01-01T00:00:00Z"), NOON).time is None


def occurrences(scheduler: CronScheduler, after: str, count: int) -> list[str]:
    times, last = [], parse_instant(after)
    for _ in range(count):
        last = scheduler.following(last, last).time or 0
        times.append(format_instant(last))
    return times


def test_cron_runs_on_the_wall_clock_of_its_zone() -> None:
    assert occurrences(CronScheduler("30 2 * * *", "Europe/Paris"), "2026-12-01T00:00:00Z", 2) == [
        "2026-12-01T01:30:00Z",
        "2026-12-02T01:30:00Z",
    ]
    assert CronScheduler("* * * * *", ZoneInfo("Europe/Paris")).timezone == "Europe/Paris"


def test_cron_begins_strictly_after_now_and_follows_at_or_after_now() -> None:
    scheduler = CronScheduler("0 12 * * *")
    assert scheduler.first(NOON) == (NOON + DAY, 0)
    assert scheduler.first(NOON - 1) == (NOON, 0)
    assert scheduler.following(NOON - DAY, NOON) == (NOON, 0)
    assert scheduler.following(NOON - DAY, NOON + 1) == (NOON + DAY, 1)
    assert scheduler.following(NOON - 10 * DAY, NOON - DAY // 2) == (NOON, 9)


def test_cron_moves_a_job_out_of_the_hour_that_summer_time_takes_away() -> None:
    assert occurrences(CronScheduler("30 2 * * *", "Europe/Paris"), "2026-03-28T00:00:00Z", 3) == [
        "2026-03-28T01:30:00Z",
        "2026-03-29T01:00:00Z",
        "2026-03-30T00:30:00Z",
    ]


def test_cron_runs_a_daily_job_once_in_the_hour_that_comes_twice() -> None:
    daily = CronScheduler("30 2 * * *", "Europe/Paris")
    assert occurrences(daily, "2026-10-24T12:00:00Z", 2) == ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
    in_the_second_passage = parse_instant("2026-10-25T01:15:00Z")
    assert daily.first(in_the_second_passage).time == parse_instant("2026-10-26T01:30:00Z")


def test_cron_runs_an_hourly_job_in_both_passages() -> None:
    assert occurrences(CronScheduler("0 * * * *", "Europe/Paris"), "2026-10-24T23:30:00Z", 3) == [
        "2026-10-25T00:00:00Z",
        "2026-10-25T01:00:00Z",
        "2026-10-25T02:00:00Z",
    ]


def test_cron_counts_what_was_missed_in_years_of_absence_no_further_than_a_thousand() -> None:
    scheduler = CronScheduler("* * * * *", "Europe/Paris")
    assert scheduler.following(NOON, NOON + 3_000 * DAY) == (NOON + 3_000 * DAY, 1_000)


def test_cron_comes_to_rest_at_the_end_of_the_calendar() -> None:
    assert CronScheduler("0 0 1 1 *").first(parse_instant("9999-06-01T00:00:00Z")).time is None


@pytest.mark.parametrize("expression", ["30 2 29 2 *", "0 0 * 2 MON#5", "0 0 L * *", "0 0 LW * *", "0 0 * * 7"])
def test_a_rare_cron_is_accepted(expression: str) -> None:
    assert CronScheduler(expression).first(NOON).time is not None
