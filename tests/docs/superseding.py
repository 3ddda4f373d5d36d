"""A run that is superseded: what a worker writes into its log then."""

from __future__ import annotations

import logging
from pathlib import Path

from headbox.storage.store import open_store
from headbox.worker import ledger
from tests.conformance.conftest import Scene
from tests.postgres_server import NOON


def log_of_superseded(folder: Path) -> str:
    """A worker reports the end of a run that another has taken over; the lines of its log."""
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    store = open_store(f"sqlite:///{folder}/superseded.db")
    ledger.logger.addHandler(handler)
    try:
        store.initialise(NOON)
        scene = Scene(store)
        scene.register("a")
        scene.register("b")
        lost = scene.running("a")
        scene.finish(lost, "lose")
        scene.claim("b")
        ledger.tell_of(scene.finish(lost))
    finally:
        ledger.logger.removeHandler(handler)
        store.close()
    return "\n".join(said)
