"""Holds what the database and the journal say against what the clients were promised. What does not fit is a
violation, in a sentence; the rest are figures."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any, Final, NamedTuple

from tests.fault.chaos.journal import Journal, Line
from tests.fault.chaos.ledger import ACCEPTED, REFUSED, Ledger
from tests.fault.chaos.sites import Site, rows

INTERVAL: Final = 1_000_000  # of the schedules, in microseconds
ENDS: Final = {"fail": {"error"}, "stumble": {"finished", "error"}}  # how tasks may end; others finish
SHOWN: Final = 20  # violations of one kind

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


class Verdict:
    """What was found. Empty `violations`: the promises were kept."""

    def __init__(self) -> None:
        self.violations: list[str] = []
        self.figures: dict[str, int] = {}
        self.rescues: dict[str, list[int]] = defaultdict(
            list
        )  # by kind of fault: microseconds until each lost run was reset
        self._kinds: Counter[str] = Counter()

    def blame(self, kind: str, sentence: str) -> None:
        """Notes a violation; of each kind the first few in words."""
        self._kinds[kind] += 1
        if self._kinds[kind] <= SHOWN:
            self.violations.append(f"{kind}: {sentence}")

    def count(self, kind: str) -> int:
        """How many violations there are of a kind."""
        return self._kinds[kind]


class Evidence(NamedTuple):
    """All there is to judge by."""

    ledger: Ledger
    archive: dict[str, list[Run]]  # by id, in the order of runs
    starts: dict[tuple[str, int], list[Line]]
    ends: dict[tuple[str, int], list[Line]]
    periods: list[Period]
    skips_logged: Counter[str]  # by id


def gather(site: Site, journal: Journal, ledger: Ledger, periods: list[Period], skips: Counter[str]) -> Evidence:
    """Reads everything."""
    archive: dict[str, list[Run]] = defaultdict(list)
    for row in rows(site, ARCHIVE):
        run = Run(*row)
        archive[run.id].append(run)
    lines: dict[str, dict[tuple[str, int], list[Line]]] = {"start": defaultdict(list), "end": defaultdict(list)}
    for line in journal.lines():
        lines[line.what][line.id, line.run].append(line)
    return Evidence(ledger, archive, lines["start"], lines["end"], periods, skips)


def judge(site: Site, evidence: Evidence) -> Verdict:
    """Everything that must hold."""
    verdict = Verdict()
    for id, run, state, name in rows(site, LIVE):
        verdict.blame("not ended", f"{name} {id} is {state}, run {run}")
    _judge_acceptance(evidence, verdict)
    _judge_orders(site, evidence, verdict)
    for runs in evidence.archive.values():
        _judge_numbers(runs, verdict)
        (_judge_schedule if runs[0].schedule_name else _judge_end)(runs, evidence, verdict)
        for run in runs:
            _judge_record(run, evidence, verdict)
    _judge_executions(evidence, verdict)
    _measure_rescues(evidence, verdict)
    for sentence in evidence.ledger.odd:
        verdict.blame("odd answer", sentence)
    return verdict


def _judge_acceptance(evidence: Evidence, verdict: Verdict) -> None:
    """What was accepted is there once, what was refused is not, and nobody else has enqueued anything."""
    ids: dict[str, list[str]] = defaultdict(list)
    for id, runs in evidence.archive.items():
        if runs[0].schedule_name is None:
            ids[runs[0].token].append(id)
    for token, (kind, known) in evidence.ledger.entries.items():
        found = ids.pop(token, [])
        if known == ACCEPTED and not found:
            verdict.blame("lost", f"{kind} {token} was accepted and is not there")
        if known == REFUSED and found:
            verdict.blame("refused and there", f"{kind} {token} is {found[0]}")
        if len(found) > 1:
            verdict.blame("accepted twice", f"{kind} {token} is {', '.join(found)}")
    for token, found in ids.items():
        verdict.blame("asked by nobody", f"{token} is {found[0]}")
    counts = evidence.ledger.counts()
    verdict.figures |= {
        "tasks accepted": counts[ACCEPTED],
        "tasks whose acceptance the client never heard of": counts["unknown"],
        "tasks refused": counts[REFUSED],
    }


def _judge_orders(site: Site, evidence: Evidence, verdict: Verdict) -> None:
    """A transaction's own rows and its tasks exist together or not at all."""
    orders = {str(token) for (token,) in rows(site, "SELECT token FROM orders")}
    tasks = {runs[0].token for runs in evidence.archive.values() if runs[0].token.startswith("transaction")}
    for token in orders ^ tasks:
        verdict.blame("torn transaction", f"{token}: {'no task' if token in orders else 'no order'}")
    verdict.figures["tasks accepted in transactions"] = len(orders & tasks)


def _judge_numbers(runs: list[Run], verdict: Verdict) -> None:
    """Runs are numbered without a gap or a double, and the last one alone is final."""
    if [run.run for run in runs] != list(range(1, len(runs) + 1)):
        verdict.blame("numbers", f"{runs[0].id} has the runs {[run.run for run in runs]}")
    if [bool(run.final) for run in runs] != [False] * (len(runs) - 1) + [True]:
        verdict.blame("not one final record", f"{runs[0].id}: {[(run.run, run.state, run.final) for run in runs]}")


