"""Lays out what the site is built from: the written pages with their links made to fit, and the generated ones."""

from __future__ import annotations

import posixpath
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from docs._generate import command_line, configuration, http_interface, python_interface, states

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"
NOT_PAGES: Final = ("_generate", "_style")

GENERATED: Final = {
    "reference/python.md": python_interface.render,
    "reference/command-line.md": command_line.render,
    "reference/configuration.md": configuration.render,
    "reference/http.md": http_interface.render,
    "reference/openapi.json": http_interface.render_document,
}
# Files from outside docs/ that are on the site too: where they are there.
GUESTS: Final = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "deploy/Containerfile": "deploy/Containerfile",
    "deploy/headbox-api.service": "deploy/headbox-api.service",
    "deploy/headbox-work@.service": "deploy/headbox-work@.service",
    "deploy/headbox.env": "deploy/headbox.env",
    "examples/repository_sync.py": "examples/repository_sync.py",
}
LINK: Final = re.compile(r"(\]\()([^)\s#]+)(#[^)\s]*)?(\))")
SCHEME: Final = re.compile(r"[a-z]+:")


def lay_out(target: Path) -> None:
    """Fills `target`, emptied first. ValueError for a link to what the site does not have."""
    shutil.rmtree(target, ignore_errors=True)
    places = dict(sources())
    for source, place in places.items():
        path = target / place
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".md":
            text = (ROOT / source).read_text("utf-8").replace(states.MARK, states.render())
            path.write_text(fit(text, source, places), "utf-8")
        else:
            shutil.copyfile(ROOT / source, path)
    for place, render in GENERATED.items():
        path = target / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render(), "utf-8")


def sources() -> Iterator[tuple[str, str]]:
    """(its path in the repository, its path on the site) of every file that is taken as it is."""
    for path in sorted(DOCS.rglob("*")):
        inner = path.relative_to(DOCS)
        if path.is_file() and inner.parts[0] not in NOT_PAGES and inner.suffix in (".md", ".css", ".svg", ".png"):
            yield str(path.relative_to(ROOT)), str(inner)
    yield from GUESTS.items()


def fit(text: str, source: str, places: dict[str, str]) -> str:
    """The page's text, its links to files of the repository turned into links within the site."""
    here = posixpath.dirname(places[source])

    def turn(match: re.Match[str]) -> str:
        before, link, fragment, after = match[1], match[2], match[3] or "", match[4]
        if SCHEME.match(link):
            return match[0]
        meant = posixpath.normpath(posixpath.join(posixpath.dirname(source), link))
        place = places.get(meant, meant.removeprefix("docs/"))
        if meant not in places and place not in GENERATED:
            raise ValueError(
                f"{source} links to {link}, which is not on the site: link to what is, or add it to GUESTS"
            )
        return f"{before}{posixpath.relpath(place, here or '.')}{fragment}{after}"

    return LINK.sub(turn, text)
