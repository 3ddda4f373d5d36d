"""The example synchronises real wheels: from a directory, from pages on disk and over a loopback HTTP server."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from examples import repository_sync
from examples.repository_sync import synchronise

ROOT = Path(repository_sync.__file__).parent.parent


def make_wheel(directory: Path, name: str, content: bytes = b"answer = 42\n") -> Path:
    """A wheel as the binary distribution format has it, with a true RECORD."""
    entries = {f"{name}.py": content, f"{name}-1.0.dist-info/METADATA": f"Name: {name}\nVersion: 1.0\n".encode()}
    record = io.StringIO()
    writer = csv.writer(record, lineterminator="\n")
    for entry, data in entries.items():
        digest = urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        writer.writerow([entry, f"sha256={digest}", len(data)])
    writer.writerow([f"{name}-1.0.dist-info/RECORD", "", ""])
    path = directory / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for entry, data in entries.items():
            wheel.writestr(entry, data)
        wheel.writestr(f"{name}-1.0.dist-info/RECORD", record.getvalue())
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_html_index(directory: Path) -> Path:
    anchors = [f'<a href="{p.name}#sha256={sha256(p)}">{p.name}</a><br>' for p in sorted(directory.glob("*.whl"))]
    page = directory / "index.html"
    page.write_text("<!DOCTYPE html><html><body>\n" + "\n".join(anchors) + "\n</body></html>")
    return page


def write_json_index(directory: Path) -> Path:
    files = [
        {"filename": p.name, "url": p.name, "hashes": {"sha256": sha256(p)}, "size": p.stat().st_size}
        for p in sorted(directory.glob("*.whl"))
    ]
    page = directory / "index.json"
    page.write_text(json.dumps({"meta": {"api-version": "1.1"}, "name": "some", "files": files}))
    return page


def names(directory: Path) -> list[str]:
    """What a reader of the mirror sees."""
    return sorted(path.name for path in directory.iterdir() if not path.name.startswith("."))


def ignore(progress: dict[str, Any]) -> None:
    pass


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    directory = tmp_path / "feed"
    directory.mkdir()
    for name in ("alpha", "beta", "gamma"):
        make_wheel(directory, name)
    return directory


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    return tmp_path / "mirrors" / "some"


@pytest.fixture
def served(feed: Path) -> Iterator[str]:
    """The feed's directory over HTTP on the loopback interface."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(feed))) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(params=["directory", "html page", "json page", "html over http", "json over http"])
def source(request: pytest.FixtureRequest, feed: Path, served: str) -> Callable[[], str]:
    """Writes the feed's page anew, where it has one, and gives the feed's name."""
    kinds: dict[str, Callable[[], str]] = {
        "directory": lambda: str(feed),
        "html page": lambda: str(write_html_index(feed)),
        "json page": lambda: write_json_index(feed).as_uri(),
        "html over http": lambda: f"{served}/{write_html_index(feed).name}",
        "json over http": lambda: f"{served}/{write_json_index(feed).name}",
    }
    return kinds[request.param]


def test_a_mirror_follows_its_feed(source: Callable[[], str], feed: Path, mirror: Path) -> None:
    first = synchronise(source(), mirror, ignore)
    assert first["added"] == names(mirror) == [p.name for p in sorted(feed.glob("*.whl"))]
    assert first["bytes"] == sum(p.stat().st_size for p in feed.glob("*.whl"))

    (feed / "beta-1.0-py3-none-any.whl").unlink()
    make_wheel(feed, "alpha", b"answer = 43\n")
    make_wheel(feed, "delta")
    second = synchronise(source(), mirror, ignore)

    assert second["added"] == ["delta-1.0-py3-none-any.whl"]
    assert second["replaced"] == ["alpha-1.0-py3-none-any.whl"]
    assert second["removed"] == ["beta-1.0-py3-none-any.whl"]
    assert second["unchanged"] == 1
    assert {p.name: sha256(p) for p in mirror.glob("*.whl")} == {p.name: sha256(p) for p in feed.glob("*.whl")}


