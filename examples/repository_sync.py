"""What Pulp used its tasks for: keep mirrors of package repositories in step with where they come from.

A feed is a directory of wheels or a project's page of a simple index (PEP 503, PEP 691), by path or file, http(s) URL.
Start it with `headbox serve --app examples.repository_sync:queue`.
"""

from __future__ import annotations

import csv
import fcntl
import hashlib
import json
import os
import re
import time
import urllib.request
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from headbox import TaskQueue, current_task

HERE = Path(__file__).parent
FEEDS = Path(os.environ.get("REPOSITORY_FEEDS", HERE / "repositories"))  # one directory of wheels a repository
MIRRORS = Path(os.environ.get("REPOSITORY_MIRRORS", HERE / "mirrors"))
MINUTES = int(os.environ.get("REPOSITORY_MINUTES", "15"))  # between two syncs of one repository
EVERY = f"2026-01-01T00:00:00Z/PT{MINUTES}M"  # a grid: the same for all, whenever this was started

INDEX_TYPES = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*")  # of a repository or a file: nothing that leaves its directory
PART = ".part"
CHUNK = 1 << 16

queue = TaskQueue()

Report = Callable[[dict[str, Any]], None]


# The tasks -----------------------------------------------------------------------------------------------------------


@queue.task(timeout=3600, attempts=3)
def sync(repository: str, feed: str | None = None, rate: int | None = None) -> dict[str, Any]:
    """Makes the mirror of `repository` hold what its feed holds. `rate` limits the bytes per second.

    headbox task enqueue sync tools rate=30000 --wait
    """
    if not NAME.fullmatch(repository):
        raise ValueError(f"{repository!r} cannot name a repository: use letters, digits, '.', '_' and '-'")
    return synchronise(feed or str(FEEDS / repository), MIRRORS / repository, current_task().report, rate)


@queue.task
def sync_all(rate: int | None = None) -> list[str]:
    """Enqueues a sync of every repository there is a feed for, all in one job. Returns the ids of the tasks."""
    call = sync.call.options(job_id=current_task().job_id or current_task().id)
    limit = {} if rate is None else {"rate": rate}
    return [task.id for task in queue.enqueue_many(call(name, **limit) for name in repositories())]


@queue.task(schedule=f"PT{MINUTES}M")
def schedule_syncs() -> list[str]:
    """Gives every repository a schedule of its own, so that one that is slow or fails delays no other."""
    for name in repositories():
        queue.schedule(f"sync {name}", sync, args=[name], schedule=EVERY)
    return repositories()


def repositories() -> list[str]:
    """The names of the feeds that lie in `FEEDS`."""
    return sorted(path.name for path in FEEDS.iterdir() if path.is_dir() and NAME.fullmatch(path.name))


# The sync ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Package:
    """A file that a feed offers. `size` is None where the feed does not say."""

    name: str
    url: str
    sha256: str
    size: int | None


def synchronise(feed: str, mirror: Path, report: Report, rate: int | None = None) -> dict[str, Any]:
    """Copies to `mirror` what is new or differs in `feed`, then removes what is gone. Says what it did.

    Safe to interrupt and to run again: a file appears under its name only when it is whole and verified.
    """
    packages = read_feed(feed)
    mirror.mkdir(parents=True, exist_ok=True)
    with alone_in(mirror):
        present = {path.name for path in mirror.iterdir() if not path.name.startswith(".")}
        wanted = [package for package in packages if not holds(mirror / package.name, package)]
        progress = Progress(wanted, report, rate)
        for package in wanted:
            fetch(package, mirror, progress)
        gone = sorted(present - {package.name for package in packages})
        for name in gone:
            (mirror / name).unlink()
    copied = [package.name for package in wanted]
    return {
        "added": sorted(set(copied) - present),
        "replaced": sorted(set(copied) & present),
        "removed": gone,
        "unchanged": len(packages) - len(copied),
        "bytes": progress.bytes,
    }


