"""The source as a clone has it: without what git ignores."""

from __future__ import annotations

import shutil
from fnmatch import fnmatch
from pathlib import Path

from tests.docs.blocks import ROOT


def clone(target: Path) -> Path:
    """Copies the source there, and returns the folder."""
    lines = (ROOT / ".gitignore").read_text("utf-8").splitlines()
    patterns = [line.rstrip("/") for line in lines if line and not line.startswith("#")]

    def ignored(folder: str, names: list[str]) -> set[str]:
        inner = Path(folder).relative_to(ROOT)
        paths = {name: str(inner / name) for name in names}
        return {
            name
            for name, path in paths.items()
            if name == ".git" or any(fnmatch(path if "/" in pattern else name, pattern) for pattern in patterns)
        }

    shutil.copytree(ROOT, target, ignore=ignored)
    return target
