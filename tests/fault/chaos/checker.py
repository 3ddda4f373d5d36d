"""Holds what the database and the journal say against what the clients were promised. What does not fit is a
violation, in a sentence; the rest are figures."""

from __future__ import annotations

from bisect import bisect
from collections import Counter, defaultdict
from itertools import pairwise
from statistics import median_low
from typing import Final

from tests.fault.chaos.evidence import Evidence, Period, Run
from tests.fault.chaos.ledger import ACCEPTED, REFUSED, UNKNOWN

INTERVAL: Final = 1_000_000  # of the schedules, in microseconds
ENDS: Final = {
    "fail": {"error"},
    "stumble": {"finished", "error"},
    "linger": {"finished", "canceled"},
}  # how tasks may end; others finish
DELAYED: Final = ("linger",)  # may be asked for with a delay
SHOWN: Final = 20  # violations of one kind
LOSSES: Final = 3  # in a row, after which a task is given up
SECOND: Final = 1_000_000
LEFT_BEHIND: Final = 30  # seconds in which others begin that no task waits longer than those that were accepted with it
OVERDUE: Final = 2_000_000  # microseconds after its loss in which a run may still have begun: clocks differ
# What can keep a worker from logging what it has just committed.
SILENCING: Final = (
    "kill -9 of a supervisor",
    "every supervisor",
    "everything",
    "SIGSTOP of a supervisor",
    "server",
    "black hole",
)


class Verdict:
    """What was found. Empty `violations`: the promises were kept."""

    def __init__(self) -> None:
        self.violations: list[str] = []
        self.figures: Counter[str] = Counter()
        self.rescues: dict[str, list[int]] = defaultdict(list)  # by fault: microseconds until each lost run was reset
        self._kinds: Counter[str] = Counter()

    def blame(self, kind: str, sentence: str) -> None:
        """Notes a violation; of each kind the first few in words."""
        self._kinds[kind] += 1
        if self._kinds[kind] <= SHOWN:
            self.violations.append(f"{kind}: {sentence}")

    def count(self, kind: str) -> int:
        """How many violations there are of a kind."""
        return self._kinds[kind]


def judge(evidence: Evidence) -> Verdict:
    """Everything that must hold."""
    verdict = Verdict()
    for id, run, state, name in evidence.live:
        verdict.blame("not ended", f"{name} {id} is {state}, run {run}")
    _judge_acceptance(evidence, verdict)
    _judge_orders(evidence, verdict)
    for runs in evidence.archive.values():
        _judge_numbers(runs, verdict)
        if runs[0].schedule_name:
            _judge_schedule(runs, evidence, verdict)
        else:
            _judge_end(runs, evidence, verdict)
        for run in runs:
            _judge_record(run, evidence, verdict)
            _judge_worker(run, evidence, verdict)
    _judge_executions(evidence, verdict)
    _judge_waits(evidence, verdict)
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
    verdict.figures.update(
        {
            "tasks accepted": counts[ACCEPTED],
            "tasks whose acceptance the client never heard of": counts[UNKNOWN],
            "tasks refused": counts[REFUSED],
        }
    )


def _judge_orders(evidence: Evidence, verdict: Verdict) -> None:
    """A transaction's own rows and its tasks exist together or not at all."""
    tasks = {runs[0].token for runs in evidence.archive.values() if runs[0].token.startswith("transaction")}
    for token in evidence.orders ^ tasks:
        verdict.blame("torn transaction", f"{token}: {'no task' if token in evidence.orders else 'no order'}")
    verdict.figures["tasks accepted in transactions"] = len(evidence.orders & tasks)


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
        verdict.figures["tasks given up after three losses"] += 1
        begun = sum((run.id, run.run) in evidence.starts for run in runs if run.state == "reset" or run is last)
        if begun < LOSSES:
            verdict.blame("given up too early", f"{last.method_name} {last.id} began {begun} of its lost runs")
    elif last.state not in ENDS.get(last.method_name, {"finished"}):
        verdict.blame("wrong end", f"{last.method_name} {last.id}, run {last.run}, is {last.state}: {last.exception}")
    if (run := evidence.ledger.canceled.get(last.token)) is not None:
        verdict.figures["tasks canceled before they began"] += 1
        if last.state != "canceled" or last.run != run or (last.id, run) in evidence.starts:
            verdict.blame("canceled in vain", f"{last.id}, run {run}: {last.state}, or begun all the same")
    may = {"reset", "error"} if last.method_name == "stumble" else {"reset"}
    for run in before:
        if run.state not in may:
            verdict.blame("wrong end", f"{run.method_name} {run.id}, run {run.run}, is {run.state} and not its last")


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


