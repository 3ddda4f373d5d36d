"""A virtual environment for each peer, in benchmarks/.peers: made at first use, and kept."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from benchmarks.peers.catalogue import Peer

PLACE: Final = Path(__file__).parent.parent / ".peers"
INSTALL_SECONDS: Final = 300
NEWEST_MINOR: Final = 30  # of Python 3, up to which an interpreter is looked for


class Unavailable(Exception):
    """A peer cannot be installed or run here, and why."""


def install(name: str, peer: Peer) -> Path:
    """The `bin` folder of the peer's environment."""
    python = interpreter(peer.python)
    folder = PLACE / name
    digest = hashlib.sha256("\n".join(peer.requirements).encode()).hexdigest()
    mark = folder / ".installed"
    if not mark.exists() or mark.read_text() != digest:
        shutil.rmtree(folder, ignore_errors=True)
        _run([python, "-m", "venv", str(folder)])
        _run([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *peer.requirements])
        mark.write_text(digest)
    return folder / "bin"


def interpreter(oldest: tuple[int, int]) -> str:
    """This Python, or where a peer needs a newer one the first such that the machine has: on the PATH, or by pyenv."""
    if sys.version_info >= oldest:
        return sys.executable
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    folders = [*os.get_exec_path(), *(str(version / "bin") for version in sorted(root.glob("versions/*")))]
    for minor in range(oldest[1], NEWEST_MINOR):
        for folder in folders:
            found = shutil.which(f"python3.{minor}", path=folder)
            # A shim of pyenv is on the PATH for versions, too, that it then refuses to run.
            if found and not subprocess.run([found, "-c", "import ensurepip, venv"], capture_output=True).returncode:
                return found
    needed = ".".join(map(str, oldest))
    raise Unavailable(
        f"needs Python {needed}, and this is {sys.version_info.major}.{sys.version_info.minor}; nor is there another"
    )


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"its installation took more than {INSTALL_SECONDS} s") from None
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no reason was given").splitlines()[-1]
        raise Unavailable(f"it cannot be installed: {last}")