def _judge_end(runs: list[Run], evidence: Evidence, verdict: Verdict) -> None:
    """A task ends as it should, after runs that were lost or that failed with an attempt left."""
    *before, last = runs
    if last.is_given_up:
        verdict.figures["tasks given up after three losses"] = (
            verdict.figures.get("tasks given up after three losses", 0) + 1
        )
    elif last.state not in ENDS.get(last.method_name, {"finished"}):
        verdict.blame("wrong end", f"{last.method_name} {last.id}, run {last.run}, is {last.state}: {last.exception}")
    may = {"reset", "error"} if last.method_name == "stumble" else {"reset"}
    if strays := [run for run in before if run.state not in may]:
        verdict.blame(
            "wrong end", f"{last.method_name} {last.id}, run {strays[0].run}, is {strays[0].state} before its last"
        )


def _judge_record(run: Run, evidence: Evidence, verdict: Verdict) -> None:
    """What was recorded is what the execution of that very run said, and it had come to its end."""
    if run.state not in ("finished", "error") or run.is_given_up:
        return
    started = evidence.starts.get((run.id, run.run), [])
    ended = evidence.ends.get((run.id, run.run), [])
    if not started or not ended:
        verdict.blame("recorded and never run", f"{run.method_name} {run.id}, run {run.run}: {run.exception}")
    elif run.mark not in [line.mark for line in ended]:
        verdict.blame(
            "recorded by another", f"{run.method_name} {run.id}, run {run.run}: {run.mark}, not {ended[0].mark}"
        )


def _judge_executions(evidence: Evidence, verdict: Verdict) -> None:
    """Each number was executed once at most; whatever was executed again is explained by a recorded loss."""
    executions: dict[str, int] = Counter()
    doubled: set[str] = set()
    losses = sum(run.state == "reset" for runs in evidence.archive.values() for run in runs)
    for (id, number), lines in evidence.starts.items():
        executions[id] += len(lines)
        archived = {run.run: run for run in evidence.archive.get(id, [])}
        if len(lines) > 1:
            verdict.blame("doubled", f"{id}, run {number}, was executed {len(lines)} times")
        if number not in archived:
            known = evidence.ledger.entries.get(lines[0].token, ("", "unheard of"))[1]
            verdict.blame("doubled", f"{id}, run {number}, was executed and is not recorded (its client: {known})")
        elif archived[number].state == "reset":
            doubled.add(id)
    verdict.figures |= {
        "tasks in the archive": len(evidence.archive),
        "executions": sum(executions.values()),
        "runs recorded as lost": losses,
        "tasks begun again after a recorded loss": len(doubled),
        "executions that ended and were then lost": sum(
            run.state == "reset" and (run.id, run.run) in evidence.ends
            for runs in evidence.archive.values()
            for run in runs
        ),
        "doubled without a recorded loss": verdict.count("doubled"),
        "lost": verdict.count("lost") + verdict.count("not ended"),
    }


def _judge_schedule(runs: list[Run], evidence: Evidence, verdict: Verdict) -> None:
    """No occurrence twice, and none skipped but while something was down or as a worker has logged."""
    ended = [run for run in runs if run.state not in ("reset", "canceled")]
    times = [run.scheduled_time or 0 for run in ended]
    name = runs[0].schedule_name
    unexplained = 0
    for run, (time, following) in zip(ended, pairwise(times), strict=False):
        if following <= time or (following - time) % INTERVAL:
            verdict.blame("doubled occurrence", f"{name}: {time} is followed by {following}")
        skipped = (following - time) // INTERVAL - 1
        overran = run.finish_time > time + INTERVAL
        if skipped > 0 and not overran and not _is_down(evidence.periods, time, following):
            unexplained += skipped
        verdict.figures["occurrences skipped"] = verdict.figures.get("occurrences skipped", 0) + max(skipped, 0)
    if unexplained > evidence.skips_logged[runs[0].id]:
        verdict.blame(
            "skipped occurrence", f"{name}: {unexplained}, of which {evidence.skips_logged[runs[0].id]} were logged"
        )
    verdict.figures["occurrences run"] = verdict.figures.get("occurrences run", 0) + len(ended)


def _is_down(periods: list[Period], begin: int, end: int) -> bool:
    return any(period.begin < end and period.recovered > begin for period in periods)


def _measure_rescues(evidence: Evidence, verdict: Verdict) -> None:
    """How long after the fault that came before it each lost run was reset."""
    periods = sorted(evidence.periods, key=lambda period: period.begin)
    for runs in evidence.archive.values():
        for run in runs:
            before = [period for period in periods if period.begin <= run.finish_time]
            if run.state == "reset" and before:
                verdict.rescues[before[-1].kind].append(run.finish_time - before[-1].begin)


def skips_in(logs: list[str]) -> Counter[str]:
    """What workers have logged of skipped occurrences, by task."""
    found: Counter[str] = Counter()
    for log in logs:
        for line in log.splitlines():
            if "occurrences were missed and are skipped" in line:
                words = line[line.index("task ") :].replace(":", "").split()
                found[words[1]] += int(words[2])
    return found


def rows_of(evidence: Evidence) -> dict[str, Any]:
    """For a look at what went wrong: runs and lines, by id."""
    return {"archive": evidence.archive, "starts": evidence.starts, "ends": evidence.ends}
