"""The benchmark still works: every workload, at sizes that say nothing about speed, and each on some database."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from benchmarks.figures import FIGURES, HEADBOX, Results
from benchmarks.peers.environment import Unavailable, interpreter

RUNS = {
    "SQLite": ("W1", "W2", "W3", "W4", "W5", "W7", "W9", "W10"),
    "PostgreSQL": ("W1", "W2", "W6", "W8"),
}
OUTSIDE = {"w8.statistics"}  # measured where there is such a call
ONE_OF_TWO = {"w2.two"}  # of a floor alone


@pytest.mark.parametrize("database", RUNS)
def test_the_workloads_run_and_their_tables_come_out(database: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--tiny", "--peers", "--databases", database]
    command += ["--only", *RUNS[database], "--write", str(tmp_path), "--keep", str(tmp_path)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HEADBOX_")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    (kept,) = tmp_path.glob("*.json")
    results = Results.read(kept)
    wanted = {name for name, figure in FIGURES.items() if figure.workload in RUNS[database]} - OUTSIDE - ONE_OF_TWO
    assert wanted == {name for name in wanted if results.get(name, database, HEADBOX) is not None}
    if "W7" in RUNS[database]:
        assert results.get("w7.lost", database) == 0
    page = (tmp_path / "performance.md").read_text()
    assert "| sizes | rounds 1, singles 10," in page
    for workload in RUNS[database]:
        assert f"## {workload}: " in page and f"\n{workload}  " in done.stdout
        ElementTree.parse(tmp_path / "images" / f"performance-{workload.lower()}.svg")


def test_a_peer_that_needs_a_newer_python_gets_one_that_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = (3, sys.version_info.minor + 1)
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "shims"))
    assert interpreter((3, 11)) == sys.executable
    with pytest.raises(Unavailable, match=f"needs Python 3.{newer[1]}"):
        interpreter(newer)
    for place, status in (("shims", 127), ("versions/3.x/bin", 0)):
        stand_in = tmp_path / place / f"python3.{newer[1]}"
        stand_in.parent.mkdir(parents=True)
        stand_in.write_text(f"#!/bin/sh\nexit {status}\n")
        stand_in.chmod(0o755)
    assert interpreter(newer) == str(stand_in)
