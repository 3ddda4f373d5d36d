"""The site builds, every link in it leads somewhere, it asks nothing of other hosts, its reference is complete."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import headbox
from docs._generate import command_line, configuration, http_interface, python_interface, staging, states
from headbox.config import SETTINGS
from headbox.domain.states import TRANSITIONS

ROOT = Path(__file__).parents[2]


class Page(HTMLParser):
    """What a page links to, what it loads without being asked, and its anchors."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag == "link" and values.get("rel") not in ("canonical", "next", "prev"):
            self.loads.append(values["href"])
        elif "src" in values:
            self.loads.append(values["src"])


@pytest.fixture(scope="module")
def site() -> dict[Path, Page]:
    """Every page of the site, freshly built."""
    built = subprocess.run([sys.executable, "-m", "docs._generate"], cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    pages = {path: Page(path.read_text("utf-8")) for path in (ROOT / "build" / "site").rglob("*.html")}
    assert len(pages) > 10
    return pages


def test_every_link_leads_to_a_file_and_an_anchor_that_exist(site: dict[Path, Page]) -> None:
    for path, page in site.items():
        if path.name == "404.html":
            continue
        for link in page.links + page.loads:
            found = urlsplit(link)
            if found.scheme or found.netloc:
                continue
            target = (path.parent / unquote(found.path)).resolve() if found.path else path
            target = target / "index.html" if target.is_dir() else target
            assert target.is_file(), f"{path.name} links to {link}"
            if found.fragment and target in site:
                assert unquote(found.fragment) in site[target].anchors | {"__skip"}, f"{path.name} links to {link}"


def test_no_page_loads_anything_from_another_host(site: dict[Path, Page]) -> None:
    for path, page in site.items():
        assert [load for load in page.loads if urlsplit(load).netloc] == [], path.name
    for sheet in (ROOT / "build" / "site").rglob("*.css"):
        assert re.findall(r"""(?:url\(|@import)\s*["']?(?:https?:)?//""", sheet.read_text("utf-8")) == [], sheet.name


def test_each_page_that_is_written_is_in_the_navigation(site: dict[Path, Page]) -> None:
    home = next(page for path, page in site.items() if path == ROOT / "build" / "site" / "index.html")
    reachable = {unquote(urlsplit(link).path).removeprefix("./") for link in home.links}
    pages = {str(path.relative_to(ROOT / "build" / "site")) for path in site} - {"404.html"}
    lost = pages - reachable - {"index.html"}
    assert not lost, f"nothing leads to {lost}: add it to nav in zensical.toml"


def test_a_link_to_what_is_not_on_the_site_stops_the_build() -> None:
    places = dict(staging.sources())
    with pytest.raises(ValueError, match=r"docs/index\.md links to \.\./Makefile"):
        staging.fit("[make](../Makefile)", "docs/index.md", places)


def test_a_link_out_of_the_docs_is_made_to_fit_the_site() -> None:
    places = dict(staging.sources())
    assert staging.fit("[x](../../CHANGELOG.md#new)", "docs/how-to/run-on-postgresql.md", places) == (
        "[x](../changelog.md#new)"
    )


def test_the_reference_describes_every_public_name() -> None:
    text = python_interface.render()
    assert [name for name in headbox.__all__ if f"\n### {name}\n" not in text] == []
    methods = [name for name in vars(headbox.TaskQueue) if not name.startswith("_")]
    assert [name for name in methods if f"#### TaskQueue.{name}\n" not in text and f"`{name}`" not in text] == []


def test_the_reference_describes_every_command_and_option() -> None:
    text = command_line.render()
    for path, command, _ in command_line.commands():
        assert re.search(rf"^###? {path}$", text, re.MULTILINE), path
        described = text.split(f" {path}\n", 1)[1].split("\n## ")[0].split("\n### ")[0]
        for parameter in command.params:
            for option in () if getattr(parameter, "hidden", True) else parameter.opts:
                assert f"{option}" in described, f"{path} {option}"


def test_the_reference_describes_every_setting() -> None:
    text = configuration.render()
    assert [setting.name for setting in SETTINGS if f"\n## {setting.name}\n" not in text] == []
    assert [setting.name for setting in SETTINGS if f"`HEADBOX_{setting.name.upper()}`" not in text] == []


def test_the_reference_describes_every_call_and_body() -> None:
    text, document = http_interface.render(), http_interface.openapi()
    calls = [f"### {method.upper()} {path}\n" for path, methods in document["paths"].items() for method in methods]
    assert [call for call in calls if call not in text] == []
    assert [name for name in document["components"]["schemas"] if f"\n### {name}\n" not in text] == []


def test_the_diagram_shows_the_transitions_and_nothing_else() -> None:
    members = {name: frame[0] for name, frame in states.FRAMES.items()}
    drawn = [
        (event, source, target)
        for (begin, target), events in states.arrows().items()
        for event in events
        for source in members.get(begin, (begin,))
    ]
    told = [
        (event, source, target) for event, ways in TRANSITIONS.items() for source in ways for target in ways[source]
    ]
    assert sorted(drawn) == sorted(told)


def test_a_transition_that_cannot_be_drawn_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "TRANSITIONS", {"claim": {"waiting": ("error",)}})
    with pytest.raises(ValueError, match="waiting"):
        states.draw()
