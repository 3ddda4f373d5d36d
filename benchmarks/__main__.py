"""`make bench`: measures Headbox, what its databases allow and its peers, side by side, and prints the tables."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.figures import POSTGRES, SQLITE, TITLES, Results
from benchmarks.machine import about
from benchmarks.peers.catalogue import PEERS
from benchmarks.peers.measure import measure as measure_peer
from benchmarks.peers.stores import Stores
from benchmarks.scene import PostgresSite, Site, SQLiteSite
from benchmarks.sizes import DEFAULT, FULL, TINY, Sizes, described
from benchmarks.workloads import WORKLOADS
from servers.postgres import Server

KEPT = Path(__file__).parent / "results"


def main() -> None:
    """Parses the sizes, runs, prints, writes docs/performance.md."""
    options = parse()
    if options.from_file:
        results = Results.read(options.from_file)
    else:
        results, sizes = Results(), sizes_of(options)
        results.about = {**about(), "sizes": described(sizes)}
        run(results, options, sizes, options.keep / f"{datetime.now(UTC):%Y%m%d-%H%M%S}.json")
    print("\n".join(report.text(results)))
    place = options.write or (report.DOCS if is_whole(options) and not options.from_file else None)
    if place is not None:
        report.write(results, place)
        print(f"\nWritten to {place / report.PAGE}")
    if set(results.notes) - {peer.title for peer in PEERS.values()}:
        sys.exit(1)


def parse() -> argparse.Namespace:
    """The options: which workloads and peers, and every size."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=", description=__doc__)
    parser.add_argument("--only", nargs="*", choices=tuple(TITLES), default=tuple(TITLES), help="these workloads")
    parser.add_argument("--databases", nargs="*", choices=(SQLITE, POSTGRES), default=(SQLITE, POSTGRES))
    parser.add_argument("--peers", nargs="*", choices=tuple(PEERS), default=tuple(PEERS), help="these peers, or none")
    parser.add_argument("--full", action="store_true", help="ten million archived runs, and longer drains")
    parser.add_argument("--tiny", action="store_true", help="to see that it works")
    parser.add_argument(
        "--write",
        type=Path,
        nargs="?",
        const=report.DOCS,
        metavar="FOLDER",
        help="write performance.md and its charts, as is done in docs/ when nothing is left out",
    )
    parser.add_argument("--keep", type=Path, default=KEPT, metavar="FOLDER", help="where the run is kept")
    parser.add_argument("--from-file", type=Path, help="show a run that was kept in benchmarks/results")
    for field in dataclasses.fields(Sizes):
        option = f"--{field.name.replace('_', '-')}"
        meaning = f"{field.metadata['meaning']} [{field.default}]"
        parser.add_argument(option, type=type(field.default), metavar="N", help=meaning)
    return parser.parse_args()


def is_whole(options: argparse.Namespace) -> bool:
    """Whether everything is measured, and at sizes that mean something."""
    everything = (set(TITLES), {SQLITE, POSTGRES}, set(PEERS))
    return not options.tiny and (set(options.only), set(options.databases), set(options.peers)) == everything


def sizes_of(options: argparse.Namespace) -> Sizes:
    """The sizes that were asked for."""
    base = FULL if options.full else TINY if options.tiny else DEFAULT
    given: dict[str, Any] = {field.name: getattr(options, field.name) for field in dataclasses.fields(Sizes)}
    return dataclasses.replace(base, **{name: value for name, value in given.items() if value is not None})


def run(results: Results, options: argparse.Namespace, sizes: Sizes, kept: Path) -> None:
    """One workload after another, each on every database, then the peers. What there is is kept after each of them."""
    server = Server()
    try:
        sites: dict[str, Site] = {SQLITE: SQLiteSite(), POSTGRES: PostgresSite(server)}
        for workload in options.only:
            for site in (sites[name] for name in options.databases):
                with told(f"{workload} on {site.name}"):
                    measure(results, workload, site, sizes)
                results.save(kept)
        with Stores(server) as stores:
            for name in options.peers:
                with told(PEERS[name].title):
                    measure_peer(results, name, stores, sizes)
                results.save(kept)
    finally:
        server.remove()


def measure(results: Results, workload: str, site: Site, sizes: Sizes) -> None:
    """Adds a workload's figures, or a note that says why some are missing: the others are worth having all the same."""
    try:
        for measured in WORKLOADS[workload](site, sizes):
            results.add(site.name, measured)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is reported, and the exit status tells of it
        results.notes[f"{workload} on {site.name}"] = f"{type(error).__name__}: {error}"


@contextmanager
def told(what: str) -> Iterator[None]:
    """Says what is going on, and how long it took."""
    print(f"{what} … ", end="", file=sys.stderr, flush=True)
    began = time.perf_counter()
    yield
    print(f"{time.perf_counter() - began:.1f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
