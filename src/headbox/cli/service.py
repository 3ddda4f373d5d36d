"""What `serve` is: a parent that runs nothing itself and keeps two processes alive, `work` and `api`.

`work` comes first and tells which database the application names, since only its children import task code.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

import rich_click as click

from headbox.cli.code_watch import CodeWatch
from headbox.cli.kept import Kept, describe_end
from headbox.cli.local_service import absolute
from headbox.cli.settings import API, WORK, forward
from headbox.config import Settings
from headbox.domain.task import SECOND

REFUSALS: Final = (1, 2)  # exit statuses of a process that said why it cannot run: it would say so again
FIRST_PAUSE: Final = 1.0  # seconds before a process is started again; doubled each time it dies young
LONGEST_PAUSE: Final = 30.0
STEADY: Final = 60.0  # seconds after which a process no longer dies young
MARGIN: Final = 10.0  # seconds beyond its own grace that a process has to end
SETTLING: Final = 0.2  # seconds in which an editor's changes to several files count as one
STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Service:
    """The parent. `typed` are the options as they were given, for the processes to read again."""

    def __init__(self, settings: Settings, typed: Mapping[str, Any], *, preload: bool, reload: bool) -> None:
        self._settings = settings
        self._reloads = reload
        work_options = [*forward(typed, WORK), *([] if preload else ["--no-preload"])]
        self._work = Kept("work", work_options, self._heed_work)
        self._api = Kept("api", forward({**typed, "database": None}, API), self._heed_api)
        self._environment = dict(os.environ)
        self._stops = 0
        self._status = 0

    def run(self) -> int:
        """Serves until it is told to stop, and gives the exit status."""
        return asyncio.run(self._serve())

    async def _serve(self) -> int:
        self._stopping, self._database_known, self._code_changed = asyncio.Event(), asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # under nohup, the terminal's end is not ours
                loop.add_signal_handler(number, self._stop)
        asides = [asyncio.create_task(aside()) for aside in (self._lose_patience, self._reload)]
        try:
            await asyncio.gather(self._keep(self._work), self._keep_api())
        finally:
            for aside in asides:
                aside.cancel()
            await asyncio.gather(*asides, return_exceptions=True)
        return self._status

    def _stop(self) -> None:
        self._stops += 1
        self._stopping.set()
        self._database_known.set()
        for kept in (self._work, self._api):
            kept.end() if self._stops == 1 else kept.end_at_once()

    async def _keep_api(self) -> None:
        await self._database_known.wait()
        await self._keep(self._api)

    async def _keep(self, kept: Kept) -> None:
        """Starts the process again whenever it dies, until the service stops or it says that it cannot run."""
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            started = time.monotonic()
            status = await kept.live(self._environment_of(kept), is_wanted=lambda: not self._stopping.is_set())
            if self._stopping.is_set():
                self._status = max(self._status, status)
            elif kept.is_replaced:
                pause = FIRST_PAUSE
            elif status in REFUSALS and self._reloads and kept is self._work:
                await self._wait_for_code()
            elif status in REFUSALS and not kept.has_worked:
                self._status = status
                self._stop()
            else:
                pause = FIRST_PAUSE if time.monotonic() - started > STEADY else pause
                say(f"`headbox {kept.name}` {describe_end(status)}: starting it again in {pause:.0f} s")
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    def _environment_of(self, kept: Kept) -> dict[str, str]:
        """What tasks could find out, they should not find in it: the admin's password is for the API."""
        hidden = ("HEADBOX_ADMIN_PASSWORD",) if kept is self._work else ()
        return {name: value for name, value in self._environment.items() if name not in hidden}

    async def _wait_for_code(self) -> None:
        say("waiting for a change of the code")
        self._code_changed.clear()
        waits = [asyncio.create_task(event.wait()) for event in (self._code_changed, self._stopping)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    def _heed_work(self, report: Mapping[str, Any]) -> None:
        """The worker has opened the database: the API is to serve the same."""
        database = absolute(report["database"])
        is_another = self._database_known.is_set() and database != self._environment.get("HEADBOX_DATABASE")
        self._environment["HEADBOX_DATABASE"] = database
        self._database_known.set()
        if is_another:
            self._replace(self._api)

    def _heed_api(self, report: Mapping[str, Any]) -> None:
        """The API accepts calls. If it chose the port, it is to have the same again."""
        if self._settings.port == 0:
            self._api.options += ["--port", str(urlsplit(report["url"]).port)]

    def _replace(self, kept: Kept) -> None:
        kept.is_replaced = True
        kept.end_at_once()

    async def _reload(self) -> None:
        """Replaces the worker whenever the code has changed. What it runs is interrupted, and run again."""
        if not self._reloads:
            return
        with CodeWatch(self._settings.app) as watch:
            while True:
                path = await watch.change()
                await asyncio.sleep(SETTLING)
                watch.forget()
                say(f"{path} has changed: restarting the worker")
                self._code_changed.set()
                self._replace(self._work)

    async def _lose_patience(self) -> None:
        """Kills what has not ended long after it should have."""
        await self._stopping.wait()
        await asyncio.sleep((self._settings.grace + self._settings.cancel_grace) / SECOND + MARGIN)
        for kept in (self._work, self._api):
            kept.kill()


def say(text: str) -> None:
    """A line for the operator, beside the log."""
    click.echo(f"headbox: {text}", err=True)
