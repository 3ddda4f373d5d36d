from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from headbox.domain.errors import InvalidSchedule
from headbox.domain.iso8601 import MAX_INSTANT, MAX_SPAN, MIN_INSTANT, instant_of, time_of
from headbox.domain.schedulers import (
    AtScheduler,
    CronScheduler,
    IntervalScheduler,
    Scheduler,
    format_duration,
    format_instant,
    parse_duration,
    parse_instant,
    parse_schedule,
)
from headbox.domain.task import DAY, HOUR, MINUTE, SECOND, Instant

YEAR_2000 = parse_instant("2000-01-01T00:00:00Z")
YEAR_2100 = parse_instant("2100-01-01T00:00:00Z")
ZONES = [
    "UTC", "Europe/Paris", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kathmandu",
    "Africa/Casablanca", "Pacific/Apia", "America/St_Johns",
]  # fmt: skip

instants = st.integers(YEAR_2000, YEAR_2100)
spans = st.one_of(
    st.integers(SECOND, 2 * MINUTE), st.integers(1, 10_000).map(lambda n: n * MINUTE), st.integers(SECOND, MAX_SPAN)
)
starts = instants.map(time_of)
intervals = st.builds(
    IntervalScheduler, spans.map(lambda span: timedelta(microseconds=span)), starts, st.none() | st.integers(1, 1000)
)


def cron_field(low: int, high: int) -> st.SearchStrategy[str]:
    value = st.integers(low, high)
    pair = st.tuples(value, value).map(sorted)
    return st.one_of(
        st.just("*"),
        value.map(str),
        st.integers(1, high).map(lambda step: f"*/{step}"),
        pair.map(lambda ends: f"{ends[0]}-{ends[1]}"),
        st.lists(value, min_size=1, max_size=4).map(lambda values: ",".join(map(str, values))),
    )


zones = st.sampled_from(ZONES)
expressions = st.tuples(
    cron_field(0, 59), cron_field(0, 23), cron_field(1, 28), cron_field(1, 12), cron_field(0, 7)
).map(" ".join)
crons = st.builds(CronScheduler, expressions, zones)
daily_times = st.tuples(st.integers(0, 23), st.integers(0, 59))


@given(st.integers(MIN_INSTANT, MAX_INSTANT))
def test_an_instant_survives_being_written_and_read(instant: Instant) -> None:
    assert parse_instant(format_instant(instant)) == instant


@given(st.integers(0, MAX_SPAN))
def test_a_duration_survives_being_written_and_read(span: int) -> None:
    assert parse_duration(format_duration(span)) == span


@given(st.one_of(st.builds(AtScheduler, starts), intervals, crons))
def test_a_schedule_survives_being_written_and_read(scheduler: Scheduler) -> None:
    prefix = "" if scheduler.runs is None else f"R{scheduler.runs}/"
    expression = scheduler.expression()
    assert expression is not None
    read = parse_schedule(prefix + expression)
    assert read == scheduler and read.expression() == expression


@given(st.text(max_size=40) | st.text("RPTYMWDHSZ0123456789/-+:.,cron* ", max_size=40))
def test_any_text_is_a_schedule_or_invalid_and_nothing_else(text: str) -> None:
    try:
        scheduler = parse_schedule(text)
    except InvalidSchedule:
        return
    assert parse_schedule(scheduler.expression() or "").kind == scheduler.kind


@given(intervals, instants, instants)
def test_an_interval_never_drifts_and_counts_exactly_what_it_skips(
    scheduler: IntervalScheduler, last: Instant, now: Instant
) -> None:
    assert scheduler.start_time is not None
    start, interval = instant_of(scheduler.start_time), scheduler.interval // timedelta(microseconds=1)
    time, skipped = scheduler.following(last, now)
    assume(time is not None)
    assert time is not None and time > last and time >= now and time >= start and (time - start) % interval == 0
    first_after_last = max(start, start + ((last - start) // interval + 1) * interval)
    assert time - skipped * interval == first_after_last
    assert skipped == 0 or time - interval < now  # none was skipped that could still run


@given(intervals, instants)
def test_the_first_occurrence_of_an_interval_is_its_start_or_the_next_on_the_grid(
    scheduler: IntervalScheduler, now: Instant
) -> None:
    assert scheduler.start_time is not None
    start, interval = instant_of(scheduler.start_time), scheduler.interval // timedelta(microseconds=1)
    time, skipped = scheduler.first(now)
    assert time == start + skipped * interval
    assert time >= now and (skipped == 0 or time - interval < now)


@given(crons, st.integers(YEAR_2000, YEAR_2000 + 40 * 365 * DAY), st.integers(0, 40 * DAY))
def test_cron_moves_forward_on_one_grid_and_counts_what_it_skips(
    scheduler: CronScheduler, last: Instant, absence: int
) -> None:
    now = last + absence
    passed, time = 0, scheduler.following(last, last).time
    while time is not None and time < now and passed < 1_000:
        following = scheduler.following(time, time).time
        assert following is not None and following > time
        passed, time = passed + 1, following
    found = scheduler.following(last, now)
    assert found.skipped == passed
    assert found.time is not None and found.time >= now and found.time > last
    if passed < 1_000:
        assert found.time == time


@given(crons, st.integers(YEAR_2000, YEAR_2000 + 40 * 365 * DAY))
def test_cron_begins_after_now_with_what_follows_now(scheduler: CronScheduler, now: Instant) -> None:
    time, skipped = scheduler.first(now)
    assert time is not None and time > now and skipped == 0
    assert scheduler.following(now, now).time == time


def days(year: int) -> list[date]:
    return [date(year, 1, 1) + timedelta(days=number) for number in range(366 if year % 4 == 0 else 365)]


@given(zones.filter(lambda zone: zone != "Pacific/Apia"), daily_times, st.integers(2012, 2037))
def test_a_daily_job_runs_exactly_once_a_day_whatever_summer_time_does(
    zone: str, clock: tuple[int, int], year: int
) -> None:
    scheduler = CronScheduler(f"{clock[1]} {clock[0]} * * *", zone)
    time = instant_of(datetime(year, 1, 1, tzinfo=ZoneInfo(zone))) - 1
    end = instant_of(datetime(year + 1, 1, 1, tzinfo=ZoneInfo(zone)))
    ran = []
    while (time := scheduler.following(time, time).time or end) < end:
        ran.append(time_of(time).astimezone(ZoneInfo(zone)).date())
    assert ran == days(year)


def test_a_day_that_a_zone_left_out_runs_nothing_twice() -> None:
    # Samoa went from 29 to 31 December 2011, across the date line.
    scheduler = CronScheduler("0 12 * * *", "Pacific/Apia")
    time, ran = parse_instant("2011-12-28T12:00:00Z"), []
    for _ in range(3):
        time = scheduler.following(time, time).time or 0
        ran.append(time_of(time).astimezone(ZoneInfo("Pacific/Apia")).day)
    assert ran == sorted(set(ran))


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(("begin", "end"), [("2026-03-01", "2026-04-10"), ("2026-09-20", "2026-11-05")])
def test_a_job_of_every_half_hour_keeps_its_pace_through_summer_time(zone: str, begin: str, end: str) -> None:
    scheduler = CronScheduler("*/30 * * * *", zone)
    time, paces = scheduler.first(parse_instant(f"{begin}T00:00:00Z")).time or 0, set()
    while time < parse_instant(f"{end}T00:00:00Z"):
        following = scheduler.following(time, time).time
        assert following is not None
        paces.add(following - time)
        time = following
    assert paces == {HOUR // 2}
