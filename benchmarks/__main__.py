"""`python -m benchmarks`: runs the workloads one after another and prints their figures."""

from __future__ import annotations

import argparse
from functools import partial

from benchmarks import workloads


def main() -> None:
    """Parses the sizes, runs, prints."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=", description="Measures Headbox on this machine.")
    parser.add_argument("--tasks", type=int, default=20_000, help="of the backlog and in bulk")
    parser.add_argument("--starts", type=int, default=300, help="timed starts on an idle worker")
    parser.add_argument("--scheduled", type=int, default=200, help="tasks scheduled over ten seconds")
    parser.add_argument("--only", nargs="*", default=[], help="names of workloads")
    options = parser.parse_args()
    every = {
        "enqueue": partial(workloads.enqueue, options.tasks),
        "drain": partial(workloads.drain, options.tasks),
        "latency": partial(workloads.latency, options.starts),
        "lateness": partial(workloads.lateness, options.scheduled),
    }
    for name, workload in every.items():
        if not options.only or name in options.only:
            for figure, value in workload().items():
                print(f"{name:10} {figure:26} {value:12,.2f}", flush=True)


if __name__ == "__main__":
    main()
