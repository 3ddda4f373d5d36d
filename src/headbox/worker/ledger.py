"""What a worker has to tell the store and has not yet: it outlives a database that is away."""

from __future__ import annotations

import logging

from headbox.domain.outcomes import Outcome
from headbox.domain.task import Instant, Span, Work
from headbox.storage.records import Exchange, Progress, Release, Report, Start
from headbox.task_queue.running import Ending

PROGRESS_EVERY = 50_000_000  # ns between two transactions that carry nothing but progress

logger = logging.getLogger(__name__)


class Ledger:
    """Collected since the last exchange."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self._starts: list[Start] = []
        self._releases: list[Release] = []
        self._progress: dict[tuple[str, int], str] = {}  # the latest of each run
        self._lateness: list[Span] = []
        self._late = 0
        self._told_at = 0

    def start(self, task: Work, start_time: Instant) -> None:
        """A run has lasted long enough for its start to be recorded."""
        self._starts.append(Start(task.id, task.run, start_time))

    def note_lateness(self, lateness: Span, *, is_late: bool) -> None:
        """A scheduled run has started so late; `is_late`: later than it should ever."""
        self._lateness.append(lateness)
        self._late += is_late

    def progress(self, task: Work, progress: str) -> None:
        """A run's latest progress, as JSON."""
        self._progress[task.id, task.run] = progress

    def release(self, id: str, run: int, *, hold: bool = False) -> None:
        """A claimed run was not started."""
        self._releases.append(Release(id, run, hold))

    def settled(self) -> set[tuple[str, int]]:
        """(id, run) of the runs whose end or release is still to be written."""
        ended = {(outcome.id, outcome.run) for outcome in self.outcomes}
        return ended | {(release.id, release.run) for release in self._releases}

    def is_pressing(self, now: int) -> bool:
        """Whether something should be written now; progress alone can wait a little."""
        if self.outcomes or self._starts or self._releases:
            return True
        return bool(self._progress) and now >= self._told_at + PROGRESS_EVERY

    def is_empty(self) -> bool:
        """Whether nothing is left to write."""
        return not (self.outcomes or self._starts or self._releases or self._progress)

    def next_time(self) -> int | None:
        """When progress is to be written."""
        return self._told_at + PROGRESS_EVERY if self._progress else None

    def take(self) -> Report:
        """Everything, for one exchange: `give_back` what could not be written, or say that it was with `note_told`."""
        progress = [Progress(id, run, text) for (id, run), text in self._progress.items()]
        report = Report(
            outcomes=self.outcomes,
            starts=self._starts,
            progress=progress,
            releases=self._releases,
            lateness=self._lateness,
            late=self._late,
        )
        self.outcomes, self._starts, self._releases, self._progress = [], [], [], {}
        self._lateness, self._late = [], 0
        return report

    def give_back(self, report: Report) -> None:
        """A report could not be written: it comes before all that has been said since."""
        self.outcomes[:0] = report.outcomes
        self._starts[:0] = report.starts
        self._releases[:0] = report.releases
        self._lateness[:0] = report.lateness
        self._late += report.late
        self._progress = {(said.id, said.run): said.progress for said in report.progress} | self._progress

    def note_told(self, report: Report, now: int) -> None:
        """A report was written."""
        if report.progress:
            self._told_at = now


def outcome_of(id: str, run: int, start: Instant, finish: Instant, ending: Ending, queue: str | None = None) -> Outcome:
    """What a child says of a run, as the domain says it. One that interrupted itself has failed."""
    if ending.event == "succeed":
        return Outcome(id, run, "succeed", finish, start, ending.result, ending.public_result, queue=queue)
    return Outcome(
        id,
        run,
        "fail",
        finish,
        start,
        ending.result,
        ending.public_result,
        ending.exception,
        ending.traceback,
        ending.retry_after,
        ending.discard,
        queue=queue,
    )


def tell_of(exchange: Exchange) -> None:
    """Logs what came of the runs that were reported, where it is not what was reported."""
    for outcome in exchange.superseded:
        logger.warning("task %s, run %d: superseded, its result was dropped", outcome.id, outcome.run)
    for skipped in exchange.skipped:
        logger.warning("task %s: %d occurrences were missed and are skipped", skipped.id, skipped.count)