def test_a_second_sync_copies_nothing(source: Callable[[], str], mirror: Path) -> None:
    synchronise(source(), mirror, ignore)
    before = {p.name: p.stat().st_mtime_ns for p in mirror.glob("*.whl")}
    again = synchronise(source(), mirror, ignore)
    assert again == {"added": [], "replaced": [], "removed": [], "unchanged": 3, "bytes": 0}
    assert {p.name: p.stat().st_mtime_ns for p in mirror.glob("*.whl")} == before


def test_a_damaged_file_in_the_mirror_is_repaired(source: Callable[[], str], mirror: Path) -> None:
    synchronise(source(), mirror, ignore)
    damaged = mirror / "beta-1.0-py3-none-any.whl"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-1])
    assert synchronise(source(), mirror, ignore)["replaced"] == [damaged.name]
    assert damaged.read_bytes() == whole


def test_progress_counts_files_and_bytes_up_to_their_totals(feed: Path, mirror: Path) -> None:
    seen: list[dict[str, Any]] = []
    synchronise(str(feed), mirror, seen.append)
    total = sum(p.stat().st_size for p in feed.glob("*.whl"))
    assert seen[0] == {"files": {"done": 0, "total": 3}, "bytes": {"done": 0, "total": total}}
    assert seen[-1] == {"files": {"done": 3, "total": 3}, "bytes": {"done": total, "total": total}}
    assert [s["bytes"]["done"] for s in seen] == sorted(s["bytes"]["done"] for s in seen)


def test_bytes_have_no_total_where_the_page_gives_no_sizes(feed: Path, served: str, mirror: Path) -> None:
    seen: list[dict[str, Any]] = []
    synchronise(f"{served}/{write_html_index(feed).name}", mirror, seen.append)
    assert {s["bytes"]["total"] for s in seen} == {None}


def test_a_file_with_another_sum_than_promised_never_appears(feed: Path, mirror: Path) -> None:
    page = write_html_index(feed)
    page.write_text(page.read_text().replace(sha256(feed / "beta-1.0-py3-none-any.whl"), "0" * 64))
    with pytest.raises(ValueError, match=r"beta-1\.0-py3-none-any\.whl has the sha256 .* promised 0000"):
        synchronise(str(page), mirror, ignore)
    assert names(mirror) == ["alpha-1.0-py3-none-any.whl"]
    assert not list(mirror.glob("*.part")) and not list(mirror.glob(".*.part"))


def test_sums_beside_the_wheels_are_held_to(feed: Path, mirror: Path) -> None:
    wheels = sorted(p.name for p in feed.glob("*.whl"))
    sums = subprocess.run(["sha256sum", *wheels], cwd=feed, check=True, capture_output=True).stdout
    (feed / "SHA256SUMS").write_bytes(sums)
    make_wheel(feed, "beta", b"import evil\n")
    with pytest.raises(ValueError, match=r"beta-1\.0-py3-none-any\.whl has the sha256"):
        synchronise(str(feed), mirror, ignore)
    assert names(mirror) == ["alpha-1.0-py3-none-any.whl"]