@contextmanager
def alone_in(mirror: Path) -> Iterator[None]:
    """Waits for any other sync of the mirror to end, and clears what one that was killed has left."""
    with (mirror / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in mirror.glob(f".*{PART}"):
            left.unlink()
        yield


def holds(path: Path, package: Package) -> bool:
    """Whether `path` already is what the feed offers."""
    return path.is_file() and package.sha256 == sha256(path)


def fetch(package: Package, mirror: Path, progress: Progress) -> None:
    """Copies one file beside its place, verifies it and only then gives it its name."""
    part = mirror / f".{package.name}{PART}"
    try:
        with open_url(package.url)[0] as source, part.open("wb") as target:
            found = copy(source, target, progress)
        if found != package.sha256:
            raise ValueError(f"{package.name} has the sha256 {found}, and its feed promised {package.sha256}")
        part.rename(mirror / package.name)
    finally:
        part.unlink(missing_ok=True)
    progress.file_done()


def copy(source: BinaryIO, target: BinaryIO, progress: Progress) -> str:
    """Copies all of `source` and returns its sha256."""
    digest = hashlib.sha256()
    while chunk := source.read(progress.chunk):
        target.write(chunk)
        digest.update(chunk)
        progress.add(len(chunk))
    return digest.hexdigest()


class Progress:
    """Counts files and bytes, reports them, and holds the copying to `rate` bytes per second."""

    def __init__(self, wanted: list[Package], report: Report, rate: int | None) -> None:
        if rate is not None and rate <= 0:
            raise ValueError(f"rate is {rate}: give the bytes per second, more than 0, or leave it out for no limit")
        sizes = [package.size for package in wanted]
        self.total_files = len(wanted)
        self.total_bytes = None if None in sizes else sum(size for size in sizes if size is not None)
        self.files = self.bytes = 0
        self.chunk = CHUNK if rate is None else max(1, min(CHUNK, rate // 20))
        self._report, self._rate, self._start = report, rate, time.monotonic()
        self._tell()

    def add(self, count: int) -> None:
        self.bytes += count
        if self._rate is not None:
            time.sleep(max(0.0, self._start + self.bytes / self._rate - time.monotonic()))
        self._tell()

    def file_done(self) -> None:
        self.files += 1
        self._tell()

    def _tell(self) -> None:
        files = {"done": self.files, "total": self.total_files}
        self._report({"files": files, "bytes": {"done": self.bytes, "total": self.total_bytes}})


# The feeds -----------------------------------------------------------------------------------------------------------


def read_feed(feed: str) -> list[Package]:
    """The files that a directory or a page of a simple index offers, each with its sha256."""
    parts = urlsplit(feed)
    if parts.scheme in ("http", "https"):
        return read_index(feed)
    if parts.scheme not in ("", "file"):
        raise ValueError(f"{feed!r} is no feed: give a directory, a page's path or a file, http or https URL")
    path = Path(unquote(parts.path) if parts.scheme else feed).absolute()
    if not path.exists():
        raise FileNotFoundError(f"there is no feed at {path}")
    return read_directory(path) if path.is_dir() else read_index(path.as_uri())


def read_directory(directory: Path) -> list[Package]:
    """The wheels of a directory, each with its sum from SHA256SUMS, or else checked against its own RECORD."""
    sums = read_sums(directory / "SHA256SUMS")
    paths = sorted(path for path in directory.glob("*.whl") if NAME.fullmatch(path.name))
    for path in paths:
        if path.name not in sums:
            verify_record(path)
    return [Package(p.name, p.as_uri(), sums.get(p.name) or sha256(p), p.stat().st_size) for p in paths]


def verify_record(path: Path) -> None:
    """Checks every file in a wheel against the sha256 that the wheel's RECORD gives (binary distribution format)."""
    with zipfile.ZipFile(path) as wheel:
        record = next((entry for entry in wheel.namelist() if entry.endswith(".dist-info/RECORD")), None)
        if record is None:
            raise ValueError(f"{path} is no wheel: it has no RECORD")
        for entry, promised, *_ in csv.reader(wheel.read(record).decode().splitlines()):
            digest = urlsafe_b64encode(hashlib.sha256(wheel.read(entry)).digest()).rstrip(b"=").decode()
            if promised.startswith("sha256=") and promised != f"sha256={digest}":
                raise ValueError(f"{path} was altered: its {entry} is not the one that its RECORD lists")


def read_sums(path: Path) -> dict[str, str]:
    """What `sha256sum` wrote: a file's name to its sum."""
    lines = path.read_text().splitlines() if path.exists() else []
    return {name.lstrip("*"): digest.lower() for digest, name in (line.split(maxsplit=1) for line in lines if line)}


def read_index(url: str) -> list[Package]:
    """The files on a project's page of a simple index. Refuses a page without any, lest a wrong page empty a mirror."""
    body, content_type, final_url = get(url)
    packages = list((from_json if content_type.endswith("json") else from_html)(body, final_url))
    if not packages:
        raise ValueError(f"{url} offers no files: give a project's page of a simple index, or a directory of wheels")
    for package in packages:
        check(package, url)
    return packages


def check(package: Package, index: str) -> None:
    """Refuses what could not be verified, or would reach beyond the mirror or, from another host, into this one."""
    if not NAME.fullmatch(package.name):
        raise ValueError(f"{index} offers a file named {package.name!r}, which is no file of a Python package")
    if not re.fullmatch(r"[0-9a-f]{64}", package.sha256):
        raise ValueError(f"{index} gives no sha256 for {package.name}, so that it could not be verified")
    if urlsplit(package.url).scheme not in ("http", "https", urlsplit(index).scheme):
        raise ValueError(f"{index} offers {package.name} at {package.url}, which is not a place to fetch from")


def from_json(body: bytes, base: str) -> Iterator[Package]:
    """PEP 691: the files of a project in JSON."""
    for file in json.loads(body).get("files", []):
        yield Package(file["filename"], urljoin(base, file["url"]), file["hashes"].get("sha256", ""), file.get("size"))


def from_html(body: bytes, base: str) -> Iterator[Package]:
    """PEP 503: an anchor a file, its hash in the fragment. Anchors that end in a slash lead to other pages."""
    for href in Anchors(body.decode("utf-8", "replace")).hrefs:
        url, fragment = urldefrag(urljoin(base, href))
        name = unquote(urlsplit(url).path).rpartition("/")[2]
        if name:
            algorithm, _, digest = fragment.partition("=")
            yield Package(name, url, digest.lower() if algorithm == "sha256" else "", file_size(url))


class Anchors(HTMLParser):
    """Collects where the anchors of a page lead."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.hrefs: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.hrefs += [value for name, value in attrs if tag == "a" and name == "href" and value]


def get(url: str) -> tuple[bytes, str, str]:
    """A page, its content type and the URL that it came from in the end."""
    page, content_type, final_url = open_url(url, INDEX_TYPES)
    with page:
        return page.read(), content_type, final_url


def open_url(url: str, accept: str = "*/*") -> tuple[BinaryIO, str, str]:
    """Opens a file, http or https URL, and says its content type and where redirects led."""
    headers = {"Accept": accept, "User-Agent": "headbox-repository-sync"}
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60)  # noqa: S310
    except OSError as error:
        raise OSError(f"{url} cannot be read: {error}") from error
    return response, response.headers.get_content_type(), response.url


def file_size(url: str) -> int | None:
    """The size of a local file; a remote one's is not known before it is fetched."""
    parts = urlsplit(url)
    path = Path(unquote(parts.path))
    return path.stat().st_size if parts.scheme == "file" and path.is_file() else None


def sha256(path: Path) -> str:
    """The file's sha256, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
