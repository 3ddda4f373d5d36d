"""The floor of PostgreSQL: psycopg, one connection, one statement a batch. Its tables stand in a schema `floor`."""

from __future__ import annotations

import threading
import time

import psycopg

from benchmarks.floor.rows import BATCH, COLUMNS, DROPPED, rows

INSERT = f"INSERT INTO headbox_tasks ({', '.join(COLUMNS)}) VALUES ({', '.join(['%b'] * len(COLUMNS))})"
ENDED = {"state": "'finished'", "start_time": "%(now)s::bigint", "finish_time": "%(now)s::bigint", "final": "TRUE"}
TURN = """
    WITH gone AS (DELETE FROM headbox_tasks WHERE id = ANY (%(ids)s) RETURNING *),
    archived AS (INSERT INTO headbox_task_history ({kept}) SELECT {values} FROM gone),
    next AS MATERIALIZED (
        SELECT id FROM headbox_tasks
        WHERE state IN ('waiting', 'reset') AND held = 0 AND queue = 'default' AND NOT is_async AND priority = 0
            AND due_time <= %(now)s
        ORDER BY due_time, id LIMIT {batch} FOR UPDATE SKIP LOCKED)
    UPDATE headbox_tasks SET state = 'running', worker = 'floor', claimed_state = 'waiting', snapshot_id = 'floor'
    WHERE id = ANY (ARRAY(SELECT id FROM next))
    RETURNING id
"""


class PostgresFloor:
    """A copy of the project's tables beside its own. Rates are per second."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection = self._connect()
        for statement in ("CREATE SCHEMA IF NOT EXISTS floor", *map(_copy, ("headbox_tasks", "headbox_task_history"))):
            self._connection.execute(statement.encode())
        described = self._connection.execute("SELECT * FROM headbox_tasks LIMIT 0").description or ()
        kept = [column.name for column in described if column.name not in DROPPED]
        values = ", ".join(ENDED.get(column, column) for column in kept)
        self._turn = TURN.format(kept=", ".join(kept), values=values, batch=BATCH).encode()

    def _connect(self) -> psycopg.Connection:
        options = "-c search_path=floor"
        return psycopg.connect(self._url, autocommit=True, prepare_threshold=1, options=options)

    def singles(self, count: int) -> float:
        """Inserts of one row, each committed."""
        given, cursor, insert = rows(count), self._connection.cursor(), INSERT.encode()
        began = time.perf_counter()
        for row in given:
            cursor.execute(insert, row)
        return count / (time.perf_counter() - began)

    def bulk(self, count: int) -> float:
        """The same rows by COPY."""
        given = rows(count)
        began = time.perf_counter()
        with self._connection.cursor().copy(f"COPY headbox_tasks ({', '.join(COLUMNS)}) FROM STDIN".encode()) as copy:
            copy.write("".join("\t".join(map(str, row)) + "\n" for row in given))
        return count / (time.perf_counter() - began)

    def drain(self, count: int) -> float:
        """Claims and finishes all there is, in batches of 500; ends one batch and claims the next in one statement."""
        self._refill(count)
        began = time.perf_counter()
        self._take_turns(self._connection)
        return count / (time.perf_counter() - began)

    def drain_by_two(self, count: int) -> float:
        """The same by two threads, each on a connection of its own."""
        self._refill(count)
        with self._connect() as one, self._connect() as other:
            threads = [threading.Thread(target=self._take_turns, args=[connection]) for connection in (one, other)]
            began = time.perf_counter()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return count / (time.perf_counter() - began)

    def _refill(self, count: int) -> None:
        self._connection.execute("TRUNCATE headbox_tasks")
        self.bulk(count)

    def _take_turns(self, connection: psycopg.Connection) -> None:
        cursor, ids = connection.cursor(binary=True), [""]
        while ids:
            cursor.execute(self._turn, {"ids": ids, "now": time.time_ns() // 1000})
            ids = [id for (id,) in cursor.fetchall()]

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()


def _copy(table: str) -> str:
    """Columns, defaults, checks and indexes."""
    return f"CREATE TABLE IF NOT EXISTS floor.{table} (LIKE public.{table} INCLUDING ALL)"
