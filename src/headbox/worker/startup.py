"""From settings to a working worker: imports the application (in the forkserver), settles which database, and runs."""

from __future__ import annotations

import gc
import logging
import resource
import selectors
import sys
from collections.abc import Callable
from typing import Any

from headbox.config import Settings, without_password
from headbox.domain.errors import HeadboxError
from headbox.memory import give_back_memory, importing_no_tls, share_one_heap
from headbox.storage.store import open_store
from headbox.worker.children import death
from headbox.worker.keeper import WorkerFailed
from headbox.worker.nursery import Gone, Nursery
from headbox.worker.protocol import Failed, Ready
from headbox.worker.supervisor import Supervisor

SWITCH_INTERVAL = 0.000_5  # seconds that the loop may keep the clerk from going on, and it the loop
COLLECT_AFTER = 20_000  # new objects: rows of a thousand tasks are free again before they are gone through for nothing

logger = logging.getLogger(__name__)


def run_worker(
    settings: Settings,
    *,
    preload: bool = True,
    database_given: bool = False,
    has_parent: bool = False,
    status: Callable[[dict[str, Any]], None] | None = None,
) -> int:
    """Runs a worker until it is told to end. Returns the exit status: 0 drained, 1 it could not work (and says why).

    `database_given`: the database was named by an option or the environment, so an application that names another is
    an error. `has_parent`: a `serve` passes its signals on. `status` is told {"database": url} once the database is
    there and ready.
    """
    sys.setswitchinterval(SWITCH_INTERVAL)
    share_one_heap()
    most_files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))  # each child takes several
    nursery, ready, url = None, None, settings.database
    try:
        if settings.app is not None:
            nursery = Nursery(settings.app, settings.database, preload=preload)
            ready = _prepare(nursery)
            url = _resolve_database(settings, ready, database_given)
        with importing_no_tls():  # PostgreSQL's driver brings asyncio along, and has TLS of its own
            store = open_store(url, settings.finished_lifetime)
        supervisor = Supervisor(store, settings, nursery, ready, has_parent=has_parent)

        def begin() -> None:
            give_back_memory()
            gc.freeze()  # what is there now stays, and is not gone through again
            gc.set_threshold(COLLECT_AFTER)
            if status is not None:
                status({"database": url})

        supervisor.run(begin)
    except HeadboxError as error:
        logger.error("%s", error)
        return 1
    finally:
        if nursery is not None:
            nursery.stop()
    return 0


def _prepare(nursery: Nursery) -> Ready:
    """Starts the forkserver and waits for the application to be imported."""
    nursery.start()
    with selectors.DefaultSelector() as selector:
        selector.register(nursery, selectors.EVENT_READ)
        while True:
            selector.select()
            for message in nursery.receive():
                match message:
                    case Ready():
                        for warning in message.warnings:
                            logger.warning("%s", warning)
                        return message
                    case Failed(text):
                        raise WorkerFailed(text)
                    case Gone(code):
                        raise WorkerFailed(f"the application could not be imported: the process {death(code)}")
                    case _:
                        pass


def _resolve_database(settings: Settings, ready: Ready, given: bool) -> str:
    """The application's database wins unless it was left to the default; two that were both chosen must agree."""
    if ready.database is None or ready.database_is_default:
        return settings.database
    if given and ready.database != settings.database:
        raise WorkerFailed(
            f"the queue of {settings.app} is kept in {without_password(ready.database)}, but"
            f" {without_password(settings.database)} was given; leave one of them out"
        )
    return ready.database
