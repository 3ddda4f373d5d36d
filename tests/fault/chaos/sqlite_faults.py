"""What befalls an SQLite file: somebody else's lock, a full disk, a log that cannot be checkpointed."""

from __future__ import annotations

import errno
import os

from tests.fault.chaos.faults import ANYWHERE, Fault, Scene
from tests.fault.chaos.sites import SQLiteSite


def hold_write_lock(scene: Scene) -> None:
    """At times for longer than the 5 s for which others wait."""
    with scene.site.connect() as connection:
        connection.execute("BEGIN IMMEDIATE")
        scene.hold(0.5, 7.0)
        connection.execute("ROLLBACK")


def fill_disk(scene: Scene) -> None:
    assert isinstance(scene.site, SQLiteSite)
    filler = scene.site.disk / "filler"
    with filler.open("wb", buffering=0) as file:
        _fill(file.fileno())
    try:
        scene.hold(0.5, 4.0)
    finally:
        filler.unlink()


def _fill(file: int) -> None:
    size = 1 << 20
    while size:
        try:
            os.write(file, bytes(size))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            size //= 2


def keep_reading(scene: Scene) -> None:
    """A reader that stays on an old snapshot, so that the log grows; then a checkpoint of all of it."""
    with scene.site.connect() as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM headbox_workers").fetchone()
        scene.let_end(scene.random.randint(200, 1500))
        connection.execute("ROLLBACK")


def faults(site: SQLiteSite) -> dict[str, Fault]:
    """All that this machine lets us do."""
    found = ANYWHERE | {"foreign write lock": hold_write_lock, "reader that holds up checkpoints": keep_reading}
    return found | ({"full disk": fill_disk} if site.can_be_filled else {})
