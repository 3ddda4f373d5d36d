"""Somebody who opens pages of the service in the browser, and hears what the browser complains of."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urljoin

from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.site import PASSWORD, Site
from tests.browser.watching import Watch

PATIENCE: Final = 60_000  # milliseconds after which what has not appeared is a failure
expect.set_options(timeout=PATIENCE)


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


def fill_login(page: Page, name: str, password: str) -> None:
    """Sends the login form."""
    page.get_by_label("User").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
