"""Somebody who opens pages of the service in the browser, and hears what the browser complains of."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urljoin

from playwright.sync_api import Browser, Page, expect

from tests.browser.site import Site
from tests.browser.watching import Watch

PATIENCE: Final = 60_000  # milliseconds after which what has not appeared is a failure
DESK: Final = {"width": 1280, "height": 720}
expect.set_options(timeout=PATIENCE)


class Window:
    """A browser with cookies of its own, that is watched. Its pages can be used again: another address in an old page
    takes a tenth of the time that a new browser takes."""

    def __init__(self, browser: Browser, url: str, **options: Any) -> None:
        self.context = browser.new_context(base_url=url, **options)
        self.context.set_default_timeout(PATIENCE)
        self.watch = Watch(self.context, url)
        self._unused: list[Page] = []

    def page(self) -> Page:
        """An empty page."""
        return self._unused.pop() if self._unused else self.context.new_page()

    def empty(self, cookies: Any) -> None:
        """Leaves nothing in the pages, and these cookies, which are all that the dashboard keeps in a browser."""
        self._unused = self.context.pages
        for page in self._unused:
            page.goto("about:blank")
        self.context.clear_cookies()
        self.context.add_cookies(cookies)


class Visitor:
    """Opens pages of the service, one visit after the other."""

    def __init__(self, browser: Browser, site: Site) -> None:
        self._browser, self._site = browser, site
        self._opened: list[Window] = []
        self._kept: dict[tuple[str, bool], Window] = {}  # for the next visits: by user, and whether scripts run

    def open(self, path: str, **options: Any) -> Page:
        """A page in a window that is new; `options` are those of Playwright's new_context."""
        window = Window(self._browser, urljoin(self._site.url, path), **options)
        self._opened.append(window)
        page = window.page()
        page.goto(path)
        return page

    def enter(
        self,
        path: str,
        name: str = "admin",
        *,
        color_scheme: Any = "light",
        viewport: Any = DESK,
        java_script_enabled: bool = True,
    ) -> Page:
        """A page of a user that is logged in."""
        page = self._window(name, java_script_enabled).page()
        page.set_viewport_size(viewport)
        page.emulate_media(color_scheme=color_scheme)
        page.goto(path)
        return page

    def expect(self, pattern: str) -> None:
        """Complaints of the pages opened so far in which `pattern` is found are meant."""
        for window in self._windows():
            window.watch.expect(pattern)

    def leave(self) -> None:
        """Ends the visit, and fails if the browser complained of a page."""
        windows = self._windows()
        for window in self._opened:
            window.context.close()
        self._opened.clear()
        for (name, _), window in self._kept.items():
            window.empty(self._site.cookies(name))
        complaints = [complaint for window in windows for complaint in window.watch.complaints()]
        assert not complaints, "the browser complained:\n" + "\n".join(complaints)

    def _windows(self) -> list[Window]:
        return [*self._opened, *self._kept.values()]

    def _window(self, name: str, scripts: bool) -> Window:
        if (name, scripts) not in self._kept:
            window = self._kept[name, scripts] = Window(self._browser, self._site.url, java_script_enabled=scripts)
            window.empty(self._site.cookies(name))
        return self._kept[name, scripts]


def fill_login(page: Page, name: str, password: str) -> None:
    """Sends the login form."""
    page.get_by_label("User").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
