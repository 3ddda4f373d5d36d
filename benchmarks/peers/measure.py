"""Measures a peer: single and bulk enqueues, drains, and the time until a task starts."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.figures import Measured, Results
from benchmarks.peers.catalogue import PEERS, Peer
from benchmarks.peers.environment import Unavailable, install
from benchmarks.peers.stores import Stores
from benchmarks.sizes import Sizes
from benchmarks.workloads.times import quantile

HERE = Path(__file__).parent
PATIENCE = 45.0  # seconds after which a peer has failed
LOOK = 0.002
STALL = 5.0  # seconds without a task after which nothing more is to be expected
MOST = 0.99  # of a drain that has to be run for a rate
SETTLE = 1.0  # seconds after its first task in which a worker comes to rest
END_SECONDS = 4


def measure(results: Results, name: str, stores: Stores, sizes: Sizes) -> None:
    """Adds the peer's figures, or a note that says why there are none."""
    peer = PEERS[name]
    try:
        programs = install(name, peer)
        with tempfile.TemporaryDirectory(dir=os.environ.get("BENCHMARK_FOLDER")) as folder, ExitStack() as stack:
            url = stack.enter_context(stores.place(peer.store, Path(folder)))
            played = Play(peer, programs, url, Path(folder))
            stack.callback(played.end)
            for figure, value in played.figures(sizes):
                results.add(peer.store, Measured(figure, value, peer.title))
            if played.lost:
                results.notes[peer.title] = "; ".join(played.lost)
    except Unavailable as reason:
        results.notes[peer.title] = str(reason)


class Play:
    """One peer at work in a folder."""

    def __init__(self, peer: Peer, programs: Path, url: str, folder: Path) -> None:
        self._peer = peer
        self.lost: list[str] = []
        self._programs = programs
        self._journal = folder / "journal"
        self._journal.touch()
        self._log = folder / "log"
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("HEADBOX_", "PYTHON"))},
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(HERE / "adapters"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PEER_URL": url,
            "PEER_JOURNAL": str(self._journal),
        }
        self._inside = self._start([str(programs / "python"), str(HERE / "inside.py"), peer.adapter], pipes=True)

    def figures(self, sizes: Sizes) -> Iterator[tuple[str, float]]:
        """One after another."""
        about = self._order("about")
        kinds, self._workers = about["kinds"], about["workers"]
        drained = max(10, min(sizes.drain, int(self._peer.rate * sizes.peer_seconds)))
        yield "w1.single", self._order("singles", "nothing", sizes.peer_singles)
        with self._working():
            self._wait_for(sizes.peer_singles)
            time.sleep(min(SETTLE, sizes.peer_seconds))
            times = self._order("starts", sizes.peer_starts)
            yield "w3.p50", quantile(times, 0.5)
            yield "w3.p99", quantile(times, 0.99)
        for figure, kind in (("w2.sync", "nothing"), ("w2.async", "nothing_async")):
            if kind in kinds:
                os.truncate(self._journal, 0)
                rate = self._order("bulk", kind, drained)
                if about["has_bulk"] and kind == "nothing":
                    yield "w1.bulk", rate
                with self._working():
                    yield figure, self._drain(drained)

    def _drain(self, count: int) -> float:
        """Tasks a second, from the first that is seen to the last. A peer that loses a few is measured all the same."""
        self._wait_for(1)
        first, began = self._begun(), time.perf_counter()
        last, ended = first, began
        while last < count and time.perf_counter() - ended < STALL:
            time.sleep(LOOK)
            if (now := self._begun()) > last:
                last, ended = now, time.perf_counter()
        if last < count * MOST:
            raise Unavailable(f"its workers stopped at {last} of {count} tasks: {self._last_words()}")
        if last < count:
            self.lost.append(f"{count - last} of {count} tasks were never run")
        return (last - first) / max(ended - began, LOOK)

    def _wait_for(self, count: int) -> None:
        end = time.monotonic() + PATIENCE
        while self._begun() < count:
            if time.monotonic() > end:
                raise Unavailable(f"its workers stopped at {self._begun()} of {count} tasks: {self._last_words()}")
            time.sleep(LOOK)

    def _begun(self) -> int:
        return self._journal.stat().st_size

    @contextmanager
    def _working(self) -> Iterator[None]:
        started = [self._start([str(self._programs / program), *words]) for program, *words in self._workers]
        try:
            yield
        finally:
            for process in started:
                _end(process)

    def _start(self, command: list[str], *, pipes: bool = False) -> subprocess.Popen[bytes]:
        end = subprocess.PIPE if pipes else subprocess.DEVNULL
        with self._log.open("ab") as log:
            return subprocess.Popen(
                command, cwd=HERE / "adapters", env=self._environment, stdin=end, stdout=end if pipes else log,
                stderr=log, start_new_session=True,
            )  # fmt: skip

    def _order(self, *order: Any) -> Any:
        stdin, stdout = self._inside.stdin, self._inside.stdout
        assert stdin is not None and stdout is not None
        try:
            stdin.write(json.dumps(order).encode() + b"\n")
            stdin.flush()
        except BrokenPipeError:
            raise Unavailable(f"it failed: {self._last_words()}") from None
        answer = stdout.readline() if select.select([stdout], [], [], PATIENCE)[0] else b""
        if not answer:
            raise Unavailable(f"it failed at {order[0]}: {self._last_words()}")
        return json.loads(answer)

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else "it said nothing"

    def end(self) -> None:
        """Ends the process that gives the orders."""
        _end(self._inside)


def _end(process: subprocess.Popen[bytes]) -> None:
    """A peer's process and whatever it has started: its own session, so nobody else's."""
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
