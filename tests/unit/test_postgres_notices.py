from __future__ import annotations

import pytest

from headbox.storage.postgres import notices as postgres_notices
from headbox.storage.postgres.notices import CANCEL, ENDED, LONGEST_REST, READY, REST, News, Notices, channel
from headbox.storage.postgres.watch import has_moved


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(postgres_notices, "time", clock)
    return clock


def test_news_are_told_to_whom_they_concern() -> None:
    assert News().notices() == []
    news = News(queues={"b", "a"}, workers={"w"}, has_ended=True, has_claimed=True)
    assert news.notices() == [(READY, ""), (channel("a"), ""), (channel("b"), ""), (CANCEL, "w"), (ENDED, "")]


def test_a_channels_name_fits_and_is_safe_whatever_the_queues_is() -> None:
    names = {channel(queue) for queue in ("", "a", "A", "ä" * 1000, '"; DROP TABLE x', "\ud800")}
    assert len(names) == 6 and all(len(name) < 63 and name.isidentifier() for name in names)


def test_the_first_notice_goes_out_at_once_and_then_it_rests(clock: Clock) -> None:
    notices = Notices()
    told = News(queues={"a"}).notices()
    assert notices._due(told) == told
    clock.now += REST * 0.9
    assert notices._due(told) == []
    assert notices._due([(CANCEL, "w")]) == [(CANCEL, "w")]
    clock.now += REST * 0.2
    assert notices._due(told) == told


def test_where_something_is_held_back_it_rests_longer_and_after_a_pause_no_more(clock: Clock) -> None:
    notices = Notices()
    sent = 0
    for _ in range(2000):
        sent += len(notices._due([(READY, "")]))
        clock.now += REST / 2
    assert 1 / LONGEST_REST <= sent <= 1 / LONGEST_REST + 10
    clock.now += 1
    assert notices._due([(READY, "")]) == [(READY, "")]
    clock.now += REST * 1.1
    assert notices._due([(READY, "")]) == [(READY, "")]


def test_who_enqueues_one_task_after_the_end_of_another_tells_of_each(clock: Clock) -> None:
    notices = Notices()
    for _ in range(100):
        assert notices._due([(READY, "")]) == [(READY, "")]
        clock.now += REST * 1.1


@pytest.mark.parametrize(("workers", "most"), [(0, 1000), (1, 1000), (5, 200), (50, 25), (1000, 25)])
def test_together_workers_are_woken_no_more_often_than_a_thousand_times_a_second(
    clock: Clock, workers: int, most: int
) -> None:
    notices = Notices()
    notices.workers = workers
    sent = 0
    for _ in range(100):
        sent += len(notices._due([(READY, "")]))
        clock.now += notices._sent[READY, ""].rest + 1e-9
    assert sent == 100 and clock.now - 1000.0 >= 100 / most * 0.999


def test_ends_are_told_by_a_worker_only_while_somebody_waits(clock: Clock) -> None:
    notices = Notices()
    ended = [(ENDED, "")]
    assert notices._due(ended) == ended
    notices.hear()
    clock.now += 1
    assert notices._due(ended) == ended
    clock.now += postgres_notices.WAITING_SECONDS
    assert notices._due(ended) == []


@pytest.mark.parametrize(
    ("before", "after", "own", "moved"),
    [
        ("10:10:", "10:10:", [], False),
        ("10:10:", "11:11:", [], True),
        ("10:10:", "12:12:", ["10", "11"], False),
        ("10:10:", "12:12:", ["11"], True),
        ("8:10:8,9", "9:10:9", [], True),
        ("8:10:8", "8:10:8", [], False),
        ("10:10:", "10:12:10,11", [], True),
        ("1:1:", "4000000000:4000000000:", [], True),
    ],
)
def test_a_snapshot_has_moved_when_a_transaction_that_is_not_ours_has_ended_or_begun(
    before: str, after: str, own: list[str], moved: bool
) -> None:
    assert has_moved(before, after, own) is moved
