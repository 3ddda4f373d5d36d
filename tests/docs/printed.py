"""What a page says is printed, beside what is: times, sizes, ids and ports may be others."""

from __future__ import annotations

import re
from typing import Final


def compare(expected: str, printed: str) -> dict[str, str] | None:
    """None if something else was printed, else the ids that stand for those of the page. `…` stands for anything, a
    line of it for any lines; times may be others."""
    ids: list[str] = []
    lines = [_line_pattern(line, ids) for line in expected.strip().splitlines()]
    found = re.fullmatch("".join(lines), "".join(f"{line.strip()}\n" for line in printed.strip().splitlines()))
    return None if found is None else dict(zip(ids, found.groups(), strict=True))


def _line_pattern(line: str, ids: list[str]) -> str:
    if line.strip() == "…":
        return r"(?:[^\n]*\n)*"
    ids += ID.findall(line)
    pattern = r"\s+".join(map(re.escape, line.split())).replace("…", "[^\n]*")
    for what, like in _BAR if BAR.search(line) else _VARY:
        pattern = re.sub(what, lambda _, found=like: found, pattern)
    return pattern + r"\n"


BAR: Final = re.compile("[━─▁-█]{3}")
_BAR: Final = ((r"[━─▁-█]+", "[━╸╺─▁-█ ]+"), (r"\d+(?:\\\.\d+|,\d+)?", r"[\d.,]+"))  # of what moves
ID: Final = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_VARY: Final = (
    (r"[0-9a-f]{8}(\\-[0-9a-f]{4}){3}\\-[0-9a-f]{12}", r"([0-9a-f-]{36})"),
    (r":(?:0|8000)/", r":\d+/"),
    (r"\d+(?:\\\.\d+)?\\s\+[kM]B", r"[\d.]+\s+[kM]B"),
    (r"in\\s\+\d+\\s\+(min|h|d)\b", r"(?:in\s+\d+\s+(?:s|min|h|d)|\d+\s+\w+\s+\d{4})"),
    (r"\d\d:\d\d:\d\d", r"\d\d:\d\d:\d\d"),
    (r"\bnow\b", r"(?:now|\d+\s+s\s+ago)"),
    (r"\d+(\\\.\d+)?\\s\+m?s\b", r"(?:<\s+)?[\d.]+\s+m?s"),
)
