"""Small facts about processes that only the operating system knows, and the ways it is asked (proc(5), prctl(2))."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None, use_errno=True).prctl
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def die_with_parent(death_signal: signal.Signals, parent: int) -> None:
    """Asks for `death_signal` at the end of the parent (strictly: of the thread of it that started this process), and
    ends here if the parent has ended already. Not inherited by processes started from here."""
    if _prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    if os.getppid() != parent:
        os._exit(1)


def kill_group(leader: int) -> None:
    """SIGKILL to all that is left of a process group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # nobody, or nobody of ours
        os.killpg(leader, signal.SIGKILL)


def kill_child(pid: int) -> None:
    """SIGKILL to a child that has not been reaped, and to its process group: it may have moved to another."""
    kill_group(pid)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def boot_id() -> str:
    """What names this boot of the machine and this world of process numbers (a container has its own)."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"


def process_start(pid: int) -> int | None:
    """When the process started, in clock ticks after boot; None if there is none. Tells a pid that was used again."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(stat.rpartition(")")[2].split()[19])  # field 22; the name in parentheses may hold anything


def resident_memory(pid: int) -> int:
    """Bytes of memory that the process holds; 0 if there is none."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    except (FileNotFoundError, ProcessLookupError):
        return 0
