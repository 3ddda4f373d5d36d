"""One process that `serve` keeps: how it is started, what it reports, and how it is told to end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any


class Kept:
    """`headbox work` or `headbox api` as a child of this process, over and over under the same name."""

    def __init__(self, name: str, options: list[str], heed: Callable[[Mapping[str, Any]], None]) -> None:
        self.name = name
        self.options = options
        self.is_replaced = False  # it was told to end so that another can take its place
        self.has_worked = False  # one of them got as far as to report
        self._heed = heed
        self._process: asyncio.subprocess.Process | None = None

    async def live(self, environment: Mapping[str, str], *, is_wanted: Callable[[], bool]) -> int:
        """Starts it, listens to what it reports, and gives its exit status once it has ended."""
        self.is_replaced = False
        reports = await self._start(environment)
        assert self._process is not None
        if not is_wanted():  # a stop came while it was being started
            self.end()
        listening = asyncio.create_task(self._listen(reports))
        try:
            status = await self._process.wait()
            await asyncio.wait([listening], timeout=1)  # what it reported last may have come behind its end
        finally:
            listening.cancel()
        return status

    def end(self) -> None:
        """Asks it to finish what it does."""
        self._send(signal.SIGTERM)

    def end_at_once(self) -> None:
        """Asks it to interrupt what it does. Two signals that differ: equal ones can arrive as one."""
        self._send(signal.SIGTERM)
        self._send(signal.SIGINT)

    def kill(self) -> None:
        """Ends it, whatever it does."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def _start(self, environment: Mapping[str, str]) -> asyncio.StreamReader:
        """In a process group of its own: the terminal's Ctrl-C is for the parent, which passes it on."""
        reading, writing = os.pipe()
        words = [sys.executable, "-P", "-m", "headbox", self.name, *self.options]
        words += ["--status-fd", str(writing), "--parent", str(os.getpid()), "--program", sys.argv[0]]
        try:
            self._process = await asyncio.create_subprocess_exec(
                *words, env=environment, pass_fds=(writing,), process_group=0, stdin=asyncio.subprocess.DEVNULL
            )
        finally:
            os.close(writing)
        reports = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reports)
        await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, os.fdopen(reading, "rb"))
        return reports

    async def _listen(self, reports: asyncio.StreamReader) -> None:
        async for line in reports:
            self.has_worked = True
            self._heed(json.loads(line))


def describe_end(status: int) -> str:
    """An exit status in words."""
    return f"ended with status {status}" if status >= 0 else f"was killed by {signal.Signals(-status).name}"
