"""What a person does with tasks on the dashboard, as the browser shows it while real repositories are synchronised."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import Locator, Page, expect

if TYPE_CHECKING:
    from tests.browser.feed import Feed
    from tests.browser.site import Site
    from tests.browser.visitor import Visitor


def bar(within: Page | Locator, of: str = "bytes") -> Locator:
    return within.get_by_role("progressbar", name=of)


def test_a_sync_moves_its_bar_to_the_end(visitor: Visitor, site: Site, feed: Feed) -> None:
    id = site.sync("moving", feed=feed.url)
    now = visitor.enter("/ui/")
    run = now.locator(f"#run-{id}")
    expect(bar(run)).to_have_attribute("value", "250")  # thousandths: half of one file of two
    expect(bar(run, "files")).to_have_attribute("value", "0")
    feed.release(1)
    expect(bar(run)).to_have_attribute("value", "750")
    expect(bar(run, "files")).to_have_attribute("value", "500")
    feed.release()
    expect(run).to_have_count(0)
    assert site.get(f"/tasks/{id}/")["state"] == "finished"


def test_what_a_person_does_meanwhile_outlives_an_update(visitor: Visitor, site: Site, feed: Feed) -> None:
    """Focus and scrolling, while parts of the page are sent anew."""
    id = site.sync("kept", feed=feed.url)
    page = visitor.enter("/ui/", viewport={"width": 800, "height": 300})
    link = page.locator(f"#run-{id}").get_by_role("link")
    link.focus()
    page.evaluate("scrollTo(0, 200)")
    feed.release(1)
    expect(bar(page.locator(f"#run-{id}"))).to_have_attribute("value", "750")
    expect(link).to_be_focused()
    assert page.evaluate("scrollY") == 200
