"""The one room where the pieces are put together: what all processes and the operator's commands start from."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from headbox.config import Loaded, Settings, without_password
from headbox.domain.errors import ConfigError, StorageStarting, StorageUnavailable
from headbox.memory import give_back_memory

if TYPE_CHECKING:
    from headbox.task_queue.queue import TaskQueue

ADMIN_PASSWORD_FILE: Final = "admin_password_file"  # noqa: S105 - the name of a setting in the database
SQLITE: Final = "sqlite:///"
RETRY: Final = 0.5  # seconds between two attempts to reach a database that is away for the moment

T = TypeVar("T")

logger = logging.getLogger(__name__)


def open_queue(settings: Settings) -> TaskQueue:
    """The queue of a process that runs no task code. Nothing is opened before first use."""
    from headbox.task_queue.queue import TaskQueue

    return TaskQueue(settings=settings)


def resolve_database(loaded: Loaded) -> Settings:
    """The settings with the database that is meant: the one that the application names, if it names one.

    ConfigError where `--database` contradicts it. Imports the application, in this process: only an operator's
    command may do that. A `serve` learns the database from its worker.
    """
    settings = loaded.settings
    if settings.app is None:
        return settings
    from headbox.worker.application import load

    os.environ["HEADBOX_DATABASE"] = settings.database  # what a queue is at that names none
    database = load(settings.app).database
    if database != settings.database and loaded.origins["database"].startswith("option"):
        raise ConfigError(
            f"--database contradicts {settings.app}, which names {without_password(database)}: leave the option out"
        )
    return msgspec.structs.replace(settings, database=database)


def run_api(
    settings: Settings, announce: Callable[[TaskQueue, str, str], object], *, is_watched: bool, was_reached: bool
) -> None:
    """Runs the API until it is told to stop.

    `announce` gets the queue, its address, once it accepts calls, and what is to be said of the admin's password. That
    itself is said only if a person `is_watched`; otherwise it is left in a file. `was_reached`: the database was there
    a moment ago, so it is waited for; one that was not may be misspelled.
    """
    from headbox.web.server import make_server

    queue = open_queue(settings)
    said = ""
    server = make_server(queue, settings, lambda url: announce(queue, url, said))
    _wait_for(queue.clock.now, StorageUnavailable if was_reached else StorageStarting)
    said = _wait_for(
        lambda: make_admin(queue, settings.admin_password, is_watched=is_watched), passing=StorageUnavailable
    )
    give_back_memory()
    server.run_on_socket()


def _wait_for(call: Callable[[], T], passing: type[StorageUnavailable]) -> T:
    """What the call gives, once the database takes it; says in one line that it waits."""
    has_told = False
    while True:
        try:
            return call()
        except passing as error:
            if not has_told:
                logger.error("%s; trying again until it is there", error)
            has_told = True
            time.sleep(RETRY)


def run_work(
    loaded: Loaded, *, preload: bool, has_parent: bool, status: Callable[[Mapping[str, Any]], None] | None
) -> int:
    """Runs a worker until it is told to stop, and gives its exit status. Tasks never see the admin's password.

    `status` is told {"database": url} once the database is ready: that of the application, if it names one.
    """
    from headbox.worker.startup import run_worker

    os.environ.pop("HEADBOX_ADMIN_PASSWORD", None)
    settings = msgspec.structs.replace(loaded.settings, admin_password=None)
    database_given = loaded.origins["database"].startswith("option")
    return run_worker(settings, preload=preload, database_given=database_given, has_parent=has_parent, status=status)


def make_admin(queue: TaskQueue, password: str | None, *, is_watched: bool) -> str:
    """Creates the super user `admin` on the first start, and says how to come by the password now and later."""
    from headbox.web.accounts import ensure_admin

    had_users = bool(queue.store.users())
    made = ensure_admin(queue, password)
    if made is None:
        return "" if password and not had_users else recall_password(queue)
    if is_watched:
        return f"User admin, password {made} (shown this once; `headbox user passwd admin` sets another)"
    path = leave_password(queue, made)
    return f"User admin; the password is in {path}"


def recall_password(queue: TaskQueue) -> str:
    """Where the password of an earlier start still is, or how to set another."""
    from headbox.web.passwords import matches

    admin = queue.store.user("admin")
    place = queue.store.setting(ADMIN_PASSWORD_FILE)
    try:
        is_there = bool(admin and place and matches(admin.password_hash, Path(place).read_text().strip()))
    except OSError:
        is_there = False
    if is_there:
        return f"User admin; the password was left in {place}"
    return "User admin; `headbox user passwd admin` sets another password" if admin else ""


def leave_password(queue: TaskQueue, password: str) -> Path:
    """Writes the password to a file that its user alone can read, and notes where."""
    path = password_file(queue.store.url)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"{password}\n")
    queue.store.change_setting(ADMIN_PASSWORD_FILE, str(path))
    return path


def password_file(database: str) -> Path:
    """Beside a database that is a file; in the user's own state directory for any other."""
    if database.startswith(SQLITE):
        return Path(f"{database.removeprefix(SQLITE)}.admin-password").absolute()
    return Path.home() / ".local" / "state" / "headbox" / "admin-password"


def forget_password(queue: TaskQueue) -> None:
    """Takes the file away, once the admin has another password."""
    place = queue.store.setting(ADMIN_PASSWORD_FILE)
    if place is not None:
        Path(place).unlink(missing_ok=True)
        queue.store.change_setting(ADMIN_PASSWORD_FILE, None)
