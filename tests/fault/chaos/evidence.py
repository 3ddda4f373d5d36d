"""All that a chaos run is judged by: the archive, the journal, what the clients know, what befell the service when."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import Final, NamedTuple

from tests.fault.chaos.journal import Journal, Line
from tests.fault.chaos.ledger import Ledger
from tests.fault.chaos.sites import Site, rows

ARCHIVE: Final = """SELECT id, run, state, final, args, method_name, schedule_name, scheduled_time, finish_time, worker,
    result, exception FROM headbox_task_history WHERE queue <> 'headbox' ORDER BY id, run"""
LIVE: Final = "SELECT id, run, state, method_name FROM headbox_tasks WHERE queue <> 'headbox'"


class Run(NamedTuple):
    """A run as it was archived."""

    id: str
    run: int
    state: str
    final: bool
    args: bytes
    method_name: str
    schedule_name: str | None
    scheduled_time: int | None
    finish_time: int
    worker: str | None
    result: bytes | None
    exception: str | None

    @property
    def token(self) -> str:
        """Its first argument."""
        return str(json.loads(self.args)[0])

    @property
    def mark(self) -> str | None:
        """Of the execution that was recorded."""
        said = self.exception if self.state == "error" else None if self.result is None else json.loads(self.result)
        return None if said is None else str(said).split()[0]

    @property
    def is_given_up(self) -> bool:
        """Whether it ended in error for having been lost too often, as the design has it."""
        return self.state == "error" and "times in a row" in (self.exception or "")


class Period(NamedTuple):
    """A fault, from its begin to the next recorded finish behind it, in microseconds UTC."""

    kind: str
    begin: int
    end: int
    recovered: int


class Evidence(NamedTuple):
    """All there is to judge by."""

    ledger: Ledger
    archive: dict[str, list[Run]]  # by id, in the order of runs
    starts: dict[tuple[str, int], list[Line]]
    ends: dict[tuple[str, int], list[Line]]
    periods: list[Period]
    skips_logged: Counter[str]  # by id
    orders: set[str]  # tokens that were committed beside their tasks
    live: list[tuple[str, int, str, str]]  # id, run, state and method of what has not ended
    registered: dict[str, int]  # every worker that there ever was, and its process


def gather(site: Site, journal: Journal, ledger: Ledger, periods: list[Period], skips: Counter[str]) -> Evidence:
    """Reads everything."""
    archive: dict[str, list[Run]] = defaultdict(list)
    for row in rows(site, ARCHIVE):
        run = Run(*row)
        archive[run.id].append(run)
    lines: dict[str, dict[tuple[str, int], list[Line]]] = {"start": defaultdict(list), "end": defaultdict(list)}
    for line in journal.lines():
        lines[line.what][line.id, line.run].append(line)
    orders = {str(token) for (token,) in rows(site, "SELECT token FROM orders")}
    live = [(id, run, state, name) for id, run, state, name in rows(site, LIVE)]
    registered = {str(worker): int(pid) for worker, pid in rows(site, "SELECT worker, pid FROM registered")}
    return Evidence(ledger, archive, lines["start"], lines["end"], periods, skips, orders, live, registered)


def skips_in(logs: list[str]) -> Counter[str]:
    """What workers have logged of skipped occurrences, by task."""
    found: Counter[str] = Counter()
    for log in logs:
        for line in log.splitlines():
            if "occurrences were missed and are skipped" in line:
                words = line[line.index("task ") :].replace(":", "").split()
                found[words[1]] += int(words[2])
    return found
