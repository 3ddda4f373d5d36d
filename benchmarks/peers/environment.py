"""A virtual environment for each peer, in benchmarks/.peers: made at first use, and kept."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from benchmarks.peers.catalogue import Peer

PLACE: Final = Path(__file__).parent.parent / ".peers"
INSTALL_SECONDS: Final = 300


class Unavailable(Exception):
    """A peer cannot be installed or run here, and why."""


def install(name: str, peer: Peer) -> Path:
    """The `bin` folder of the peer's environment."""
    if sys.version_info < peer.python:
        needed = ".".join(map(str, peer.python))
        raise Unavailable(f"needs Python {needed}, and this is {sys.version_info.major}.{sys.version_info.minor}")
    folder = PLACE / name
    digest = hashlib.sha256("\n".join(peer.requirements).encode()).hexdigest()
    mark = folder / ".installed"
    if not mark.exists() or mark.read_text() != digest:
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *peer.requirements])
        mark.write_text(digest)
    return folder / "bin"


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"its installation took more than {INSTALL_SECONDS} s") from None
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no reason was given").splitlines()[-1]
        raise Unavailable(f"it cannot be installed: {last}")
