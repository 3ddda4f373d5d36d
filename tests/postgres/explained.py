"""What statements of a verb cost the server, by its own account."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from headbox.storage.postgres import database
from headbox.storage.postgres.store import PostgresStore
from headbox.storage.postgres.transaction import PostgresTransaction


class Explained(PostgresTransaction):
    """Notes the pages that each statement touches: it is explained first, and undone."""

    pages = 0

    def _run(self, name: str, parameters: Any) -> psycopg.Cursor[Any]:
        explained = b"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + self._statements[name]
        self._cursor.execute(b"SAVEPOINT explained")
        (plans,) = self._cursor.execute(explained, parameters).fetchone() or ([],)
        self._cursor.execute(b"ROLLBACK TO SAVEPOINT explained")
        self.pages += plans[0]["Plan"]["Shared Hit Blocks"] + plans[0]["Plan"]["Shared Read Blocks"]
        return super()._run(name, parameters)


@contextmanager
def explained(store: PostgresStore) -> Iterator[Explained]:
    with store._server.connections.lend() as connection:
        connection.execute(database._WRITE.encode())
        yield Explained(connection)
        connection.execute(b"ROLLBACK")
