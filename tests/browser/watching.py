"""Watches what a browser complains of while a test drives it, so that no page is quietly broken."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, WebError

REFUSALS: Final = """
    document.addEventListener('securitypolicyviolation', (event) =>
        console.error(`security policy: ${event.violatedDirective} refuses ${event.blockedURI} ${event.sample}`));
"""
LOCAL: Final = ("data", "blob", "about", "chrome-error")  # schemes that reach no host
GRAVE: Final = ("serious", "critical")
ALL_RULES: Final = MappingProxyType({"resultTypes": ["violations"]})
RULES_OF_COLOUR: Final = {**ALL_RULES, "runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
SETTLED: Final = """() => {
    const changes = document.getAnimations().filter((each) => each instanceof CSSTransition);
    return Promise.allSettled(changes.map((each) => each.finished));
}"""
PHONE: Final = {"width": 360, "height": 740}  # a small one
PLACES: Final = 3  # of those that break a rule, how many are shown


class Watch:
    """Collects errors on the console, uncaught exceptions, refusals by the security policy, and requests to any host
    but ours. A test that means to provoke one says so with `expect`."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self._host = urlsplit(url).netloc
        self._faults: list[str] = []
        self._expected: list[str] = []
        context.add_init_script(REFUSALS)
        context.on("console", self._note_message)
        context.on("weberror", self._note_error)
        context.on("request", self._note_request)

    def expect(self, pattern: str) -> None:
        """Until `complaints` are asked for, faults in which `pattern` is found are meant."""
        self._expected.append(pattern)

    def complaints(self) -> list[str]:
        """The faults since this was last asked that nobody expected."""
        unexpected = [fault for fault in self._faults if not any(re.search(each, fault) for each in self._expected)]
        self._faults.clear()
        self._expected.clear()
        return unexpected

    def _note_message(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._faults.append(f"console: {message.text} ({message.location.get('url', '')})")

    def _note_error(self, error: WebError) -> None:
        self._faults.append(f"exception: {error.error}")

    def _note_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in LOCAL and parts.netloc != self._host:
            self._faults.append(f"a request to another host: {request.url}")


def check_access(page: Page, options: Mapping[str, Any] = ALL_RULES) -> None:
    """Fails if axe-core finds anything serious or critical that keeps people out of the page as it is now."""
    grave = [rule for rule in Axe().run(page, options=dict(options)).response["violations"] if rule["impact"] in GRAVE]
    assert not grave, f"axe finds on {page.url}:\n" + "\n".join(map(_describe, grave))


def check_dark(page: Page) -> None:
    """Turns the page to the dark theme, and fails if its colours keep people out: all else is as it was."""
    page.emulate_media(color_scheme="dark")
    page.evaluate(SETTLED)
    check_access(page, RULES_OF_COLOUR)


def _describe(rule: dict[str, Any]) -> str:
    """A rule, how often the page breaks it, and the first places."""
    places = [f"  {node['html'][:200]}\n    {node['failureSummary']}" for node in rule["nodes"][:PLACES]]
    return f"{rule['help']} ({rule['id']}, {rule['impact']}, {len(rule['nodes'])} times)\n" + "\n".join(places)


def check_width(page: Page) -> None:
    """Fails if the page is wider than its window, so that a person would have to scroll sideways."""
    wide, window = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide <= window, f"{page.url} is {wide} pixels wide in a window of {window}"
