"""How a worker comes to its database. One that is away for a moment is waited for, as it is later on; one that was
never reached, or that refuses this worker, is for an operator to look at."""

from __future__ import annotations

import logging
import selectors
from collections.abc import Callable

from headbox.clock import Clock
from headbox.domain.errors import StorageStarting, StorageUnavailable
from headbox.storage.store import Store
from headbox.worker.signals import Signals

RETRY = 0.5  # seconds between two attempts

logger = logging.getLogger(__name__)


def arrive(
    store: Store, clock: Clock, enlist: Callable[[], None], signals: Signals, selector: selectors.BaseSelector
) -> bool:
    """Sees to the schema and enlists, once the database takes it; False if the worker was told to end before.

    Raises StorageError where waiting cannot help: it refuses this worker, or it could not be reached even once, so that
    its URL may be wrong.
    """
    passing: type[StorageUnavailable] = StorageStarting
    has_told = False
    while not signals.noted:
        try:
            now = clock.now()
            passing = StorageUnavailable
            store.initialise(now)
            enlist()
        except passing as error:
            if not has_told:
                logger.error("%s; trying again until it is there", error)
            has_told = True
            for key, _ in selector.select(RETRY):
                key.data()
        else:
            return True
    return False
