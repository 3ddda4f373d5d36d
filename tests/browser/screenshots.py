"""Pictures of the dashboard for the docs (`make screenshots`): the pages of a real service with the example, which is
at work and has a day behind it."""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from playwright.sync_api import Page, expect

from tests.browser.chromium import executable, launched
from tests.browser.past import REPOSITORIES, play
from tests.browser.site import ROOT, Site
from tests.browser.visitor import Visitor

IMAGES: Final = ROOT / "docs" / "images"
LARGEST: Final = 200_000  # bytes of a picture
PATIENCE: Final = 60.0  # seconds until the service is where a picture needs it
DESK: Final = {"width": 1280, "height": 800}
PHONE: Final = {"width": 390, "height": 844}


class Picture(NamedTuple):
    """What is taken: `path` may name a task of the scene as {running}, {failed} or {schedule}; `press` is the text of
    what is pressed before, and `fill` what is then typed, by label."""

    name: str
    path: str
    theme: str = "light"
    size: dict[str, int] = DESK
    press: str = ""
    fill: Mapping[str, str] = MappingProxyType({})


PICTURES: Final = (
    Picture("now", "/ui/"),
    Picture("now-dark", "/ui/", "dark"),
    Picture("now-phone", "/ui/", "light", PHONE),
    Picture("tasks", "/ui/tasks/"),
    Picture("task-running", "/ui/tasks/{running}/"),
    Picture("task-failed", "/ui/tasks/{failed}/", press="Traceback"),
    Picture("ended-dark", "/ui/tasks/?ended=1", "dark"),
    Picture("schedules", "/ui/schedules/"),
    Picture(
        "send",
        "/ui/send/?method=examples.repository_sync%3Async",
        press="By the calendar",
        fill={"repository": "fedora-42", "Cron expression": "30 2 * * *", "Time zone": "Europe/Paris"},
    ),
    Picture("jobs", "/ui/jobs/"),
    Picture("history", "/ui/history/"),
    Picture("workers", "/ui/workers/"),
    Picture("users", "/ui/users/"),
    Picture("audit", "/ui/audit/", size={**DESK, "height": 640}),
    Picture("account", "/ui/account/"),
)


def main() -> None:
    """Takes all pictures, or those whose names are given."""
    IMAGES.mkdir(exist_ok=True)
    wanted = [picture for picture in PICTURES if picture.name in sys.argv[1:] or not sys.argv[1:]]
    with tempfile.TemporaryDirectory(prefix="headbox-") as folder, launched(executable()) as browser:
        shutil.copytree(
            ROOT / "examples", Path(folder, "examples"), ignore=shutil.ignore_patterns("repositories", "mirrors")
        )
        site = Site(Path(folder), before=prepare)
        try:
            named = set_scene(site)
            visitor = Visitor(browser, site)
            for picture in wanted:
                take(visitor, picture, named)
            visitor.leave()
        finally:
            site.close()


def take(visitor: Visitor, picture: Picture, named: dict[str, str]) -> None:
    """Takes one picture, once the page shows what it is about."""
    page = visitor.enter(picture.path.format(**named), color_scheme=picture.theme, viewport=picture.size)
    if picture.press:
        page.get_by_text(picture.press, exact=True).click()
    for label, text in picture.fill.items():
        page.get_by_label(label).fill(text)
    settle(page)
    path = IMAGES / f"{picture.name}.png"
    page.screenshot(path=path, animations="disabled")
    page.close()  # or its stream would hold one of the few connections that a browser has to a host
    size = path.stat().st_size
    print(f"{path.relative_to(ROOT)}  {size / 1000:.0f} kB")  # noqa: T201
    if size > LARGEST:
        sys.exit(f"{path} has {size} bytes; {LARGEST} are the most for a picture in the docs")


def settle(page: Page) -> None:
    """Waits for the stream to bring what is new, and for fonts and charts."""
    expect(page.get_by_role("heading", level=1)).to_be_attached()
    page.evaluate("document.fonts.ready")
    page.wait_for_timeout(1500)


def prepare(url: str) -> None:
    """The day before, and feeds for the day to come."""
    chance = random.Random(1)
    for number, name in enumerate(REPOSITORIES):
        _fill_feed(Path(url.removeprefix("sqlite:///")).parent / "feeds" / name, 4 + number, chance)
    play(url, time.time_ns() // 1000)


def set_scene(site: Site) -> dict[str, str]:
    """Puts the service to work. The ids of tasks by what they are."""
    site.start_worker("--queues", "reports", "--concurrency", "2")
    site.post("/tasks/", {"method_name": "schedule_syncs"})
    _every(site, "debian-bookworm", "cron: 30 2 * * * Europe/Paris")
    paused = _every(site, "fedora-42", "cron: 0 6 * * 1 Europe/Paris")
    site.post(f"/tasks/{paused}/suspend/")
    _spoil(site.feeds / "nodesource" / "SHA256SUMS")
    body = {"method_name": "sync", "args": ["nodesource"], "kwargs": {"rate": 600_000}, "attempts": 1}
    failed = site.post("/tasks/", body)["id"]
    until(lambda: site.state(failed) == "error")
    for name, job in (("epel-9", "weekly"), ("fedora-41", "weekly"), ("nodesource", "weekly"), ("epel-9", "nightly")):
        body = {"method_name": "sync", "args": [name], "attempts": 1, "job_id": job}
        ended = site.post("/tasks/", body)["id"]
        until(lambda id=ended: site.state(id) in ("finished", "error"))
    until(lambda: len(site.get("/tasks/?method_name=sync&state=incomplete")) >= len(REPOSITORIES))
    job = [
        site.post("/tasks/", {"method_name": "sync", "args": [name], "kwargs": {"rate": rate}, "job_id": "nightly"})[
            "id"
        ]
        for name, rate in zip(REPOSITORIES, (21_000, 45_000, 30_000, 60_000, 40_000, 40_000, 40_000), strict=True)
    ]
    until(lambda: done(site.get(f"/tasks/{job[0]}/")["progress"]) > 0.15)
    return {"running": job[1], "failed": failed, "schedule": paused}


def done(progress: Any) -> float:
    """How much of a sync is done, of one."""
    return progress["bytes"]["done"] / progress["bytes"]["total"] if progress else 0.0


def until(condition: Callable[[], bool]) -> None:
    """Waits for a condition."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            sys.exit("the service is not where the pictures need it")
        time.sleep(0.1)


def _every(site: Site, repository: str, schedule: str) -> str:
    return str(site.post("/tasks/", {"method_name": "sync", "args": [repository], "schedule": schedule})["id"])


def _fill_feed(folder: Path, files: int, chance: random.Random) -> None:
    """A directory of wheels, with their sums beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    sums = []
    for number in range(files):
        name = f"{folder.name.replace('-', '_')}_part{number}-1.0-py3-none-any.whl"
        content = chance.randbytes(chance.randrange(150_000, 400_000))
        (folder / name).write_bytes(content)
        sums.append(f"{sha256(content).hexdigest()}  {name}\n")
    (folder / "SHA256SUMS").write_text("".join(sums))


def _spoil(sums: Path) -> None:
    """Has a feed promise another last file than it has."""
    *lines, last = sums.read_text().splitlines(keepends=True)
    sums.write_text("".join([*lines, f"{'0f' * 32}{last[64:]}"]))


if __name__ == "__main__":
    main()
