"""What a person does with tasks on the dashboard, as the browser shows it while real repositories are synchronised."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from playwright.sync_api import Locator, Page, expect

from tests.browser.watching import PHONE, check_access, check_dark, check_width

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


def test_a_task_is_seen_to_its_end_on_its_own_page(visitor: Visitor, site: Site, feed: Feed) -> None:
    id = site.sync("seen", feed=feed.url)
    page = visitor.enter(f"/ui/tasks/{id}/")
    status = page.locator("#status")
    expect(bar(status)).to_have_attribute("value", "250")
    expect(status).to_contain_text("running")
    expect(page.get_by_text("No run has ended yet.")).to_be_visible()
    feed.release()
    expect(status).to_contain_text("finished")
    expect(bar(status)).to_have_attribute("value", "1000")
    expect(page.locator("#outcome")).to_contain_text("part1-1.0-py3-none-any.whl")
    expect(page.locator("#run-1")).to_contain_text("finished")
    expect(status.get_by_role("button", name="Cancel")).to_have_count(0)
    check_access(page)


def test_a_running_sync_is_canceled_and_run_again(visitor: Visitor, site: Site, feed: Feed) -> None:
    id = site.sync("stopped", feed=feed.url)
    page = visitor.enter(f"/ui/tasks/{id}/")
    status = page.locator("#status")
    expect(bar(status)).to_have_attribute("value", "250")
    status.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("It is canceled, or will be in a moment.")).to_be_visible()
    expect(status).to_contain_text("canceled")
    expect(page.locator("#run-1")).to_contain_text("canceled")
    feed.release()
    status.get_by_role("button", name="Run again").click()
    expect(status).to_contain_text("finished")
    expect(page.locator("#run-2")).to_contain_text("finished")
    expect(page.locator("#run-1")).to_contain_text("canceled")


def test_a_failure_shows_its_traceback_and_is_run_again(visitor: Visitor, site: Site) -> None:
    missing = site.feeds / "<script>document.title = 'taken'</script>"
    id = site.post("/tasks/", {"method_name": "sync", "args": ["broken", str(missing)], "attempts": 1})["id"]
    page = visitor.enter(f"/ui/tasks/{id}/")
    outcome = page.locator("#outcome")
    expect(outcome.get_by_text(f"there is no feed at {missing}", exact=True)).to_be_visible()
    expect(outcome.get_by_text("Traceback (most recent call last)")).to_be_hidden()
    outcome.get_by_text("Traceback", exact=True).click()
    expect(outcome.get_by_text("Traceback (most recent call last)")).to_be_visible()
    expect(page).to_have_title("sync · Headbox")
    check_access(page)
    page.locator("#status").get_by_role("button", name="Run again").click()
    expect(page.locator("#run-2")).to_contain_text("error")


def test_a_failure_with_long_words_fits_a_phone(visitor: Visitor, site: Site) -> None:
    args = ["broken", f"/nowhere/{'a-very-long-name' * 80}"]
    body = {"method_name": "sync", "args": args, "attempts": 1, "job_id": "j" * 200}
    id = site.post("/tasks/", body)["id"]
    page = visitor.enter(f"/ui/tasks/{id}/", viewport=PHONE)
    page.locator("#outcome").get_by_text("Traceback", exact=True).click()
    expect(page.locator("#outcome").get_by_text("Traceback (most recent call last)")).to_be_visible()
    check_width(page)
    check_access(page)
    check_dark(page)


def test_a_schedule_is_suspended_and_resumed(visitor: Visitor, site: Site) -> None:
    body = {"method_name": "sync", "args": ["nightly"], "schedule": "cron: 30 2 * * * Europe/Paris"}
    id = site.post("/tasks/", body)["id"]
    page = visitor.enter(f"/ui/tasks/{id}/", "olga")
    status = page.locator("#status")
    expect(status.get_by_label("Why it does not run yet")).to_contain_text("it is due in")
    status.get_by_role("button", name="Suspend").click()
    expect(status).to_contain_text("it is suspended")
    assert site.state(id) == "suspended"
    status.get_by_role("button", name="Resume").click()
    expect(status).to_contain_text("it is due in")
    assert site.state(id) == "waiting"
    expect(status.get_by_text("Remove")).to_have_count(0)


def test_what_is_open_stays_open(visitor: Visitor, site: Site) -> None:
    (task,) = site.fill(1)
    page = visitor.enter(f"/ui/tasks/{task.id}/")
    page.get_by_text("Remove …").click()
    remove = page.get_by_role("button", name="Remove this task")
    expect(remove).to_be_visible()
    site.post(f"/tasks/{task.id}/suspend/")
    expect(page.locator("#status")).to_contain_text("it is suspended")
    expect(remove).to_be_visible()
    check_access(page)
    remove.click()
    expect(page.get_by_text("It is removed.")).to_be_visible()
    assert site.state(task.id) == "canceled"


def test_a_schedule_is_run_before_its_time_from_the_page_of_all(visitor: Visitor, site: Site) -> None:
    body = {"method_name": "sync", "args": ["early", "/nowhere"], "schedule": "cron: 30 2 * * * Europe/Paris"}
    id = site.post("/tasks/", body)["id"]
    page = visitor.enter("/ui/schedules/", "olga")
    row = page.locator(f"#schedule-{id}")
    expect(row).to_contain_text("At 02:30 every day")
    row.locator("summary", has_text="in ").click()
    expect(row.locator("ol").get_by_role("listitem")).to_have_count(10)
    check_access(page)
    row.get_by_role("button", name="Run now").click()
    expect(row).to_contain_text("error")
    row.get_by_role("button", name="Suspend").click()
    expect(row).to_contain_text("suspended")
    assert site.state(id) == "suspended"
    row.get_by_role("button", name="Resume").click()
    expect(row.get_by_role("button", name="Run now")).to_be_visible()
    assert site.state(id) == "waiting"


def test_a_task_says_that_its_queue_is_suspended_and_runs_when_it_is_resumed(visitor: Visitor, site: Site) -> None:
    page = visitor.enter("/ui/workers/", "olga")
    site.fill(1, queue="reports")
    page.get_by_role("button", name="suspend the queue reports").click()
    body = {"method_name": "schedule_syncs", "queue": "reports"}
    id = site.post("/tasks/", body)["id"]
    page.goto(f"/ui/tasks/{id}/")
    status = page.locator("#status")
    expect(status.get_by_label("Why it does not run yet")).to_contain_text("its queue reports is suspended")
    other = visitor.enter("/ui/workers/", "olga")
    other.get_by_role("button", name="resume the queue reports").click()
    expect(status).to_contain_text("finished")


def test_a_job_of_several_repositories_moves_on_and_is_canceled(visitor: Visitor, site: Site, feed: Feed) -> None:
    for repository, source in (("reachable", feed.url), ("lost", "/nowhere")):
        body = {"method_name": "sync", "args": [repository, source], "attempts": 1, "job_id": "all mirrors"}
        site.post("/tasks/", body)
    site.fill(2, job_id="all mirrors")
    page = visitor.enter("/ui/jobs/", "olga")
    row = page.get_by_role("row", name="all mirrors")
    for part in ("error 1", "running 1", "waiting 2", "25 %"):
        expect(row).to_contain_text(part)
    check_access(page)
    feed.release()
    for part in ("finished 1", "error 1", "waiting 2", "50 %"):
        expect(row).to_contain_text(part)
    row.get_by_role("button", name="Cancel the job all mirrors …").click()
    page.get_by_role("button", name="Cancel 2 tasks").click()
    expect(page.get_by_text("2 tasks are canceled.")).to_be_visible()
    page.get_by_role("link", name="Jobs", exact=True).click()
    expect(page.get_by_role("heading", name="Ended lately")).to_be_visible()
    for part in ("finished 1", "error 1", "canceled 2", "100 %"):
        expect(row).to_contain_text(part)


def test_a_task_is_sent_from_the_form(visitor: Visitor, site: Site, feed: Feed) -> None:
    page = visitor.enter("/ui/send/", "olga")
    page.get_by_role("searchbox", name="Search").fill("mirror")
    page.locator("#callables").get_by_role("link", name="sync(repository").click()
    check_access(page)
    page.get_by_label("repository").fill("sent")
    page.get_by_label("feed").fill(feed.url)
    page.get_by_role("button", name="Send", exact=True).click()
    status = page.locator("#status")
    expect(bar(status)).to_have_attribute("value", "250")
    feed.release()
    expect(status).to_contain_text("finished")
    assert site.get(f"/tasks/{page.url.rstrip('/').rpartition('/')[2]}/?fields=owner")["owner"] == "olga"


def test_a_schedule_is_built_with_its_next_times_in_sight(visitor: Visitor, site: Site) -> None:
    page = visitor.enter("/ui/send/?method=examples.repository_sync%3Async")
    page.get_by_label("repository").fill("built")
    page.locator("label:has(input[value=cron])").click()
    page.get_by_label("Cron expression").fill("30 2 * * 9")
    meaning = page.locator("#meaning")
    expect(meaning.locator(".wrong")).to_be_visible()
    page.get_by_label("Cron expression").fill("30 2 * * *")
    page.get_by_label("Time zone").fill("Europe/Paris")
    expect(meaning).to_contain_text("Europe/Paris")
    expect(meaning.get_by_role("listitem")).to_have_count(10)
    expect(page.get_by_label("Time zone")).to_be_focused()
    check_access(page)
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator("#status")).to_contain_text("it is due in")
    expect(page.locator("#details")).to_contain_text("cron: 30 2 * * * Europe/Paris")


# Whether runs of the minute in progress are known, and a bar stands in the last 61st of the plot.
DRAWN = """() => {
    const chart = document.querySelector('[data-chart=throughput]');
    const runs = JSON.parse(chart.querySelector('[data-series]').dataset.series)[1].at(-1);
    const canvas = chart.querySelector('canvas');
    const [left, right] = [52 * devicePixelRatio, canvas.width - 18 * devicePixelRatio];
    const width = (right - left) / 61;
    const pixels = canvas.getContext('2d').getImageData(right - width, 0, width, canvas.height).data;
    return runs > 0 && pixels.some((red, at) => at % 4 === 0 && Math.abs(red - pixels[at + 2]) > 60);
}"""


def test_the_chart_shows_the_minute_in_progress(visitor: Visitor, site: Site) -> None:
    id = site.post("/tasks/", {"method_name": "schedule_syncs", "schedule": "PT1S"})["id"]
    page = visitor.enter("/ui/")
    page.wait_for_function(DRAWN)
    site.api.delete(f"/tasks/{id}/")


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


def test_many_are_changed_after_one_question_that_says_how_many(visitor: Visitor, site: Site) -> None:
    tasks = site.fill(70, queue="reports", job_id="many")
    page = visitor.enter("/ui/tasks/?job=many")
    page.get_by_label("all that the search finds").check()
    page.get_by_role("button", name="Suspend").click()
    expect(page.get_by_role("heading", name="Suspend 70 tasks?")).to_be_visible()
    check_access(page)
    page.get_by_role("button", name="Suspend 70 tasks").click()
    expect(page.get_by_text("70 tasks are suspended.")).to_be_visible()
    expect(page.locator("#found tbody tr").first).to_contain_text("suspended")
    assert {site.state(task.id) for task in (tasks[0], tasks[-1])} == {"suspended"}
    page.locator("#found tbody").get_by_role("checkbox").first.check()
    page.locator("#found tbody").get_by_role("checkbox").nth(1).check()
    page.get_by_role("button", name="Cancel 2").click()
    page.get_by_role("button", name="Cancel 2 tasks").click()
    expect(page.get_by_text("2 tasks are canceled.")).to_be_visible()
    expect(page.get_by_text("68 tasks")).to_be_visible()


def test_what_is_ticked_stays_ticked_when_the_list_changes(visitor: Visitor, site: Site) -> None:
    first, second = site.fill(2, job_id="ticked")
    page = visitor.enter("/ui/tasks/?job=ticked")
    tick = page.locator(f"#tick-{first.id}-1")
    tick.check()
    site.post(f"/tasks/{second.id}/suspend/")
    expect(page.locator(f"#task-{second.id}-1")).to_contain_text("suspended")
    expect(tick).to_be_checked()
    site.fill(1, job_id="ticked")
    expect(page.locator("#found tbody tr")).to_have_count(3)
    expect(tick).to_be_checked()
    expect(page.get_by_role("button", name="Cancel 1")).to_be_enabled()


HOSTILE = "<img src=x onerror=alert(1)>\u202egnp.\u202c <script>alert(1)</script> & \u05d0\u05d1 %s {{ 7*7 }}"


def test_what_tasks_carry_is_text_whatever_is_in_it(visitor: Visitor, site: Site) -> None:
    site.fill(1, job_id=HOSTILE, queue=HOSTILE[:60], args=json.dumps([HOSTILE]).encode())
    page = visitor.enter(f"/ui/tasks/?{urlencode({'job': HOSTILE})}")
    row = page.locator("#found tbody tr")
    expect(row).to_have_count(1)
    expect(row.get_by_text(HOSTILE, exact=True)).to_be_visible()
    expect(page.get_by_label("Job")).to_have_value(HOSTILE)
    check_access(page)
    check_width(page)
    page.set_viewport_size(PHONE)
    check_width(page)


def test_a_reader_sees_no_buttons_and_is_refused(visitor: Visitor, site: Site) -> None:
    (task,) = site.fill(1, job_id="read")
    page = visitor.enter("/ui/tasks/?job=read", "rita")
    expect(page.locator("#found tbody tr")).to_have_count(1)
    expect(page.locator("#main").get_by_role("button")).to_have_count(0)
    expect(page.locator("#found").get_by_role("checkbox")).to_have_count(0)
    visitor.expect("403")
    token = page.locator("input[name=form_token]").first.input_value()
    page.evaluate(
        """([token, id]) => {
            const form = document.createElement('form');
            form.method = 'post';
            form.action = '/ui/tasks/change/';
            for (const [name, value] of Object.entries({ form_token: token, verb: 'cancel', id, confirmed: '1' })) {
                form.append(Object.assign(document.createElement('input'), { name, value }));
            }
            document.body.append(form);
            form.submit();
        }""",
        [token, task.id],
    )
    expect(page.get_by_role("heading", name="403")).to_be_visible()
    expect(page.get_by_text("takes the permission UPDATE")).to_be_visible()
    assert site.state(task.id) == "waiting"


def test_many_tasks_are_found_as_one_types_and_the_address_keeps_the_search(visitor: Visitor, site: Site) -> None:
    first, *_ = site.fill(100_000, job_id="all")
    page = visitor.enter("/ui/tasks/?job=all")
    rows = page.locator("#found tbody").get_by_role("row")
    expect(page.get_by_text("More than 10,000 tasks")).to_be_visible()
    expect(page.locator(f"#task-{first.id}-1")).to_be_visible()
    expect(rows).to_have_count(50)
    page.get_by_role("searchbox", name="Search").fill("later-77777")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text('sync("later-77777")')
    assert "text=later-77777" in page.url
    page.reload()
    expect(rows).to_have_count(1)
    page.get_by_role("searchbox", name="Search").fill("")
    page.get_by_role("link", name="Next page").click()
    expect(page.get_by_role("link", name="First page")).to_be_visible()
    expect(page.locator(f"#task-{first.id}-1")).to_have_count(0)
    expect(rows).to_have_count(50)
    page.locator("label", has_text="suspended").click()
    expect(page.get_by_text("Nothing is found.")).to_be_visible()
    page.go_back()
    expect(rows).to_have_count(50)
