"""A real Chromium before a real service with the example application, one of each a file of tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.browser import chromium
from tests.browser.feed import Feed
from tests.browser.site import PASSWORD, Site
from tests.browser.watching import Watch

HERE = Path(__file__).parent
LIMIT = 600  # seconds for a test, since the first may have to install Chromium
PATIENCE = 30_000  # milliseconds after which what has not appeared is a failure


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.timeout(LIMIT))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The browser. It ends with the file: Playwright keeps an event loop, which other tests could not bear."""
    if os.environ.get("HEADBOX_SKIP_BROWSER") == "1":
        pytest.skip("HEADBOX_SKIP_BROWSER=1")
    try:
        path = chromium.executable()
    except chromium.NoBrowser as error:
        pytest.fail(str(error), pytrace=False)
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=chromium.ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The service that the tests of a file share."""
    site = Site(tmp_path_factory.mktemp("site"))
    yield site
    site.close()


@pytest.fixture
def feed() -> Iterator[Feed]:
    feed = Feed()
    yield feed
    feed.close()


class Visitor:
    """Opens pages of the service, each in a browser of its own kind, and watches them."""

    def __init__(self, browser: Browser, site: Site) -> None:
        self._browser, self._site = browser, site
        self._contexts: list[BrowserContext] = []
        self._watches: list[Watch] = []

    def open(self, path: str, **options: Any) -> Page:
        """A page in a window of its own; `options` are those of Playwright's new_context."""
        context = self._browser.new_context(base_url=self._site.url, **options)
        context.set_default_timeout(PATIENCE)
        self._contexts.append(context)
        self._watches.append(Watch(context, urljoin(self._site.url, path)))
        page = context.new_page()
        page.goto(path)
        return page

    def enter(self, path: str, name: str = "admin", **options: Any) -> Page:
        """The same for a user that is logged in."""
        if name not in self._site.sessions:
            page = self.open("/ui/login/")
            fill_login(page, name, PASSWORD)
            expect(page.get_by_role("button", name="Log out")).to_be_visible()
            self._site.sessions[name] = page.context.storage_state()
        return self.open(path, storage_state=self._site.sessions[name], **options)

    def expect(self, pattern: str) -> None:
        """Complaints of the pages opened so far in which `pattern` is found are meant."""
        for watch in self._watches:
            watch.expect(pattern)

    def leave(self) -> None:
        """Closes all pages, and fails if the browser complained of one."""
        for context in self._contexts:
            context.close()
        for watch in self._watches:
            watch.check()


@pytest.fixture
def visitor(browser: Browser, site: Site) -> Iterator[Visitor]:
    visitor = Visitor(browser, site)
    yield visitor
    visitor.leave()


def fill_login(page: Page, name: str, password: str) -> None:
    """Sends the login form."""
    page.get_by_label("User").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
