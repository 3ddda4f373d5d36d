"""What a process and all that it has started take of the machine, from /proc."""

from __future__ import annotations

import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> list[int]:
    """The process and its descendants."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def memory(pid: int) -> float:
    """The tree's proportional set size, in MB: what processes share counts once."""
    return sum(_pss(each) for each in tree(pid)) / 1000


def _pss(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    (kibibytes,) = (int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kibibytes * 1.024


def cpu_seconds(pid: int) -> float:
    """CPU that the tree's living processes have used, theirs and the system's for them."""
    return sum(_ticks(each) for each in tree(pid)) / TICKS


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
