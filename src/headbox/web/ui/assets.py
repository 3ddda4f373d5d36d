"""What pages load: scripts and styles, ours and those that the build fetched, under addresses that name their content,
so that a browser keeps them for good and never has an old one."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import Final

from headbox.web.problems import Problem
from headbox.web.replies import Reply
from headbox.web.request import Request

TYPES: Final = {
    "css": b"text/css; charset=utf-8",
    "js": b"text/javascript; charset=utf-8",
    "svg": b"image/svg+xml",
}
VENDORED: Final = (
    "htmx.min.js",
    "sse.min.js",
    "idiomorph-ext.min.js",
    "uPlot.iife.min.js",
    "uPlot.min.css",
    "pico.min.css",
)
KEPT: Final = ((b"cache-control", b"public, max-age=31536000, immutable"), (b"vary", b"accept-encoding"))
SMALL: Final = 512  # bytes, below which compressing gains nothing


class Asset:
    """One file: `name` as pages call it, `address` as browsers do."""

    def __init__(self, name: str, content: bytes) -> None:
        self.name = name
        self.content = content
        stem, _, self._extension = name.rpartition(".")
        self.address = f"/ui/static/{stem}.{hashlib.sha256(content).hexdigest()[:16]}.{self._extension}"

    @cached_property
    def compressed(self) -> bytes:
        """The content, gzipped."""
        return gzip.compress(self.content, mtime=0)

    def reply(self, encodings: bytes) -> Reply:
        """The file for a client that accepts these encodings."""
        if b"gzip" in encodings and len(self.content) > SMALL:
            return Reply(200, self.compressed, TYPES[self._extension], (*KEPT, (b"content-encoding", b"gzip")))
        return Reply(200, self.content, TYPES[self._extension], KEPT)


class Assets:
    """All of them, read at the start: they take some 250 kB."""

    def __init__(self, root: Traversable | None = None) -> None:
        root = root or files("headbox.web").joinpath("static")
        pictures = {asset.name: asset for asset in _read(root, ("svg",))}
        self._by_name = pictures | {asset.name: asset for asset in _read(root, ("css", "js"), pictures)}
        self._by_address = {asset.address: asset for asset in self._by_name.values()}

    @property
    def missing(self) -> list[str]:
        """What the build should have fetched and is not there."""
        return [name for name in VENDORED if f"vendor/{name}" not in self._by_name]

    def address(self, name: str) -> str:
        """Where a page finds the file of that name; KeyError."""
        return self._by_name[name].address

    async def get(self, request: Request) -> Reply:
        """`GET /ui/static/…`."""
        asset = self._by_address.get(request.route)
        if asset is None:
            raise Problem(404, "there is no such file; load the page anew")
        return asset.reply(request.header(b"accept-encoding") or b"")


def _read(
    folder: Traversable, types: tuple[str, ...], pictures: Mapping[str, Asset] = MappingProxyType({}), prefix: str = ""
) -> Iterator[Asset]:
    for each in sorted(folder.iterdir(), key=lambda each: each.name):
        if each.is_dir():
            yield from _read(each, types, pictures, f"{prefix}{each.name}/")
        elif each.name.rpartition(".")[2] in types:
            yield Asset(prefix + each.name, _with_addresses(each.read_bytes(), pictures))


def _with_addresses(content: bytes, pictures: Mapping[str, Asset]) -> bytes:
    """A style sheet that names a picture beside it names it as browsers do."""
    for name, asset in pictures.items():
        content = content.replace(f'url("{name}")'.encode(), f'url("{asset.address.rpartition("/")[2]}")'.encode())
    return content
