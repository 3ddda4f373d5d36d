"""The code blocks of a page: what language they are in, which file they are, where they are typed, and why one cannot
be run. A comment before a block says the latter two: `<!-- in a checkout, on a terminal -->`, `<!-- not run: … -->`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
NOT_RUN = re.compile(r"<!-- not run: (.+?) -->", re.DOTALL)
WHERE = re.compile(r"<!-- ((?:in a checkout|on a terminal)(?:, on a terminal)?) -->")
TITLE = re.compile(r'title="([^"]+)"')


@dataclass(frozen=True)
class Block:
    """A fenced block. `title` is the file that it is the content of; `reason` says why it is not run. It is typed in a
    fresh checkout, or in the folder of the page; what is shown `on_terminal` is not the same in a pipe."""

    page: str
    line: int
    language: str
    title: str | None
    text: str
    reason: str | None = None
    in_checkout: bool = False
    on_terminal: bool = False

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[str]:
    """Every page in which code may stand, by its path in the repository."""
    written = sorted((ROOT / "docs").rglob("*.md"))
    return ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", *(str(path.relative_to(ROOT)) for path in written)]


def blocks(page: str, text: str | None = None) -> list[Block]:
    """The blocks of a page in order. ValueError for one that is indented, since it does not say what it is."""
    found: list[Block] = []
    reason, where = None, ""
    for token in MarkdownIt("commonmark").enable("table").parse(text or (ROOT / page).read_text("utf-8")):
        line = (token.map or [0])[0] + 1
        if token.type == "html_block":
            marked = NOT_RUN.search(token.content)
            reason = " ".join(marked[1].split()) if marked else None
            placed = WHERE.search(token.content)
            where = placed[1] if placed else ""
        elif token.type == "code_block":
            raise ValueError(f"{page}:{line}: fence the block, and name its language")
        elif token.type == "fence":
            language, _, rest = token.info.partition(" ")
            title = TITLE.search(rest)
            is_in, is_on = "in a checkout" in where, "on a terminal" in where
            found.append(Block(page, line, language, title and title[1], token.content, reason, is_in, is_on))
            reason, where = None, ""
        elif token.type.endswith("_open"):
            reason, where = None, ""
    return found
