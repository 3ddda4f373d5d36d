"""What a task reports, for a terminal: in one line, and as a bar."""

from __future__ import annotations

from typing import Any

from headbox.cli.terminal import compact, printable
from headbox.domain import progress as domain
from headbox.domain.progress import Measure


def bar(fraction: float, width: int) -> str:
    """So much of a bar of that width."""
    halves = round(min(max(fraction, 0.0), 1.0) * width * 2)
    full, half = divmod(halves, 2)
    return "━" * full + "╸" * half + "─" * (width - full - half)


def measures(progress: Any) -> list[Measure]:
    """The measures in a progress, their names as they can be printed; [] where it has another form."""
    return [measure._replace(name=printable(measure.name)) for measure in domain.measures(progress)]


def describe(progress: Any) -> str:
    """The progress in one line."""
    if progress is None:
        return ""
    found = measures(progress)
    return ", ".join(f"{measure.name} {measure}".strip() for measure in found) if found else compact(progress)
