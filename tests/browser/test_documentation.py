"""The page to browse the API with, as a browser shows it, and that the browser's complaints are heard."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.watching import check_access, check_dark, check_width

if TYPE_CHECKING:
    from tests.browser.visitor import Visitor


def test_the_documentation_is_readable_in_both_themes(visitor: Visitor) -> None:
    page = visitor.open("/docs/")
    expect(page.get_by_role("heading", name="Headbox")).to_be_visible()
    for call in page.locator("details").all()[::8]:  # axe takes seconds for all
        call.evaluate("each => { each.open = true }")
    check_access(page)
    check_dark(page)


def test_the_documentation_fits_a_phone(visitor: Visitor) -> None:
    page = visitor.open("/docs/", viewport={"width": 360, "height": 740})
    call = page.locator("#get_tasks_by_id")
    call.locator("summary").click()
    expect(call.get_by_role("cell", name="OK")).to_be_visible()
    check_width(page)


def test_what_a_browser_complains_of_is_heard(visitor: Visitor) -> None:
    page = visitor.open("/docs/")
    page.evaluate("""async () => {
        const events = (name, count) => new Promise((done) => addEventListener(name, () => --count || done()));
        const heard = [events('error', 1), events('securitypolicyviolation', 2)];
        console.error('as a library would');
        setTimeout(() => { throw new Error('uncaught'); });
        document.body.append(Object.assign(document.createElement('img'), { src: 'http://192.0.2.1/' }));
        document.body.setAttribute('style', 'color: red');
        await Promise.all(heard);
    }""")
    with pytest.raises(AssertionError) as heard:
        visitor.leave()
    for complaint in ("as a library would", "uncaught", "img-src refuses http://192.0.2.1/", "style-src-attr refuses"):
        assert complaint in str(heard.value)


def test_a_request_to_another_host_is_heard(visitor: Visitor) -> None:
    page = visitor.open("/openapi.json")
    page.evaluate("fetch('http://127.0.0.1:9/', { mode: 'no-cors' }).catch(() => null)")
    with pytest.raises(AssertionError, match="a request to another host: http://127"):
        visitor.leave()
