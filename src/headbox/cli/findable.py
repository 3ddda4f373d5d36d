"""Lets commands of the same user find the API of a `serve`: keeps its address and a valid token in a file of theirs."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path
from shutil import which
from threading import Event, Thread
from typing import Final

from headbox.cli import local_service
from headbox.cli.local_service import LocalService, process_start
from headbox.cli.terminal import printable
from headbox.domain.errors import HeadboxError, StorageError
from headbox.domain.task import HOUR, SECOND
from headbox.task_queue.queue import TaskQueue
from headbox.web.accounts import issue_local_token, revoke_token

LIFETIME: Final = 24 * HOUR  # of a token, should nobody revoke it
RENEWAL: Final = LIFETIME / SECOND / 2  # seconds until another is made
RETRY: Final = 60.0  # seconds before another try, when the database was away
SHOWN: Final = 8  # names of tasks in the hints

logger = logging.getLogger(__name__)


class Findable:
    """The file of this process, from `stay` to `leave`."""

    def __init__(self, queue: TaskQueue, url: str) -> None:
        self._queue = queue
        self._url = url
        self._path: Path | None = None
        self._token_ids: list[str] = []
        self._left = Event()
        self._thread = Thread(target=self._keep, name="headbox-findable", daemon=True)

    def stay(self) -> None:
        """Writes the file, and from now on renews its token in time."""
        self._wait = self._renew()
        self._thread.start()

    def leave(self) -> None:
        """Takes the file away and revokes its tokens."""
        self._left.set()
        self._thread.join()
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        for token_id in self._token_ids:
            with suppress(HeadboxError):  # it has expired, or will
                revoke_token(self._queue, token_id)

    def _keep(self) -> None:
        while not self._left.wait(self._wait):
            self._wait = self._renew()

    def _renew(self) -> float:
        """Writes the file with another token; the one before is good until it expires, since a command may just have
        read it. The seconds until this is due again."""
        try:
            token_id, secret = issue_local_token(self._queue, LIFETIME) or (None, None)
            self._token_ids += [token_id] if token_id else []
            started = process_start(os.getpid()) or 0
            service = LocalService(os.getpid(), started, self._url, self._queue.store.url, secret)
            self._path = local_service.leave(service)
        except (StorageError, OSError) as error:
            logger.warning("commands on this machine need --url and --token for now: %s", error)
            return RETRY
        return RENEWAL


def hints(queue: TaskQueue, program: str) -> str:
    """What to type next on this machine, where this `program` is."""
    typed = typed_name(program)
    names = sorted({printable(published.short_name) for published in queue.store.callables()})
    known = ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
    lines = [
        "In another terminal, without a password:",
        f"    {typed} task list",
        f"    {typed} task watch",
        f"    {typed} task enqueue NAME [ARGUMENT]... [KEY=VALUE]... --wait",
    ]
    return "\n".join([*lines, f"        where NAME is one of: {known}"] if names else lines)


def typed_name(program: str) -> str:
    """A program as it was called, in the shortest way in which it can be called again from here."""
    path = Path(program).absolute()
    found = which("headbox")
    if path.name != "headbox" or (found is not None and path.samefile(found)):
        return "headbox"
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