def test_a_wheel_that_differs_from_its_record_is_refused(feed: Path, mirror: Path) -> None:
    path = feed / "beta-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "a") as wheel, pytest.warns(UserWarning, match="Duplicate name"):
        wheel.writestr("beta.py", b"answer = 66\n")
    with pytest.raises(ValueError, match=r"beta\.py is not the one that its RECORD lists"):
        synchronise(str(feed), mirror, ignore)
    assert not mirror.exists()


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("<html>Please log in</html>", "offers no files"),
        ('<a href="alpha-1.0.tar.gz">no hash</a>', "no sha256 for alpha"),
        ('<a href="alpha-1.0.tar.gz#md5=d41d8cd98f00b204e9800998ecf8427e">md5</a>', "no sha256 for alpha"),
        (f'<a href="..%2f..%2fetc%2fpasswd#sha256={"0" * 64}">x</a>', None),
        (f'<a href=".hidden#sha256={"0" * 64}">x</a>', "file named '.hidden'"),
        (f'<a href="data:alpha-1.0.tar.gz#sha256={"0" * 64}">x</a>', "not a place to fetch from"),
    ],
)
def test_a_wrong_page_changes_nothing(page: str, message: str | None, tmp_path: Path, mirror: Path) -> None:
    mirror.mkdir(parents=True)
    (mirror / "alpha-1.0.tar.gz").write_bytes(b"kept")
    (tmp_path / "index.html").write_text(page)
    with pytest.raises((ValueError, OSError), match=message):
        synchronise(str(tmp_path / "index.html"), mirror, ignore)
    assert names(mirror) == ["alpha-1.0.tar.gz"]


def test_a_page_of_another_host_cannot_name_files_of_this_one(feed: Path, served: str, mirror: Path) -> None:
    secret = feed / "alpha-1.0-py3-none-any.whl"
    (feed / "index.html").write_text(f'<a href="{secret.as_uri()}#sha256={sha256(secret)}">alpha</a>')
    with pytest.raises(ValueError, match="not a place to fetch from"):
        synchronise(f"{served}/index.html", mirror, ignore)


@pytest.mark.parametrize("feed_name", ["/nowhere/at/all", "ftp://127.0.0.1/simple/", "http://127.0.0.1:9/simple/"])
def test_a_feed_that_cannot_be_read_is_named(feed_name: str, mirror: Path) -> None:
    with pytest.raises((ValueError, OSError), match=feed_name.replace("+", r"\+")):
        synchronise(feed_name, mirror, ignore)


def test_a_rate_holds_the_copying_back(feed: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(repository_sync.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(repository_sync.time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    done = synchronise(str(feed), mirror, ignore, rate=100)
    assert clock[0] == pytest.approx(done["bytes"] / 100)


def test_a_rate_of_nothing_is_refused(feed: Path, mirror: Path) -> None:
    with pytest.raises(ValueError, match="more than 0"):
        synchronise(str(feed), mirror, ignore, rate=0)


def test_a_sync_that_is_interrupted_leaves_no_half_file(feed: Path, mirror: Path) -> None:
    def interrupt(progress: dict[str, Any]) -> None:
        if progress["bytes"]["done"] > 0 and progress["files"]["done"] == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synchronise(str(feed), mirror, interrupt, rate=10**9)
    assert names(mirror) == ["alpha-1.0-py3-none-any.whl"]
    assert synchronise(str(feed), mirror, ignore)["unchanged"] == 1
    assert len(names(mirror)) == 3 and not list(mirror.glob(".*.part"))


KILLED_HALF_WAY = """
import os, signal, sys
from pathlib import Path
from examples.repository_sync import synchronise
def die(progress):
    if progress["files"]["done"] == 1 and progress["bytes"]["done"] > sizes:
        os.kill(os.getpid(), signal.SIGKILL)
feed, mirror, sizes = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
synchronise(feed, mirror, die)
"""


def test_a_sync_goes_on_where_a_killed_one_stopped(feed: Path, mirror: Path) -> None:
    sizes = str((feed / "alpha-1.0-py3-none-any.whl").stat().st_size)
    command = [sys.executable, "-c", KILLED_HALF_WAY, str(feed), str(mirror), sizes]
    killed = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [p.name for p in mirror.glob(".*.part")] == [".beta-1.0-py3-none-any.whl.part"]
    assert names(mirror) == ["alpha-1.0-py3-none-any.whl"]

    assert synchronise(str(feed), mirror, ignore)["unchanged"] == 1
    assert len(names(mirror)) == 3 and not list(mirror.glob(".*.part"))
