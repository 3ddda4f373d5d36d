"""`make chaos`: a long run, its figures, and exit status 1 if a promise was broken."""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import sys

from tests.fault.chaos.engine import Plan, run, tidy
from tests.fault.chaos.figures import lines


def say(line: str) -> None:
    """A line for whoever watches, or for the log."""
    print(line, flush=True)  # noqa: T201


def main() -> int:
    """Reads the command line and runs."""
    parser = argparse.ArgumentParser(
        prog="make chaos", description="Break a Headbox under load, and see what it keeps."
    )
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--tasks", type=int, default=5000, help="accept at least so many")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="replay a run's faults and tasks")
    parser.add_argument(
        "--only", action="append", default=[], metavar="WORD", help="only faults with this in their name"
    )
    parser.add_argument("--keep", action="store_true", help="keep logs and journal, and say where")
    given = parser.parse_args()
    for name in [name for name in os.environ if name.startswith("HEADBOX_")]:
        del os.environ[name]
    plan = Plan(
        database=given.database, seconds=given.seconds, tasks=given.tasks, seed=given.seed, only=tuple(given.only)
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is ended
    say(f"seed {plan.seed}")
    outcome = run(plan, say)
    say("\n".join(lines(outcome)))
    if outcome.verdict.violations:
        return 1
    if given.keep:
        say(f"logs and journal: {outcome.folder}")
    else:
        tidy(outcome)
    return 0


if __name__ == "__main__":
    sys.exit(main())
