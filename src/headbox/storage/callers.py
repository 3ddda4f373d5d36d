"""The connection of a caller who wants to enqueue in its own transaction: what lies below an SQLAlchemy one."""

from __future__ import annotations

import sys
from typing import Any


def driver_connection(connection: Any) -> Any:
    """What the driver knows of an SQLAlchemy connection or session, which has begun its transaction then (else its
    commit would do nothing); anything else as it is."""
    core, orm = sys.modules.get("sqlalchemy"), sys.modules.get("sqlalchemy.orm")
    if orm is not None and isinstance(connection, orm.Session | orm.scoped_session):
        connection = connection.connection()
    if core is None or not isinstance(connection, core.Connection):
        return connection
    if not connection.in_transaction():
        connection.begin()
    return connection.connection.driver_connection
