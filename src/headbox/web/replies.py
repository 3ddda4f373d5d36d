"""What goes back to the client. Long lists are spooled: one consistent reading is written to a temporary file, then
sent, so that neither memory nor an open transaction grows with the list or with a slow reader. Streams are told event
by event."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing
from itertools import islice
from tempfile import SpooledTemporaryFile
from typing import IO, Any, Final, TypeVar

import msgspec
from starlette.types import Send

from headbox.web.problems import CONTENT_TYPE, Problem
from headbox.web.representations import encode

JSON: Final = b"application/json"
BATCH: Final = 256  # rows encoded at a time
IN_MEMORY: Final = 1024 * 1024
CHUNK: Final = 256 * 1024
CUT: Final = "headbox.cut"  # the extension by which our own server lets a connection be ended at once
SEND_TIME: Final = 30.0  # seconds that a client may take for one event; a slower one is cut, not waited for

# On every answer: it is for this caller, now, and is what its content type says.
BASE_HEADERS: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)

Header = tuple[bytes, bytes]
Row = TypeVar("Row")


class Reply(msgspec.Struct, frozen=True):
    """An answer that fits in memory."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: tuple[Header, ...] = ()


class SpooledReply(msgspec.Struct, frozen=True):
    """A 200 whose JSON body waits in a file, which is closed once it has been sent."""

    file: IO[bytes]
    size: int
    headers: tuple[Header, ...] = ()
    status: int = 200


class StreamReply(msgspec.Struct, frozen=True):
    """A 200 that goes on for as long as `events` does (Server-Sent Events)."""

    events: AsyncGenerator[bytes, None]
    status: int = 200


def json_reply(status: int, value: Any, *headers: Header) -> Reply:
    """An answer in JSON."""
    return Reply(status, encode(value), JSON, headers)


def problem_reply(problem: Problem) -> Reply:
    """A problem as an answer."""
    headers = tuple((name.lower().encode(), value.encode()) for name, value in problem.headers)
    return Reply(problem.status, problem.document(), CONTENT_TYPE, headers)


def spool(rows: Iterable[Row], show: Callable[[list[Row]], list[Any]]) -> tuple[IO[bytes], int]:
    """A file with the JSON array of `rows`, and their number; `show` makes of some of them what is encoded.

    Blocks, and holds a reading of the database open while it does: for a thread.
    """
    file: IO[bytes] = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - closed when sent
    try:
        count = 0
        file.write(b"[")
        for batch in _batches(rows):
            members = memoryview(encode(show(batch)))[1:-1]
            file.write(b"," if count else b"")
            file.write(members)
            count += len(batch)
        file.write(b"]")
    except BaseException:
        file.close()
        raise
    return file, count


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    rest = iter(rows)
    while batch := list(islice(rest, BATCH)):
        yield batch


def spooled_reply(file: IO[bytes], *headers: Header) -> SpooledReply:
    """The file as an answer."""
    size = file.tell()
    file.seek(0)
    return SpooledReply(file, size, headers)


async def send_reply(
    send: Send, reply: Reply | SpooledReply | StreamReply, *, head: bool, extensions: Mapping[str, Any] | None = None
) -> None:
    """Sends it; to HEAD, all but the body."""
    if isinstance(reply, StreamReply):
        cut = (extensions or {}).get(CUT, {}).get("cut")
        await _send_stream(send, reply, head=head, cut=cut)
        return
    if isinstance(reply, SpooledReply):
        await _send_spooled(send, reply, head=head)
        return
    await send(_start(reply.status, reply.content_type, len(reply.body), reply.headers))
    await send({"type": "http.response.body", "body": b"" if head else reply.body})


async def _send_spooled(send: Send, reply: SpooledReply, *, head: bool) -> None:
    with reply.file as file:
        await send(_start(reply.status, JSON, reply.size, reply.headers))
        left = 0 if head else reply.size
        while left > CHUNK:
            chunk = await asyncio.to_thread(file.read, CHUNK)
            left -= len(chunk)
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": file.read(left)})


async def _send_stream(send: Send, reply: StreamReply, *, head: bool, cut: Callable[[], None] | None) -> None:
    async with aclosing(reply.events) as events:
        await send(_start(reply.status, b"text/event-stream", None, ((b"x-accel-buffering", b"no"),)))
        if not head:
            async for event in events:
                if not await _is_sent(send, event, more=True):
                    if cut is not None:
                        cut()  # what it has not read is given up as well
                    break
    await _is_sent(send, b"", more=False)


async def _is_sent(send: Send, body: bytes, *, more: bool) -> bool:
    """Whether the client has taken it, or most of it, in time."""
    try:
        async with asyncio.timeout(SEND_TIME):
            await send({"type": "http.response.body", "body": body, "more_body": more})
    except TimeoutError:
        return False
    return True


def _start(status: int, content_type: bytes, size: int | None, headers: tuple[Header, ...]) -> dict[str, Any]:
    own = {name for name, _ in headers}
    length = () if size is None else ((b"content-length", str(size).encode()),)
    base = (header for header in BASE_HEADERS if header[0] not in own)
    return {
        "type": "http.response.start",
        "status": status,
        "headers": [(b"content-type", content_type), *length, *base, *headers],
    }
