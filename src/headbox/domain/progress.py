"""What a task reports, read for people: `{"done", "total"}`, several of those by name, or any other JSON value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple


class Measure(NamedTuple):
    """So much of a total that may be unknown; `name` is empty where there is only one."""

    name: str
    done: float
    total: float | None

    @property
    def fraction(self) -> float | None:
        """How far it has come, 0 to 1; None where nobody knows."""
        return None if not self.total else min(max(self.done / self.total, 0.0), 1.0)

    def __str__(self) -> str:
        whole = f"/{amount(self.name, self.total)}" if self.total is not None else ""
        return f"{amount(self.name, self.done)}{whole}"


def measures(progress: Any) -> list[Measure]:
    """The measures in a progress; [] where it has another form."""
    if not isinstance(progress, Mapping):
        return []
    if single := _measure("", progress):
        return [single]
    found = [_measure(name, value) for name, value in progress.items()]
    return [measure for measure in found if measure] if all(found) else []


def amount(name: str, value: float) -> str:
    """A number as people read it; of bytes, in the unit that suits it."""
    if not name.endswith("bytes"):
        return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"
    for unit in ("B", "kB", "MB", "GB"):
        if abs(value) < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def _measure(name: str, value: Any) -> Measure | None:
    if not isinstance(value, Mapping) or not _is_number(value.get("done")):
        return None
    total = value.get("total")
    return Measure(name, value["done"], total) if total is None or _is_number(total) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
