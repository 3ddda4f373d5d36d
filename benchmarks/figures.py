"""What is measured: every figure under its name, and the measurements of one run."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

SQLITE, POSTGRES = "SQLite", "PostgreSQL"
HEADBOX, FLOOR = "Headbox", "floor"


class Figure(NamedTuple):
    """One line of a table. A figure of which more is better is a rate or a share; of any other less is."""

    workload: str
    title: str
    unit: str
    more_is_better: bool = True


class Measured(NamedTuple):
    """One measurement of a figure; a figure may be measured several times, and the median counts."""

    figure: str
    value: float
    contender: str = HEADBOX


TITLES: Final = {
    "W1": "Durable enqueues",
    "W2": "A drain of waiting no-op tasks",
    "W3": "From the enqueue call to the first line of the task, on an idle worker",
    "W4": "How late scheduled tasks start",
    "W5": "Memory, and the CPU of doing nothing",
    "W6": "The drain again, with much else in the database",
    "W7": "kill -9 of the worker amid 200 tasks of 50 ms",
    "W8": "HTTP, with authentication",
    "W9": "Mixed work: 1 to 200 ms, a third async, some failing and tried again",
    "W10": "The same after many archived runs, as a share of what it was before",
}

FIGURES: Final = {
    "w1.single": Figure("W1", "one at a time", "/s"),
    "w1.threads": Figure("W1", "sixteen threads", "/s"),
    "w1.bulk": Figure("W1", "in bulk", "/s"),
    "w2.sync": Figure("W2", "synchronous", "/s"),
    "w2.async": Figure("W2", "async", "/s"),
    "w2.two": Figure("W2", "synchronous, the floor on two connections", "/s"),
    "w3.p50": Figure("W3", "p50", "ms", False),
    "w3.p99": Figure("W3", "p99", "ms", False),
    "w4.p50": Figure("W4", "few, p50", "ms", False),
    "w4.p99": Figure("W4", "few, p99", "ms", False),
    "w4.many_p50": Figure("W4", "many, p50", "ms", False),
    "w4.many_p99": Figure("W4", "many, p99", "ms", False),
    "w5.worker": Figure("W5", "a worker with four children", "MB", False),
    "w5.serve": Figure("W5", "all of `serve`", "MB", False),
    "w5.idle": Figure("W5", "idle CPU of `serve`, of a core", "%", False),
    "w5.growth": Figure("W5", "growth of a worker over the second half of the tasks", "MB", False),
    "w6.small": Figure("W6", "a backlog waiting", "/s"),
    "w6.large": Figure("W6", "a large backlog waiting", "/s"),
    "w6.future": Figure("W6", "many future tasks of a higher priority", "/s"),
    "w6.reader": Figure("W6", "beside a reader's open transaction", "/s"),
    "w6.enqueue": Figure("W6", "single enqueues meanwhile, p99", "ms", False),
    "w7.lost": Figure("W7", "lost", "", False),
    "w7.twice": Figure("W7", "began twice", "", False),
    "w7.recovered": Figure("W7", "until all that was cut short runs again", "s", False),
    "w8.get": Figure("W8", "GET of one task", "/s"),
    "w8.list": Figure("W8", "GET of a list of 10,000", "/s"),
    "w8.growth": Figure("W8", "memory that a list of 100,000 adds", "MB", False),
    "w8.page": Figure("W8", "the slowest search of the Tasks page before 100,000 that wait", "ms", False),
    "w8.ended_page": Figure("W8", "the slowest among 100,000 runs that have ended", "ms", False),
    "w8.post": Figure("W8", "POST of a task", "/s"),
    "w8.statistics": Figure("W8", "GET of the statistics", "/s"),
    "w9.share": Figure("W9", "share of the ideal schedule", "×"),
    "w10.single": Figure("W10", "single enqueue", "×"),
    "w10.threads": Figure("W10", "enqueue from sixteen threads", "×"),
    "w10.bulk": Figure("W10", "bulk enqueue", "×"),
    "w10.sync": Figure("W10", "drain, synchronous", "×"),
    "w10.async": Figure("W10", "drain, async", "×"),
    "w10.start": Figure("W10", "start, p50", "×"),
    "w10.lateness": Figure("W10", "lateness, p50", "×"),
    "w10.memory": Figure("W10", "memory of an idle worker", "×"),
    "w10.backlog": Figure("W10", "drain of a backlog", "×"),
    "w10.recovered": Figure("W10", "recovery after kill -9", "×"),
    "w10.get": Figure("W10", "GET of one task", "×"),
    "w10.list": Figure("W10", "GET of a list", "×"),
    "w10.post": Figure("W10", "POST of a task", "×"),
    "w10.statistics": Figure("W10", "GET of the statistics", "×"),
    "w10.mixed": Figure("W10", "mixed work", "×"),
}


class Results:
    """The measurements of a run, by figure, database and contender."""

    def __init__(self) -> None:
        self.about: dict[str, str] = {}
        self.notes: dict[str, str] = {}  # on what could not be measured, by contender
        self._values: defaultdict[tuple[str, str, str], list[float]] = defaultdict(list)

    def add(self, database: str, measured: Measured) -> None:
        """One more measurement."""
        self._values[measured.figure, database, measured.contender].append(measured.value)

    def get(self, figure: str, database: str, contender: str = HEADBOX) -> float | None:
        """The median of what was measured, if anything was."""
        values = self._values.get((figure, database, contender))
        return median(values) if values else None

    def figures(self, workload: str) -> list[str]:
        """The figures of a workload that were measured, in their order."""
        measured = {figure for figure, _, _ in self._values}
        return [name for name, figure in FIGURES.items() if figure.workload == workload and name in measured]

    def contenders(self, figure: str) -> list[tuple[str, str]]:
        """(database, contender) of all that were measured."""
        return [(database, contender) for name, database, contender in self._values if name == figure]

    def save(self, path: Path) -> None:
        """Keeps the run."""
        rows = [[*key, values] for key, values in self._values.items()]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"about": self.about, "notes": self.notes, "rows": rows}, indent=1))

    @classmethod
    def read(cls, path: Path) -> Results:
        """A run that was kept."""
        kept, results = json.loads(path.read_text()), cls()
        results.about, results.notes = kept["about"], kept["notes"]
        for figure, database, contender, values in kept["rows"]:
            results._values[figure, database, contender] = values
        return results
