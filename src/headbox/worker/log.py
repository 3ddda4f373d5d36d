"""The log of the processes that run the application: what it has not set up itself goes to stderr, as the service's."""

from __future__ import annotations

import logging

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def log_to_stderr() -> None:
    """Shows everything from INFO on, tasks' own lines too; does nothing where the application has set up handlers."""
    logging.basicConfig(level=logging.INFO, format=FORMAT)
