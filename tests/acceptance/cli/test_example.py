"""The example as a service: repositories are scheduled, synchronised on request, and all at once in one job."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from tests.service import Home, Serve, Starter

ROOT = Path(__file__).parents[3]


def make_wheel(directory: Path, name: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    with ZipFile(directory / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}-1.0.dist-info/RECORD", f"{name}-1.0.dist-info/RECORD,,\n")


@pytest.fixture(scope="module")
def mill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, Serve]]:
    """A home with the example's service, which has found two feeds when it started."""
    home, start = Home(tmp_path_factory.mktemp("mill")), Starter()
    make_feeds(home)
    places = {"REPOSITORY_FEEDS": str(home.path / "feeds"), "REPOSITORY_MIRRORS": str(home.path / "mirrors")}
    serve = start(home, "--app", "examples.repository_sync:queue", PYTHONPATH=str(ROOT), **places)
    serve.ready()
    yield home, serve
    start.end()


@pytest.fixture
def mirrored(mill: tuple[Home, Serve]) -> Home:
    """That home, its feeds as they were at first and nothing mirrored."""
    home, _ = mill
    for folder in ("feeds", "mirrors"):
        shutil.rmtree(home.path / folder, ignore_errors=True)
    make_feeds(home)
    return home


def make_feeds(home: Home) -> None:
    for repository, names in {"tools": ["alpha", "beta"], "web": ["gamma"]}.items():
        for name in names:
            make_wheel(home.path / "feeds" / repository, name)


def sync(home: Home, *words: str) -> Any:
    return home.json("task", "enqueue", "sync", *words, "--wait")


def test_a_sync_copies_what_is_new_and_removes_what_is_gone(mirrored: Home) -> None:
    assert sync(mirrored, "tools")["result"]["added"] == ["alpha-1.0-py3-none-any.whl", "beta-1.0-py3-none-any.whl"]
    assert sync(mirrored, "tools")["result"]["unchanged"] == 2
    (mirrored.path / "feeds" / "tools" / "alpha-1.0-py3-none-any.whl").unlink()
    assert sync(mirrored, "tools", "rate=100000")["result"]["removed"] == ["alpha-1.0-py3-none-any.whl"]
    assert [path.name for path in (mirrored.path / "mirrors" / "tools").glob("*.whl")] == ["beta-1.0-py3-none-any.whl"]


def test_what_serve_proposes_is_a_sync_that_works(mirrored: Home, mill: tuple[Home, Serve]) -> None:
    (proposed,) = [line.split() for line in mill[1].out.lines if " task enqueue " in line]
    assert mirrored.ok(*proposed[1:], "--json")
    assert len(list((mirrored.path / "mirrors" / "tools").glob("*.whl"))) == 2


def test_its_progress_stays_with_the_run(mirrored: Home) -> None:
    size = (mirrored.path / "feeds" / "web" / "gamma-1.0-py3-none-any.whl").stat().st_size
    counted = {"files": {"done": 1, "total": 1}, "bytes": {"done": size, "total": size}}
    assert sync(mirrored, "web")["progress"] == counted


def test_all_repositories_are_one_job(mirrored: Home) -> None:
    ids = mirrored.json("task", "enqueue", "sync_all", "--wait")["result"]
    mirrored.ok("task", "watch", *ids)
    (job,) = mirrored.json("job", "list")
    assert sorted(task["id"] for task in job["tasks"]) == sorted(ids)
    assert sorted(task["args"][0] for task in job["tasks"]) == ["tools", "web"]
    assert len(list((mirrored.path / "mirrors").glob("*/*.whl"))) == 3


def test_each_repository_has_one_schedule_however_often_it_is_planned(mirrored: Home) -> None:
    mirrored.ok("task", "enqueue", "schedule_syncs", "--wait")
    first = schedules(mirrored)
    assert [name for name, _ in first] == ["sync tools", "sync web"]
    mirrored.ok("task", "enqueue", "schedule_syncs", "--wait")
    assert schedules(mirrored) == first


def schedules(home: Home) -> list[tuple[str, str]]:
    """The name and id of each schedule of a sync."""
    tasks = home.json("task", "list", "--name", "sync", "--state", "incomplete")
    return sorted((task["schedule_name"], task["id"]) for task in tasks if task["schedule_name"])


def test_a_feed_that_is_gone_is_an_error_that_names_it(mirrored: Home) -> None:
    shutil.rmtree(mirrored.path / "feeds" / "web")
    done = mirrored.run("task", "enqueue", "sync", "web", "--wait")
    assert done.returncode == 1
    assert f"there is no feed at {mirrored.path}/feeds/web" in done.stderr
