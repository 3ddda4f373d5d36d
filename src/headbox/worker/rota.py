"""When a worker looks after the whole system again. Nobody can have been lost before the first lease ends, so few
workers look then; many take turns at random, so that the database hears a few looks a second, however many they are."""

from __future__ import annotations

from headbox.domain.task import HOUR, SECOND, Instant, Span
from headbox.storage.records import Survey

SHORTEST: Span = 5 * SECOND  # the longest wait of few workers is their lease, within these bounds: who comes
LONGEST: Span = 8 * SECOND  # after a look and is lost cannot have been so for long before the next
TURN: Span = SECOND // 4  # between two looks of many workers, whoever's they are
STEP: Span = SECOND // 50  # by which each worker makes it less likely that all look at one moment
LATEST: Span = 4 * SECOND  # that a look may come late for that
ALL: Span = HOUR  # after which all duties are done whatever a look shows


def next_look(survey: Survey, lease: Span, now: Instant, chance: float) -> Instant:
    """When to look again after a look. `chance`, 0 to 1, is another in each worker and each time."""
    late = int(min(survey.workers * STEP, LATEST) * chance)
    time = now + min(max(lease, SHORTEST), LONGEST)
    if survey.expire_time is not None and survey.expire_time >= now:
        time = min(time, survey.expire_time + 1 + late)
    time = max(time, now + int(survey.workers * TURN * 2 * chance))
    if survey.housekeeping_time is not None and survey.housekeeping_time > now:
        time = min(time, survey.housekeeping_time + late)
    return time
