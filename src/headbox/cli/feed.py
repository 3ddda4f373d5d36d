"""What `headbox top` shows, kept up to date: the server's events say when to look again. While they do not come, it
looks as the clock says."""

from __future__ import annotations

import os
from contextlib import suppress
from threading import Event, Thread
from typing import Final

from headbox.cli.client import Client, Refused
from headbox.cli.look import Look, is_final, take_look

POLL: Final = 1.0  # seconds between two looks while no events come
QUIET: Final = 10.0  # seconds after which it looks though none has come; the server tells of its workers more often
RETRY: Final = 2.0  # seconds until it listens again
NEVER: Final = (400, 403, 404, 405)  # the statuses of a server that tells this caller nothing
EVENTS: Final = {"events": "task,statistics,workers", "fields": "id"}


class Feed:
    """Looks in a thread of its own, so that keys are heeded while the server does not answer, and not twice within an
    `interval` (seconds); listens in another."""

    def __init__(self, client: Client, first: Look, interval: float) -> None:
        self.look = first
        self.trouble: Refused | None = None
        self.paused = False
        self._client, self._interval = client, interval
        self._ended, self._news, self._hears = Event(), Event(), False
        self._reading, self._writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def __enter__(self) -> Feed:
        for name, work in (("headbox-top", self._run), ("headbox-top-events", self._listen)):
            Thread(target=work, name=name, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()  # they may still wait for an answer: that ends with the process

    def fileno(self) -> int:
        """Readable when there is something new."""
        return self._reading

    def wake(self) -> int:
        """What to write to so that it becomes readable."""
        return self._writing

    def heed(self) -> None:
        """Takes note of what is new; raises what makes looking again useless."""
        while True:
            try:
                os.read(self._reading, 4096)
            except BlockingIOError:
                break
        if self.trouble is not None and is_final(self.trouble):
            raise self.trouble

    def pause(self) -> None:
        """Looks no more, or again."""
        self.paused = not self.paused
        self._news.set()

    def _run(self) -> None:
        while not self._ended.wait(self._interval):
            self._news.wait(QUIET if self._hears else max(POLL - self._interval, 0.0))
            if self.paused:
                continue
            self._news.clear()
            try:
                self.look, self.trouble = take_look(self._client), None
            except Refused as error:
                self.trouble = error
            with suppress(BlockingIOError):  # it is full: that is news enough
                os.write(self._writing, b"\0")

    def _listen(self) -> None:
        while not self._ended.is_set():
            try:
                for _ in self._client.events("tasks/events/", EVENTS):
                    self._hears = True
                    self._news.set()
            except Refused as error:
                if error.status in NEVER:
                    return
            self._hears = False
            self._news.set()  # whatever ended them may be seen at once
            self._ended.wait(RETRY)
