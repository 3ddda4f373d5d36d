"""Lets commands of the same user find a running `serve`: keeps its address and a token that is valid in their file."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Final

import rich_click as click

from headbox.assemble import open_queue
from headbox.cli import local_service
from headbox.cli.local_service import LocalService, process_start
from headbox.cli.terminal import printable
from headbox.config import Settings
from headbox.domain.errors import HeadboxError, StorageError
from headbox.domain.task import HOUR, SECOND
from headbox.task_queue import TaskQueue

LIFETIME: Final = 24 * HOUR  # of a token, should nobody revoke it
RENEWAL: Final = LIFETIME / SECOND / 2  # seconds until another is made
SHOWN: Final = 8  # names of tasks in the hints
RETRY: Final = 60.0  # seconds before another try, when the database was away


class Findable:
    """The file of this process. `settings` may change until the first `url` comes."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.url: asyncio.Queue[str] = asyncio.Queue()
        self._path: Path | None = None
        self._secret: str | None = None
        self._token_ids: list[str] = []

    async def stay(self) -> None:
        """Writes the file once the API's address is known, and again when that changes or a new token is due."""
        url, is_first = await self.url.get(), True
        renewal_time = 0.0
        while True:
            try:
                if time.monotonic() >= renewal_time:
                    await asyncio.to_thread(self._renew)
                    renewal_time = time.monotonic() + RENEWAL
                self._write(url)
            except StorageError:
                renewal_time = time.monotonic() + RETRY
            except OSError as error:
                click.echo(f"headbox: commands here need --url and --token, since {error}", err=True)
                return
            if is_first:
                click.echo(hints(await asyncio.to_thread(self._names)))
                is_first = False
            with suppress(TimeoutError):
                url = await asyncio.wait_for(self.url.get(), max(0.0, renewal_time - time.monotonic()))

    def leave(self) -> None:
        """Takes the file away and revokes its tokens."""
        from headbox.web.accounts import revoke_token

        if self._path is not None:
            self._path.unlink(missing_ok=True)
        for token_id in self._token_ids:
            with suppress(HeadboxError):  # it has expired, or will
                revoke_token(self._queue, token_id)

    def _renew(self) -> None:
        """Takes another token. The one before is good until it expires: a command may just have read it."""
        from headbox.web.accounts import issue_local_token

        token_id, self._secret = issue_local_token(self._queue, LIFETIME) or (None, None)
        if token_id is not None:
            self._token_ids.append(token_id)

    def _write(self, url: str) -> None:
        started = process_start(os.getpid()) or 0
        service = LocalService(os.getpid(), started, url, self.settings.database, self._secret)
        self._path = local_service.leave(service)

    def _names(self) -> list[str]:
        return sorted({published.short_name for published in self._queue.store.callables()})

    @cached_property
    def _queue(self) -> TaskQueue:
        return open_queue(self.settings)


def hints(names: list[str]) -> str:
    """What to type next, on this machine, where tasks of these names are known."""
    program = typed_name()
    shown = ", ".join(printable(name) for name in names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
    lines = [
        "In another terminal, without a password:",
        f"    {program} task list",
        f"    {program} task enqueue NAME [ARGUMENT]... [KEY=VALUE]... --wait",
        f"    {program} task watch",
    ]
    return "\n".join([*lines[:3], f"        where NAME is one of: {shown}", *lines[3:]] if names else lines)


def typed_name() -> str:
    """How this program was called, as it can be typed again."""
    program = Path(sys.argv[0])
    if program.name != "headbox" or not program.is_relative_to(Path.cwd()):
        return "headbox" if program.is_absolute() or program.name != "headbox" else str(program)
    return str(program.relative_to(Path.cwd()))