def _judge_worker(run: Run, evidence: Evidence, verdict: Verdict) -> None:
    """What was executed was executed by the worker in whose name it is recorded, for a finish as for a loss."""
    for line in evidence.starts.get((run.id, run.run), ()):
        if line.supervisor != evidence.registered.get(run.worker or ""):
            verdict.blame(
                "recorded for another worker",
                f"{run.id}, run {run.run}, is {run.state} of the worker {run.worker}, not of process {line.supervisor}",
            )


def _judge_executions(evidence: Evidence, verdict: Verdict) -> None:
    """Each number was executed once at most; whatever was executed again is explained by a recorded loss."""
    begun_again: set[str] = set()
    for (id, number), lines in evidence.starts.items():
        archived = next((run for run in evidence.archive.get(id, []) if run.run == number), None)
        if len(lines) > 1:
            verdict.blame("doubled", f"{id}, run {number}, was executed {len(lines)} times")
        if archived is None:
            known = evidence.ledger.entries.get(lines[0].token, ("", "unheard of"))[1]
            verdict.blame("doubled", f"{id}, run {number}, was executed and is not recorded (its client: {known})")
        elif archived.state == "reset":
            begun_again.add(id)
            late = lines[0].time - archived.finish_time
            verdict.figures["executions that began after they were recorded as lost"] += late > 0
            if late > OVERDUE and not _befell(evidence.periods, "clock", archived.finish_time, lines[0].time):
                verdict.blame("begun after its loss", f"{id}, run {number}, by {late / 1e6:.1f} s")
    lost = [run for runs in evidence.archive.values() for run in runs if run.state == "reset"]
    verdict.figures.update(
        {
            "tasks in the archive": len(evidence.archive),
            "executions": sum(map(len, evidence.starts.values())),
            "runs recorded as lost": len(lost),
            "tasks begun again after a recorded loss": len(begun_again),
            "executions that ended and were recorded as lost": sum((run.id, run.run) in evidence.ends for run in lost),
            "executed again without a recorded loss": verdict.count("doubled"),
            "lost": verdict.count("lost") + verdict.count("not ended"),
        }
    )


def _judge_waits(evidence: Evidence, verdict: Verdict) -> None:
    """No task lies about while others begin, those that were accepted in the same second first of all, unless its run
    was lost: one that is stuck must not be hidden by the next fault, which sets it free."""
    lively = sorted({lines[0].time // SECOND for lines in evidence.starts.values()})
    begun: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for runs in evidence.archive.values():
        accepted = evidence.ledger.times.get(runs[0].token)
        lines = evidence.starts.get((runs[0].id, 1))
        if accepted is not None and lines and runs[0].schedule_name is None and runs[0].method_name not in DELAYED:
            begun[accepted // SECOND].append((lines[0].time // SECOND, runs[0].id))
    longest = 0
    for together in begun.values():
        usual = bisect(lively, median_low(second for second, _ in together))
        for second, id in together:
            waited = bisect(lively, second) - usual
            longest = max(longest, waited)
            if waited > LEFT_BEHIND:
                verdict.blame("left behind", f"{id} began {waited} s after its contemporaries, and others meanwhile")
    verdict.figures["longest wait behind contemporaries while others began (seconds)"] = longest


def _judge_schedule(runs: list[Run], evidence: Evidence, verdict: Verdict) -> None:
    """No occurrence twice, and none skipped of which no worker's log tells, unless the worker may have been kept from
    telling. The last record says how far it has come: when it was removed, its next occurrence was not done yet."""
    done = [run for run in runs if run.state != "reset"]
    name, untold = runs[0].schedule_name, 0
    for run, successor in pairwise(done):
        time, following = run.scheduled_time or 0, successor.scheduled_time or 0
        if following <= time or (following - time) % INTERVAL:
            verdict.blame("doubled occurrence", f"{name}: {time} is followed by {following}")
        missed = max(0, (following - time) // INTERVAL - 1)
        verdict.figures["occurrences skipped"] += missed
        if not any(_befell(evidence.periods, kind, time, following) for kind in SILENCING):
            untold += missed
    told = evidence.skips_logged[runs[0].id]
    if untold > told:
        verdict.blame("skipped occurrence", f"{name}: {untold} were skipped, and the logs tell of {told}")
    verdict.figures["occurrences run"] += sum(run.state != "canceled" for run in done)


def _befell(periods: list[Period], kind: str, begin: int, end: int) -> bool:
    """Whether a fault of that kind fell into that time."""
    return any(kind in period.kind and period.begin < end and period.recovered > begin for period in periods)


def _measure_rescues(evidence: Evidence, verdict: Verdict) -> None:
    """How long after the fault that came before it each lost run was reset."""
    periods = sorted(evidence.periods, key=lambda period: period.begin)
    for runs in evidence.archive.values():
        for run in runs:
            before = [period for period in periods if period.begin <= run.finish_time]
            if run.state == "reset" and before:
                verdict.rescues[before[-1].kind].append(run.finish_time - before[-1].begin)
