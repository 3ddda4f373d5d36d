"""Lets commands of the same user find the API of a `serve`: keeps its address and a valid token in a file of theirs."""

from __future__ import annotations

import ast
import logging
import os
import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Final

from headbox.cli import local_service
from headbox.cli.local_service import LocalService, process_start
from headbox.cli.terminal import printable
from headbox.cli.typed import typed_name
from headbox.domain.errors import HeadboxError, StorageError
from headbox.domain.task import HOUR, SECOND
from headbox.storage.records import Callable
from headbox.task_queue.queue import TaskQueue
from headbox.web.accounts import issue_local_token, revoke_token

LIFETIME: Final = 24 * HOUR  # of a token, should nobody revoke it
RENEWAL: Final = LIFETIME / SECOND / 2  # seconds until another is made
RETRY: Final = 60.0  # seconds before another try, when the database was away
SHOWN: Final = 8  # tasks in the hints
EXAMPLE: Final = "headbox task enqueue "  # a line of a task's docstring that begins so is a call worth trying

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
    known = sorted(queue.store.callables(), key=lambda published: published.short_name)
    example = example_call(known)
    commands = [*([f"enqueue {example}"] if example else []), "watch", "list"]
    lines = ["In another terminal, without a password:", *(f"    {typed} task {command}" for command in commands)]
    if known and not example:
        shown = [printable(published.short_name + published.signature) for published in known[:SHOWN]]
        lines.append(f"    The tasks are {', '.join(shown)}{', …' if len(known) > SHOWN else ''}")
    return "\n".join(lines)


def example_call(known: Sequence[Callable]) -> str | None:
    """What can be typed after `headbox task enqueue` as it stands: what a docstring proposes, or else a task that takes
    no arguments; None if there is neither."""
    for published in known:
        for line in (published.docstring or "").splitlines():
            if line.strip().startswith(EXAMPLE):
                return quoted(line.strip().removeprefix(EXAMPLE))
    free = [published.short_name for published in known if needs_nothing(published.signature)]
    return f"{quoted_word(free[0])} --wait" if free else None


def quoted(words: str) -> str | None:
    """The words as a shell passes them on, and nothing that it would do more; None where they are unbalanced."""
    try:
        return " ".join(map(quoted_word, shlex.split(words)))
    except ValueError:
        return None


def quoted_word(word: str) -> str:
    """The word as a shell takes it for one."""
    return printable(shlex.quote(word))


def needs_nothing(signature: str) -> bool:
    """Whether a function of that signature can be called without arguments. No, where that cannot be read."""
    try:
        (function,) = ast.parse(f"def f{signature}: ...").body
    except (SyntaxError, ValueError):
        return False
    if not isinstance(function, ast.FunctionDef):
        return False
    found = function.args
    positional = [*found.posonlyargs, *found.args]
    return len(positional) == len(found.defaults) and None not in found.kw_defaults
