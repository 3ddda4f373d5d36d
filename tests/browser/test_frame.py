"""What holds for every page of the dashboard: who gets in, themes, phones, keyboards, and life without JavaScript."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.site import PASSWORD
from tests.browser.visitor import fill_login
from tests.browser.watching import PHONE, check_access, check_dark, check_width
from tests.tcp_proxy import proxied

if TYPE_CHECKING:
    from tests.browser.site import Site
    from tests.browser.visitor import Visitor

PAGES = {  # and what each is headed
    "/ui/": "Now",
    "/ui/tasks/": "Tasks",
    "/ui/tasks/?ended=1": "Tasks",
    "/ui/schedules/": "Schedules",
    "/ui/send/": "Send a task",
    "/ui/jobs/": "Jobs",
    "/ui/history/": "History",
    "/ui/workers/": "Workers",
    "/ui/users/": "Users",
    "/ui/users/admin/": "admin",
    "/ui/audit/": "Audit",
    "/ui/account/": "Account",
}


def test_who_logs_in_gets_the_page_that_was_asked_for(visitor: Visitor) -> None:
    page = visitor.open("/ui/workers/")
    expect(page.get_by_label("User")).to_be_focused()
    check_access(page)
    fill_login(page, "admin", PASSWORD)
    expect(page.get_by_role("heading", name="Workers")).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_text("You are logged out.")).to_be_visible()
    page.goto("/ui/workers/")
    expect(page.get_by_label("User")).to_be_visible()


def test_a_wrong_password_is_said_and_only_that_is_typed_again(visitor: Visitor) -> None:
    page = visitor.open("/ui/login/")
    visitor.expect("403")
    fill_login(page, "admin", "wrong")
    expect(page.get_by_role("alert")).to_have_text("The user or the password is wrong.")
    expect(page.get_by_label("Password")).to_be_focused()
    expect(page.get_by_label("User")).to_have_value("admin")
    check_access(page)
    fill_login(page, "admin", PASSWORD)
    expect(page.get_by_role("button", name="Log out")).to_be_visible()


@pytest.mark.parametrize("path", PAGES)
def test_everybody_can_use_a_page_in_either_theme(visitor: Visitor, path: str) -> None:
    page = visitor.enter(path)
    expect(page.get_by_role("heading", level=1)).to_have_text(PAGES[path])
    check_access(page)
    check_dark(page)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_fits_a_phone(visitor: Visitor, path: str) -> None:
    page = visitor.enter(path, viewport=PHONE)
    expect(page.get_by_role("heading", level=1)).to_have_text(PAGES[path])
    check_width(page)
    check_access(page)


def test_what_is_asked_on_a_phone_can_be_read(visitor: Visitor) -> None:
    page = visitor.enter("/ui/schedules/", viewport=PHONE)
    page.locator("summary", has_text="Remove").first.click()
    box = page.locator("details[open] .pop").bounding_box()
    assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= PHONE["width"]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_can_be_read_without_javascript(visitor: Visitor, path: str) -> None:
    page = visitor.enter(path, java_script_enabled=False)
    expect(page.get_by_role("heading", level=1)).to_have_text(PAGES[path])
    check_width(page)


def test_the_theme_that_was_chosen_stays(visitor: Visitor) -> None:
    page = visitor.enter("/ui/workers/", color_scheme="light")
    background = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(background)
    page.get_by_role("button", name="Theme").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.evaluate(background) != light


def test_a_user_is_added_gets_a_role_and_is_removed(visitor: Visitor, site: Site) -> None:
    page = visitor.enter("/ui/users/")
    page.get_by_label("Name").fill("tom")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Add the user").click()
    expect(page.get_by_text("tom may log in now.")).to_be_visible()
    row = page.get_by_role("row", name="tom")
    expect(row).to_contain_text("its own tasks alone")
    row.get_by_role("link").click()
    page.get_by_role("checkbox", name="readers").check()
    page.get_by_role("button", name="Change the roles").click()
    expect(page.get_by_text("tom has other roles now.")).to_be_visible()
    expect(page.get_by_role("checkbox", name="readers")).to_be_checked()
    check_access(page)
    assert site.get("/users/tom/")["roles"] == ["readers"]
    page.get_by_role("button", name="Remove …").click()
    page.get_by_role("button", name="Remove tom").click()
    expect(page.get_by_text("tom is removed.")).to_be_visible()
    expect(row).to_have_count(0)


HOSTILE = "<script>document.title = 'taken'</script>\u202etpircs\u202c & <b>bold</b>"


def test_a_name_is_text_whatever_is_in_it(visitor: Visitor, site: Site) -> None:
    site.post("/tokens/", {"name": HOSTILE})
    site.post("/tokens/", {"name": "x" * 100})
    page = visitor.enter("/ui/account/")
    edges = page.locator("table.tokens").evaluate(
        "table => [table, table.closest('.card')].map(box => box.getBoundingClientRect().right)"
    )
    assert edges[0] < edges[1]
    expect(page.get_by_role("row").get_by_text(HOSTILE, exact=True)).to_be_visible()
    for field in page.get_by_role("textbox").all():
        expect(field).to_be_visible()
    expect(page.get_by_label("Present password")).to_be_visible()
    expect(page).to_have_title("Account · Headbox")
    check_access(page)


def test_a_lost_connection_is_said_and_comes_back_by_itself(visitor: Visitor, site: Site) -> None:
    with proxied(site.url) as (proxy, _):
        page = visitor.open(f"http://127.0.0.1:{proxy.port}/ui/workers/")
        fill_login(page, "admin", PASSWORD)
        trouble, workers = page.locator("#trouble"), page.locator("#workers").get_by_role("row")
        expect(workers).to_have_count(2)  # the head, and one worker
        visitor.expect("ERR_|Failed to load")
        proxy.refuses = True
        proxy.cut()
        expect(trouble).to_contain_text("The connection is lost")
        with site.another_worker():
            proxy.refuses = False
            expect(workers).to_have_count(3)
            expect(trouble).to_be_empty()
        expect(workers).to_have_count(2)


def test_a_page_outlives_a_restart_of_the_service(visitor: Visitor, site: Site) -> None:
    page = visitor.enter("/ui/workers/")
    rows = page.locator("#workers").get_by_role("row")
    before = rows.nth(1).get_attribute("id")
    visitor.expect("ERR_|Failed to load")
    site.restart()
    expect(page.locator(f"#{before}")).to_have_count(0)
    expect(rows).to_have_count(2)
    expect(page.locator("#trouble")).to_be_empty()


def test_a_keyboard_is_enough(visitor: Visitor, site: Site) -> None:
    site.fill(1, job_id="keys")
    page = visitor.enter("/ui/")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    page.goto("/ui/tasks/?job=keys")
    chip = page.get_by_role("checkbox", name="suspended")
    chip.focus()
    page.keyboard.press("Space")
    expect(page.get_by_text("Nothing is found.")).to_be_visible()
    expect(chip).to_be_focused()
    page.keyboard.press("Space")
    row = page.locator("#found tbody").get_by_role("row")
    expect(row).to_have_count(1)
    row.get_by_role("checkbox").focus()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Suspend 1").press("Enter")
    expect(page.get_by_role("button", name="Suspend 1 task")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("1 task is suspended.")).to_be_visible()


def test_tasks_are_found_and_canceled_without_javascript(visitor: Visitor, site: Site) -> None:
    task, *_ = site.fill(3, job_id="plain")
    page = visitor.enter("/ui/tasks/", java_script_enabled=False)
    page.get_by_label("Job").fill("plain")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("#found tbody").get_by_role("row")).to_have_count(3)
    page.locator(f"#tick-{task.id}-1").check()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel 1 task").click()
    expect(page.get_by_text("1 task is canceled.")).to_be_visible()
    expect(page.locator("#found tbody").get_by_role("row")).to_have_count(2)
    assert site.state(task.id) == "canceled"
