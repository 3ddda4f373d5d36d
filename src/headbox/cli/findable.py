"""Lets commands of the same user find a running `serve`: keeps its address and a token that is valid in their file."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import rich_click as click

from headbox.assemble import open_queue
from headbox.cli import local_service
from headbox.cli.local_service import LocalService, process_start
from headbox.config import Settings
from headbox.domain.errors import HeadboxError, StorageError
from headbox.domain.task import HOUR, SECOND
from headbox.task_queue import TaskQueue

LIFETIME: Final = 24 * HOUR  # of a token, should nobody revoke it
RENEWAL: Final = LIFETIME / SECOND / 2  # seconds until another is made
RETRY: Final = 60.0  # seconds before another try, when the database was away


class Findable:
    """The file of this process. `settings` may change until the first `url` comes."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.url: asyncio.Queue[str] = asyncio.Queue()
        self._queue: TaskQueue | None = None
        self._path: Path | None = None
        self._token_id: str | None = None

    async def stay(self) -> None:
        """Writes the file when the API's address is known, again when that changes, and with a new token in time."""
        url, is_first = await self.url.get(), True
        while True:
            pause = RENEWAL
            try:
                await asyncio.to_thread(self._renew, url)
                if is_first:
                    click.echo(hints())
                is_first = False
            except StorageError:
                pause = RETRY
            except OSError as error:
                click.echo(f"headbox: commands here need --url and --token, since {error}", err=True)
                return
            with suppress(TimeoutError):
                url = await asyncio.wait_for(self.url.get(), pause)

    def leave(self) -> None:
        """Takes the file away and revokes its token."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        self._revoke(self._token_id)

    def _renew(self, url: str) -> None:
        from headbox.web.accounts import issue_local_token

        if self._queue is None:
            self._queue = open_queue(self.settings)
        before = self._token_id
        self._token_id, secret = issue_local_token(self._queue, LIFETIME) or (None, None)
        started = process_start(os.getpid()) or 0
        self._path = local_service.leave(LocalService(os.getpid(), started, url, self.settings.database, secret))
        self._revoke(before)

    def _revoke(self, token_id: str | None) -> None:
        from headbox.web.accounts import revoke_token

        if token_id is not None and self._queue is not None:
            with suppress(HeadboxError):  # it expires by itself
                revoke_token(self._queue, token_id)


def hints() -> str:
    """What to type next, on this machine."""
    program = typed_name()
    return "\n".join(
        [
            "In another terminal, without a password:",
            f"    {program} task list",
            f"    {program} task enqueue NAME [ARGUMENT]... [KEY=VALUE]...",
            f"    {program} task watch",
        ]
    )


def typed_name() -> str:
    """How this program was called, as it can be typed again."""
    program = Path(sys.argv[0])
    if program.name != "headbox" or not program.is_relative_to(Path.cwd()):
        return "headbox" if program.is_absolute() or program.name != "headbox" else str(program)
    return str(program.relative_to(Path.cwd()))
