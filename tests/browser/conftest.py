"""A real Chromium before a real service with the example application, one of each a file of tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser import chromium
from tests.browser.feed import Feed
from tests.browser.site import Site
from tests.browser.visitor import Visitor

HERE = Path(__file__).parent
LIMIT = 600  # seconds for a test, since the first may have to install Chromium


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
    with chromium.launched(path) as browser:
        yield browser


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


@pytest.fixture(scope="module")
def guest(browser: Browser, site: Site) -> Visitor:
    return Visitor(browser, site)


@pytest.fixture
def visitor(guest: Visitor) -> Iterator[Visitor]:
    """Who comes once a test, and leaves no page open."""
    yield guest
    guest.leave()
